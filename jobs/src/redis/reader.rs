//! [`Reader`], which reads jobs of some functions for leases of one length.
//!
//! It has a connection of its own, because a command that blocks keeps all commands behind it
//! waiting. The task that reads is never dropped in the middle of a read: the server would have
//! delivered the entries whose answer is lost.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use coreloop_runtime::spawn;
use coreloop_runtime::time::timeout;
use coreloop_sync::Notify;
use redis::{Cmd, Value};

use super::blocking::Blocking;
use super::desk::{Arrival, Desk};
use super::entry::{Entry, Lease};
use super::failure::Failure;
use super::link::{Pauses, run};
use super::names::{self, GROUP, Place};
use super::reply;
use super::script::Call;
use super::shared::Shared;
use super::silence::{ANSWER, answer_for};
use super::socket::Open;
use crate::engine::{Function, JobId, Leased};
use crate::error::Error;

/// How long a reader that no call waits for keeps its connection.
const UNUSED: Duration = Duration::from_secs(60);

/// Reads jobs of some functions for leases of one length.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) shared: Rc<Shared>,
    pub(super) functions: Vec<Function>,
    pub(super) places: Vec<Rc<Place>>,
    pub(super) lease: Duration,
    pub(super) number: u64,
    pub(super) consumer: String,
    pub(super) desk: RefCell<Desk>,
    /// The number by which the server knows the connection whose read blocks.
    pub(super) blocked: Cell<Option<i64>>,
    /// Whether the task that reads does so, or opens its connection.
    pub(super) is_reading: Cell<bool>,
    /// Whether it has had a connection.
    pub(super) has_connected: Cell<bool>,
    /// How many calls of [`leave`](Self::leave) keep the reader from reading.
    pub(super) leaving: Cell<usize>,
    /// Whether nothing waited after the last read.
    pub(super) is_drained: Cell<bool>,
    pub(super) is_closed: Cell<bool>,
    /// Whether the keeper has no time to look at.
    pub(super) keeper_rests: Cell<bool>,
    /// When the keeper looks next.
    pub(super) next_look: Cell<Instant>,
    /// Notified when there are jobs or a failure.
    arrived: Notify,
    /// Notified when a call waits, when the reader may read again, or when it was closed.
    pub(super) wanted: Notify,
    /// Notified when a read has ended.
    pub(super) rested: Notify,
    /// Notified when the keeper has to look at the time again.
    pub(super) look: Notify,
}

/// What a read has returned of one stream.
struct Taken {
    place: usize,
    /// Which of the two streams of the place.
    stream: usize,
    entries: Value,
}

/// A call of `lease` that waits.
struct Waiting<'a> {
    reader: &'a Reader,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let reader = self.reader;
        reader.desk.borrow_mut().leave(self.number, Instant::now());
        if reader.blocked.get().is_some() {
            reader.look.notify_one();
        }
    }
}

impl Reader {
    /// Starts the tasks of a reader. They end some time after [`close`](Self::close).
    pub(super) fn start(
        shared: &Rc<Shared>,
        functions: &[Function],
        lease: Duration,
        number: u64,
    ) -> Rc<Self> {
        let mut places: Vec<_> = functions.iter().map(|one| shared.place(one)).collect();
        places.sort_by(|one, other| one.text.cmp(&other.text));
        places.dedup_by(|one, other| one.text == other.text);
        let reader = Rc::new(Self {
            shared: Rc::clone(shared),
            functions: functions.to_vec(),
            places,
            lease,
            number,
            consumer: names::consumer(&shared.worker, number, lease),
            desk: RefCell::default(),
            blocked: Cell::new(None),
            is_reading: Cell::new(false),
            has_connected: Cell::new(false),
            leaving: Cell::new(0),
            is_drained: Cell::new(false),
            is_closed: Cell::new(false),
            keeper_rests: Cell::new(false),
            next_look: Cell::new(Instant::now()),
            arrived: Notify::new(),
            wanted: Notify::new(),
            rested: Notify::new(),
            look: Notify::new(),
        });
        spawn(Rc::clone(&reader).read());
        spawn(Rc::clone(&reader).keep());
        reader
    }

    /// Returns for how long the server may be silent.
    pub(super) fn limit(&self) -> Duration {
        answer_for(self.lease)
    }

    /// Ends the reader. Jobs that no call has taken go back to the queue.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        self.wanted.notify_one();
        self.look.notify_one();
    }

    /// Waits for jobs, at most `max`.
    pub(super) async fn lease(&self, max: usize) -> Result<Vec<Leased>, Error> {
        let failures = self.desk.borrow().failures();
        let mut waiting = None;
        loop {
            let arrived = self.arrived.notified();
            let jobs = self.desk.borrow_mut().take(max);
            if !jobs.is_empty() {
                return Ok(jobs);
            }
            if let Some(error) = self.desk.borrow().failure_since(failures) {
                return Err(error);
            }
            if waiting.is_none() {
                let number = self.desk.borrow_mut().enter(max);
                waiting = Some(Waiting {
                    reader: self,
                    number,
                });
                self.wanted.notify_one();
                if self.keeper_rests.get() {
                    self.look.notify_one();
                }
            }
            arrived.await;
        }
    }

    /// The task that reads.
    async fn read(self: Rc<Self>) {
        let mut connection = None;
        let mut pauses = Pauses::new();
        while !self.is_closed.get() {
            if self.leaving.get() > 0 || self.desk.borrow().room() == 0 {
                self.wait_for_calls(&mut connection).await;
                continue;
            }
            self.is_reading.set(true);
            let read = self.read_once(&mut connection).await;
            self.is_reading.set(false);
            self.rested.notify_waiters();
            match read {
                Ok(()) => pauses = Pauses::new(),
                Err(failure) => {
                    self.blocked.set(None);
                    self.recover(failure, &mut connection, &mut pauses).await;
                }
            }
        }
        drop(connection);
        // Without this, the jobs come back when their leases end, and other workers delete the
        // consumer.
        let _ = timeout(ANSWER, self.end()).await;
    }

    async fn wait_for_calls(&self, connection: &mut Option<Blocking>) {
        let wanted = self.wanted.notified();
        if connection.is_none() {
            return wanted.await;
        }
        if timeout(UNUSED, wanted).await.is_err() {
            *connection = None;
        }
    }

    /// Reads once, and blocks until there is something, or until the time for a read has passed.
    async fn read_once(&self, connection: &mut Option<Blocking>) -> Result<(), Failure> {
        if connection.as_ref().is_none_or(|now| now.open.has_ended()) {
            *connection = Some(self.connect().await?);
        }
        let Some(blocking) = connection else {
            return Ok(());
        };
        let room = self.desk.borrow().room();
        if !self.is_drained.get() {
            // A command for several streams has a limit for each of them, so that it could
            // return more than there is room for.
            let taken = self.take(&blocking.open, room).await?;
            if !taken.is_empty() {
                self.arrive(taken, room).await;
                return Ok(());
            }
        }
        let count = (room / self.places.len()).max(1);
        let mut command = Cmd::new();
        command.arg("XREADGROUP").arg("GROUP").arg(GROUP);
        command.arg(&self.consumer);
        // Several streams may get a job while this blocks. What is too much is given back.
        command.arg("COUNT").arg(count);
        command.arg("BLOCK").arg(blocking.block.as_millis());
        command.arg("STREAMS");
        for place in &self.places {
            command.arg(&place.streams[0]);
        }
        for _ in &self.places {
            command.arg(">");
        }
        self.blocked.set(Some(blocking.id));
        let answer = blocking
            .open
            .send(&command, blocking.block + self.limit())
            .await;
        self.blocked.set(None);
        let taken = self.by_name(answer?).map_err(Failure::Other)?;
        let arrived = self.arrive(taken, room).await;
        // Fewer than there could have been: nothing waits now, and the next read may block at
        // once.
        self.is_drained.set(arrived < count);
        Ok(())
    }

    /// Reads what there is, without blocking.
    async fn take(&self, open: &Open, room: usize) -> Result<Vec<Taken>, Failure> {
        let mut call = Call::default();
        for stream in self.places.iter().flat_map(|place| &place.streams) {
            call.add_key(stream);
        }
        let call = call
            .text(&self.consumer)
            .number(room)
            // No function is always the last.
            .number(fastrand::usize(..self.places.len()));
        let answer = run(open, &self.shared.scripts.take, &call, self.limit()).await?;
        let pairs = reply::pairs(answer).map_err(Failure::Other)?;
        let mut taken = Vec::with_capacity(pairs.len());
        for (number, entries) in pairs {
            let number: usize = reply::number(number).map_err(Failure::Other)?;
            taken.push(Taken {
                place: number / 2,
                stream: number % 2,
                entries,
            });
        }
        Ok(taken)
    }

    /// Finds the places of the streams in an answer of `XREADGROUP`.
    fn by_name(&self, answer: Value) -> Result<Vec<Taken>, Error> {
        let mut taken = Vec::new();
        for stream in reply::array(answer)? {
            let mut parts = reply::array(stream)?.into_iter();
            let (Some(name), Some(entries)) = (parts.next(), parts.next()) else {
                continue;
            };
            let name = reply::text(name)?;
            let mut places = self.places.iter();
            let place = places.position(|place| place.streams[0] == name);
            taken.extend(place.map(|place| Taken {
                place,
                stream: 0,
                entries,
            }));
        }
        Ok(taken)
    }

    /// Gives jobs to the calls that wait. Returns how many there were.
    async fn arrive(&self, taken: Vec<Taken>, room: usize) -> usize {
        let mut arrivals = Vec::new();
        for taken in taken {
            // An answer that cannot be read leaves entries whose leases end.
            for body in reply::entries(taken.entries).unwrap_or_default() {
                arrivals.extend(self.arrival(taken.place, taken.stream, body));
            }
        }
        let count = arrivals.len();
        if count > 0 {
            let now = Instant::now();
            let surplus = self.desk.borrow_mut().add(arrivals, room, now);
            self.arrived.notify_waiters();
            self.give_back(surplus).await;
        }
        count
    }

    fn arrival(&self, place: usize, stream: usize, body: reply::Body) -> Option<Arrival> {
        let function = &self.places.get(place)?.function;
        let entry = Entry::of_stream(stream, &body.entry)?;
        let lease = Lease {
            entry,
            reader: self.number,
        };
        Some(Arrival {
            known: (place, entry),
            job: Leased {
                id: JobId(body.id),
                function: function.clone(),
                payload: body.payload,
                attempt: body.attempts.saturating_add(1),
                lease: lease.to_string(),
            },
        })
    }

    /// Prepares the next attempt after a failure.
    async fn recover(
        &self,
        failure: Failure,
        connection: &mut Option<Blocking>,
        pauses: &mut Pauses,
    ) {
        if matches!(failure, Failure::NoGroup) {
            self.shared.warnings.lost_group();
            let Some(blocking) = connection else {
                return;
            };
            if self.create_groups(&blocking.open).await.is_ok() {
                pauses.wait().await;
                return;
            }
        }
        *connection = None;
        if !failure.is_passing() || pauses.are_over_patience() {
            self.fail(failure.into());
        }
        pauses.wait().await;
    }

    /// Reports a failure to the calls that wait.
    pub(super) fn fail(&self, error: Error) {
        self.desk.borrow_mut().fail(error);
        self.arrived.notify_waiters();
    }
}
