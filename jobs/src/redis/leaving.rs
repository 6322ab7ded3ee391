//! What goes back to the queue: entries that no call has taken, and entries that came in answers
//! that were lost.

use std::time::Duration;

use coreloop_runtime::time::timeout;
use redis::Value;

use super::desk::Known;
use super::entry::Entry;
use super::failure::Failure;
use super::keeper::GRACE;
use super::link::Lost;
use super::names::GROUP;
use super::reader::Reader;
use super::reply;
use crate::error::Error;

/// How many pending entries are looked up at a time.
const PENDING: usize = 1000;

/// Keeps a reader from reading.
struct Leaving<'a>(&'a Reader);

impl<'a> Leaving<'a> {
    fn new(reader: &'a Reader) -> Self {
        reader.leaving.set(reader.leaving.get() + 1);
        Self(reader)
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leaving.set(self.0.leaving.get() - 1);
        self.0.wanted.notify_one();
    }
}

impl Reader {
    /// Gives back what the server has delivered to this reader and no call has taken. Meanwhile
    /// nothing is read.
    ///
    /// Cancel safe: what was not given back yet comes back when its lease ends.
    pub(super) async fn leave(&self) -> Result<(), Error> {
        let _leaving = Leaving::new(self);
        while self.is_reading.get() {
            let rested = self.rested.notified();
            // The server may get this before the read that it is to end, and the user may lack
            // the right to it. Then the read ends by itself.
            self.unblock().await;
            let _ = timeout(GRACE, rested).await;
        }
        // A call that waits has been notified of the jobs that are ready.
        if !self.desk.borrow().has_calls() {
            let ready = self.desk.borrow_mut().take_all();
            self.give_back(ready).await;
        }
        Ok(self.find_lost().await?)
    }

    /// Gives the entries back that the server has delivered in answers that were lost. The reader
    /// must not read meanwhile.
    ///
    /// `XREADGROUP` with the id 0 would return them, together with all others of this consumer,
    /// and would count a delivery for each of them.
    pub(super) async fn find_lost(&self) -> Result<(), Failure> {
        let mut lost = Vec::new();
        for index in 0..self.places.len() {
            for stream in 0..2 {
                self.add_lost(index, stream, &mut lost).await?;
            }
        }
        self.give_back(lost).await;
        Ok(())
    }

    /// Adds the lost entries of one of the two streams of a place.
    async fn add_lost(
        &self,
        index: usize,
        stream: usize,
        lost: &mut Vec<Known>,
    ) -> Result<(), Failure> {
        let mut start = "-".to_owned();
        loop {
            let mut command = redis::cmd("XPENDING");
            command.arg(&self.places[index].streams[stream]).arg(GROUP);
            command.arg(&start).arg("+").arg(PENDING);
            command.arg(&self.consumer);
            let link = &self.shared.link;
            let answer = link.send_within(self.limit(), &command, Lost::Repeat);
            let answer = match answer.await {
                // Most queues never have the second stream.
                Err(Failure::NoGroup) => return Ok(()),
                answer => reply::array(answer?).map_err(Failure::Other)?,
            };
            let count = answer.len();
            for pending in answer {
                let (id, idle) = id_and_idle(pending).map_err(Failure::Other)?;
                // The keeper of some worker ends those whose leases have ended, and counts the
                // attempt: this worker may have run them.
                if let Some(entry) = Entry::of_stream(stream, &id)
                    && idle < self.lease
                    && !self.desk.borrow().knows((index, entry))
                {
                    lost.push((index, entry));
                }
                start = format!("({id}");
            }
            if count < PENDING {
                return Ok(());
            }
        }
    }

    /// Gives entries back to the queue. If that fails, their leases end.
    pub(super) async fn give_back(&self, mut entries: Vec<Known>) {
        while let Some((place, _)) = entries.last().copied() {
            let of_place = |known: &Known| known.0 == place;
            let (these, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(of_place);
            entries = others;
            let these = these.into_iter().map(|(_, entry)| entry);
            let place = &self.places[place];
            let _ = self.shared.give_back(place, self.lease, these).await;
        }
    }

    /// Gives back what no call has taken, and deletes the consumers that have no jobs.
    pub(super) async fn end(&self) {
        let ready = self.desk.borrow_mut().take_all();
        self.give_back(ready).await;
        let _ = self
            .delete_consumers(&self.shared.worker, Duration::ZERO)
            .await;
    }
}

/// Reads the id of a pending entry, and for how long the server has had its delivery.
fn id_and_idle(pending: Value) -> Result<(String, Duration), Error> {
    let mut parts = reply::array(pending)?.into_iter();
    let mut part = || parts.next().unwrap_or(Value::Nil);
    let (id, _consumer, idle) = (part(), part(), part());
    let idle = reply::number(idle)?;
    Ok((reply::text(id)?, Duration::from_millis(idle)))
}
