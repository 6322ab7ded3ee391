//! The keeper of a reader: while calls wait for jobs, it moves the jobs that are due, and
//! returns jobs to the queue whose leases have ended, also of other workers. It ends reads
//! that are no longer wanted.

use std::rc::Rc;
use std::time::{Duration, Instant};

use coreloop_runtime::time::{sleep, timeout};
use redis::Value;

use super::failure::Failure;
use super::link::Lost;
use super::reader::Reader;
use super::reply;
use super::script::Call;
use crate::error::Error;

/// How often a worker without jobs looks for jobs that are due. Jobs that this process has
/// delayed are moved in time.
const LOOK: Duration = Duration::from_secs(1);

/// How long a read may block while no call waits: a worker often calls again at once.
pub(super) const GRACE: Duration = Duration::from_millis(100);

/// How many jobs of a function are moved at a time.
const MOST: usize = 100;

/// How often the settings of the server are read again, and consumers of workers that have ended
/// are deleted, and how long these were inactive.
const SWEEP: Duration = Duration::from_secs(10 * 60);
const INACTIVE: Duration = Duration::from_secs(24 * 60 * 60);

impl Reader {
    /// The task that keeps.
    pub(super) async fn keep(self: Rc<Self>) {
        let mut cursors = vec!["-".to_owned(); 2 * self.places.len()];
        let mut next_sweep = Instant::now();
        while !self.is_closed.get() {
            let now = Instant::now();
            // The first connection of the reader finds out whether the user has the rights.
            let has_calls = self.has_connected.get() && self.desk.borrow().has_calls();
            self.keeper_rests.set(!has_calls);
            let pause = if has_calls {
                if now >= next_sweep {
                    next_sweep = now + SWEEP;
                    // Neither matters to the worker.
                    let _ = self.shared.warnings.check(&self.shared.link).await;
                    let _ = self.delete_consumers("", INACTIVE).await;
                }
                let next = self.next_look.get();
                if now >= next {
                    self.look_once(&mut cursors).await;
                    continue;
                }
                Some(next - now)
            } else {
                self.tidy(now).await
            };
            let look = self.look.notified();
            let Some(pause) = pause else {
                look.await;
                continue;
            };
            let _ = timeout(pause, look).await;
            self.allow_renewals(now + pause);
        }
        while self.blocked.get().is_some() {
            self.unblock().await;
            sleep(GRACE).await;
        }
    }

    /// Looks after the time of a job that this process has delayed, at the latest.
    pub(super) fn look_in(&self, delay: Duration) {
        // The server counts in whole milliseconds. The sum is out of range if the job never runs.
        let delay = delay.saturating_add(Duration::from_millis(1));
        let next = Instant::now().checked_add(delay);
        if let Some(next) = next.filter(|&next| next < self.next_look.get()) {
            self.next_look.set(next);
            self.look.notify_one();
        }
    }

    /// Delays the next look if this task runs long after it should have, whatever has woken it: the
    /// loop was kept from running, so that the leases of this worker were not renewed. They are
    /// renewed first.
    fn allow_renewals(&self, due: Instant) {
        let (third, now) = (self.lease / 3, Instant::now());
        if now.saturating_duration_since(due) > third {
            self.next_look.set(now + third);
        }
    }

    /// While no call waits: ends the read that blocks, and gives jobs back. Returns when to do
    /// so next.
    async fn tidy(&self, now: Instant) -> Option<Duration> {
        // Early enough for another worker to get the job within its lease.
        let age = self.lease / 3;
        let old = self.desk.borrow_mut().take_old(age, now);
        self.give_back(old).await;
        let idle = self.desk.borrow().idle(now)?;
        if self.blocked.get().is_some() {
            if idle >= GRACE {
                self.unblock().await;
            }
            return Some(GRACE);
        }
        let oldest = self.desk.borrow().oldest()?;
        Some((oldest + age).saturating_duration_since(now))
    }

    /// Ends the read that blocks. The server answers it as if its time had passed.
    pub(super) async fn unblock(&self) {
        let Some(id) = self.blocked.get() else {
            return;
        };
        let mut command = redis::cmd("CLIENT");
        command.arg("UNBLOCK").arg(id);
        // If the user may not, the read ends by itself.
        let link = &self.shared.link;
        let _ = link.send_within(self.limit(), &command, Lost::Report).await;
    }

    async fn look_once(&self, cursors: &mut [String]) {
        let now = Instant::now();
        let jitter = 0.75 + fastrand::f64() / 2.0;
        let third = (self.lease / 3).mul_f64(jitter).min(LOOK);
        self.next_look.set(now + third);
        self.desk.borrow_mut().forget_ended(self.lease, now);
        match self.look_at(cursors).await {
            Ok(Some(pause)) => self.next_look.set(self.next_look.get().min(now + pause)),
            Ok(None) => {}
            Err(error) => self.fail(error),
        }
    }

    /// Moves jobs. Returns when to look again, if that is soon.
    async fn look_at(&self, cursors: &mut [String]) -> Result<Option<Duration>, Error> {
        let mut call = Call::default()
            .of_lease(self.lease)
            .number(MOST)
            .number(self.lease.as_millis().max(1));
        for cursor in cursors.iter() {
            call.add(cursor.as_bytes());
        }
        for place in &self.places {
            for key in &place.streams {
                call.add_key(key);
            }
            call.add_key(&place.delayed);
            call.add_key(&place.bodies);
        }
        let script = &self.shared.scripts.keep;
        let answer = self.shared.link.run(script, &call, Lost::Repeat).await;
        let mut answer = match answer {
            Ok(answer) => reply::array(answer)?.into_iter(),
            // The task that reads creates it.
            Err(Failure::NoGroup) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let first = answer.next().unwrap_or(Value::Nil);
        let soonest = reply::number::<i64>(first)?;
        let mut soonest = u64::try_from(soonest).ok().map(Duration::from_millis);
        for (cursor, next) in cursors.iter_mut().zip(answer) {
            *cursor = reply::text(next)?;
            if cursor != "-" {
                soonest = Some(Duration::ZERO);
            }
        }
        Ok(soonest)
    }

    /// Deletes consumers without jobs whose names begin with `prefix`.
    pub(super) async fn delete_consumers(
        &self,
        prefix: &str,
        inactive: Duration,
    ) -> Result<(), Error> {
        let mut call = Call::default();
        for stream in self.places.iter().flat_map(|place| &place.streams) {
            call.add_key(stream);
        }
        let call = call.text(prefix).number(inactive.as_millis());
        let script = &self.shared.scripts.leave;
        self.shared.link.run(script, &call, Lost::Repeat).await?;
        Ok(())
    }
}
