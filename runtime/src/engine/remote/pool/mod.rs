//! The pool: jobs that wait, jobs that run, and threads that wait.
//!
//! # Invariants
//!
//! 1. While a job is in the queue, a thread will come to it: one that was taken
//!    from the idle ones, one that is being started, or one that is at work,
//!    which looks at the queue before it rests. If none of these is left,
//!    because none could be started, the queue is emptied.
//! 2. A thread is in `idle` only while it rests. Whoever takes it out unparks
//!    it, and it looks at the queue again.
//! 3. Jobs are run and dropped when the lock is free.

mod count;
pub(crate) mod job;
pub(crate) mod options;
#[cfg(all(test, not(loom)))]
mod tests;
pub(crate) mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::mem;
use std::panic::Location;
use std::sync::{Mutex, MutexGuard};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

use crate::engine::id::Id;
use crate::engine::remote::outcome::lock;
use crate::engine::remote::pool::count::{Count, Counted};
use crate::engine::remote::pool::options::Options;
use crate::engine::report::task_meta::TaskMeta;
use crate::engine::{nesting, panics};

/// Longer than this no system call is asked to wait.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What a job does.
pub(crate) trait Work: Send {
    /// Does it, calls `job_ran`, and sends the outcome. Panics of the user's code are in that.
    fn run(self: Box<Self>, job_ran: &dyn Fn());

    /// Tells that it could not be done.
    fn refuse(self: Box<Self>, error: &io::Error);
}

/// Work that blocks. Dropping it cancels it.
pub(crate) struct Job {
    pub(crate) work: Box<dyn Work>,
    pub(crate) spawned_at: &'static Location<'static>,
    /// The last field: the count goes down after the outcome was told.
    pub(crate) _counted: Counted,
}

/// What there is of a pool at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolStats {
    pub(crate) threads: usize,
    pub(crate) idle: usize,
    pub(crate) queued: usize,
}

/// The jobs and threads of a runtime.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) options: Options,
    pub(crate) count: Count,
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    /// By age: ids of jobs ascend.
    queue: BTreeMap<Id, Job>,
    running: BTreeMap<Id, &'static Location<'static>>,
    /// The last one has rested the least.
    idle: Vec<Thread>,
    /// Threads that were started, or are about to be, and have not ended.
    threads: usize,
    closed: bool,
}

/// What has to be done for a job that was put in the queue.
pub(crate) enum Dispatch {
    StartThread,
    Nothing,
}

impl Pool {
    pub(crate) fn new(options: Options) -> Pool {
        Pool {
            options,
            count: Count::default(),
            state: Mutex::new(PoolState::default()),
        }
    }

    /// How many jobs there are, in the queue and running. From now on the loop
    /// gets a turn when none is left. If the answer is zero, whatever woke a task
    /// is in the loop's inbox.
    pub(crate) fn watch_jobs(&self) -> usize {
        self.count.watch()
    }

    /// How many threads and jobs there are.
    pub(crate) fn stats(&self) -> PoolStats {
        let state = self.lock();
        PoolStats {
            threads: state.threads,
            idle: state.idle.len(),
            queued: state.queue.len(),
        }
    }

    /// Drops a job that is still in the queue.
    pub(crate) fn cancel(&self, id: Id) {
        let job = self.lock().queue.remove(&id);
        drop(job);
    }

    /// Refuses jobs from now on, cancels those in the queue, and has idle
    /// threads end.
    pub(crate) fn close(&self) {
        let (queue, idle) = {
            let mut state = self.lock();
            state.closed = true;
            (mem::take(&mut state.queue), mem::take(&mut state.idle))
        };
        for thread in idle {
            thread.unpark();
        }
        cancel(queue);
    }

    /// Cancels the jobs in the queue. Returns which jobs it cancelled or left running, by
    /// age.
    pub(crate) fn abandon(&self) -> Vec<TaskMeta> {
        let (queue, running) = {
            let mut state = self.lock();
            (mem::take(&mut state.queue), state.running.clone())
        };
        let queued = queue.iter().map(|(&id, job)| (id, job.spawned_at));
        let left = running.into_iter().chain(queued);
        let left = left.map(|(id, spawned_at)| TaskMeta::nameless(id, spawned_at));
        let left = left.collect();
        cancel(queue);
        left
    }

    /// Puts a job in the queue, and tells what to do for it. Drops it if the
    /// pool is closed.
    pub(crate) fn queue(&self, id: Id, job: Job) -> Dispatch {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            nesting::drop_nested(job);
            return Dispatch::Nothing;
        }
        state.queue.insert(id, job);
        if let Some(idle) = state.idle.pop() {
            drop(state);
            idle.unpark();
        } else if state.threads < self.options.max_threads {
            state.threads += 1;
            return Dispatch::StartThread;
        }
        Dispatch::Nothing
    }

    /// A thread could not be started. Refuses what nobody will come to.
    pub(crate) fn not_started(&self, error: &io::Error) {
        let queue = {
            let mut state = self.lock();
            state.threads -= 1;
            if state.threads > 0 {
                return;
            }
            mem::take(&mut state.queue)
        };
        for Job { work, .. } in queue.into_values() {
            work.refuse(error);
        }
    }

    /// A job has run. To be called before its outcome is sent: the task that waits for
    /// that may be the last one before the runtime ends, which reports jobs that run.
    pub(crate) fn job_ran(&self, id: Id) {
        self.lock().running.remove(&id);
    }

    /// The next job of a thread, once there is one; none if the thread is to
    /// end, which it then must.
    pub(crate) fn next(&self) -> Option<(Id, Job)> {
        let mut state = self.lock();
        loop {
            if let Some((id, job)) = state.queue.pop_first() {
                state.running.insert(id, job.spawned_at);
                return Some((id, job));
            }
            let rested;
            (state, rested) = self.wait_for_job(state);
            if !rested {
                state.threads -= 1;
                return None;
            }
        }
    }

    /// Waits in `idle` until somebody takes the thread out; false if it is no
    /// longer wanted.
    fn wait_for_job<'a>(
        &'a self,
        mut state: MutexGuard<'a, PoolState>,
    ) -> (MutexGuard<'a, PoolState>, bool) {
        if state.closed {
            return (state, false);
        }
        let thread = thread::current();
        let ours: ThreadId = thread.id();
        state.idle.push(thread);
        let deadline = Instant::now().checked_add(self.options.keep_alive);
        loop {
            drop(state);
            match deadline {
                None => thread::park(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    thread::park_timeout(left.min(YEAR));
                }
            }
            state = self.lock();
            let place = state.idle.iter().position(|thread| thread.id() == ours);
            let Some(place) = place else {
                let wanted = !state.closed;
                return (state, wanted);
            };
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                state.idle.remove(place);
                return (state, false);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        lock(&self.state)
    }
}

/// Drops jobs that were never run.
fn cancel(queue: BTreeMap<Id, Job>) {
    for job in queue.into_values() {
        panics::caught(|| drop(job));
    }
}

impl fmt::Debug for PoolState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolState")
            .field("queued", &self.queue.len())
            .field("running", &self.running)
            .field("threads", &self.threads)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
