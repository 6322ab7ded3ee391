//! Leasing jobs, and the end of a worker.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use coreloop_pool::__jobs;
use coreloop_runtime::select;
use coreloop_runtime::task::JoinSet;
use coreloop_runtime::time::{Instant, timeout};

use super::backoff::Backoff;
use super::running::Running;
use super::store::End;
use crate::engine::{Failure, Leased};
use crate::error::{Error, Kind};

/// The pauses while the engine fails.
pub(super) const ENGINE: Backoff = Backoff {
    first: Duration::from_millis(if cfg!(test) { 1 } else { 50 }),
    max: if cfg!(test) {
        Duration::from_millis(100)
    } else {
        Duration::from_secs(5)
    },
};

/// How long the engine may take to return the jobs that were leased for a worker that stops.
const LEAVE: Duration = Duration::from_secs(2);

impl Running {
    /// Leases jobs until the worker is stopped.
    ///
    /// # Errors
    ///
    /// Returns an error if the pool is closed or has failed.
    pub(super) async fn lease_jobs(self: Rc<Self>, jobs: &mut JoinSet<()>) -> Result<(), Error> {
        let mut failures = 0;
        loop {
            while jobs.try_join_next().is_some() {}
            let leased = select! {
                () = self.stop.cancelled() => return Ok(()),
                () = __jobs::ended(&self.pool) => return Err(pool_ended()),
                leased = self.lease_some() => leased,
            };
            match leased {
                Ok(leased) => {
                    if !leased.is_empty() {
                        failures = 0;
                        self.engine_succeeded();
                    }
                    for job in leased {
                        self.begin(job, jobs);
                    }
                }
                Err(error) => {
                    failures += 1;
                    self.engine_failed(&error);
                    // Stopped sooner if the worker is.
                    let pause = timeout(ENGINE.after(failures), self.stop.cancelled());
                    let _ = pause.await;
                }
            }
        }
    }

    /// Waits until there is room and there are jobs, and leases some of them.
    async fn lease_some(&self) -> Result<Vec<Leased>, Error> {
        loop {
            let freed = self.freed.notified();
            let held = self.held_count();
            let wanted = self.room.borrow_mut().wanted(self.now(), held);
            let room = __jobs::room(&self.pool);
            if wanted > 0 && room > 0 {
                let (max, lease) = (wanted.min(room), self.options.lease);
                return self.engine.lease(&self.functions, max, lease).await;
            }
            if wanted > 0 {
                // The queue of the pool is full of other jobs.
                __jobs::has_room(&self.pool).await;
            } else {
                freed.await;
            }
        }
    }

    fn begin(self: &Rc<Self>, leased: Leased, jobs: &mut JoinSet<()>) {
        let attempt = leased.attempt;
        let held = self.hold(leased);
        if attempt > self.options.attempts {
            let error = format!(
                "the job was leased {} times, and no worker has reported its result: it may have \
                 ended these workers",
                attempt - 1
            );
            self.ended(held, End::Failed(Failure::Dead { error }));
        } else {
            jobs.spawn(Rc::clone(self).run_job(held));
        }
    }

    /// Returns the jobs that have not started, and waits until the others have ended.
    pub(super) async fn finish_jobs(&self) {
        self.stop.cancel();
        for held in self.all_held() {
            held.recall.notify_one();
        }
        // If it fails, these jobs come back when their leases end.
        let leaving = self.engine.leave(&self.functions, self.options.lease);
        let _ = timeout(self.options.lease.min(LEAVE), leaving).await;
        loop {
            let freed = self.freed.notified();
            if self.held_count() == 0 {
                return;
            }
            // Wakes up also to see whether the engine is gone for good.
            let _ = timeout(self.options.lease / 3, freed).await;
            self.give_up();
        }
    }

    /// Drops the ends of jobs whose leases have ended while the engine cannot be reached: it gives
    /// the jobs to other workers.
    fn give_up(&self) {
        if !self.is_failing() {
            return;
        }
        let now = Instant::now();
        let mut ends = self.ends.borrow_mut();
        let all = std::mem::take(&mut *ends).into_iter();
        let (old, kept): (VecDeque<_>, _) = all.partition(|end| end.held.valid_until.get() <= now);
        *ends = kept;
        drop(ends);
        for end in old {
            self.lost(&end.held);
        }
    }
}

fn pool_ended() -> Error {
    let text = "the pool of the worker is closed, or no process of it becomes ready";
    Error::new(Kind::Closed, text)
}
