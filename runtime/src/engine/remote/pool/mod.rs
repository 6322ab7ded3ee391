//! [`Pool`]: closures that may block, and the threads that run them.
//!
//! A runtime has one pool, for `spawn_blocking`. A `ThreadPool` is another one, with threads of
//! its own, whose jobs belong to the runtime as well.
//!
//! # Invariants
//!
//! 1. While a job is in the queue, a thread will take it: one that was taken out of `idle`,
//!    one that is being started, or one that is running a job, which checks the queue before
//!    it waits. If there is none of these, because none could be started, the queue is
//!    emptied.
//! 2. A thread is in `idle` only while it waits. The thread that takes it out unparks it, and
//!    then it checks the queue again.
//! 3. Jobs are run and dropped, and wakers are cloned, woken and dropped, while the lock is
//!    free.
//! 4. A thread counts in `threads` until it takes no more jobs, and then in `ending` until its
//!    last hook has returned. So a closed pool without either has ended, and no job is left.

mod count;
mod ending;
pub(super) mod job;
pub(crate) mod options;
pub(crate) mod own;
pub(super) mod pool_ref;
pub(crate) mod refusal;
#[cfg(all(test, not(loom)))]
mod tests;
pub(crate) mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::panic::Location;
use std::sync::{Mutex, MutexGuard};
use std::thread::{self, Thread, ThreadId};
use std::time::{Duration, Instant};

use crate::engine::id::Id;
use crate::engine::panics;
use crate::engine::remote::outcome::lock;
use crate::engine::remote::pool::count::{Count, CountedJob};
use crate::engine::remote::pool::ending::Waiting;
use crate::engine::remote::pool::options::Options;
use crate::engine::remote::pool::refusal::Refusal;
use crate::engine::report::task_meta::TaskMeta;

/// The longest time for which a thread asks the system to park it. After that it parks again.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The closure of a job, of any type.
pub(super) trait Work: Send {
    /// Runs the closure, calls `job_ran`, and sends the outcome. A panic of the closure is an
    /// outcome.
    fn run(self: Box<Self>, job_ran: &dyn Fn());

    /// Drops the closure, and sends `refusal` as the outcome.
    fn refuse(self: Box<Self>, refusal: &Refusal);
}

/// A closure that may block. Dropping a job cancels it.
pub(super) struct Job {
    pub(super) work: Box<dyn Work>,
    pub(super) spawned_at: &'static Location<'static>,
    /// The last field, because the count goes down after the outcome was sent.
    pub(crate) _counted: CountedJob,
}

/// The numbers of threads and jobs of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolStats {
    pub(crate) threads: usize,
    pub(crate) idle: usize,
    pub(crate) queued: usize,
    pub(crate) running: usize,
}

/// The jobs and threads of a runtime or a `ThreadPool`.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(super) options: Options,
    pub(crate) count: Count,
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    /// The jobs that wait for a thread, oldest first, because ids ascend.
    queue: BTreeMap<Id, Job>,
    /// The jobs that are running, and where they were spawned.
    running: BTreeMap<Id, &'static Location<'static>>,
    /// The threads that wait for a job. The last one began to wait last.
    idle: Vec<Thread>,
    /// The number of threads that were started, or are about to be, and take jobs.
    threads: usize,
    /// The number of threads that take no more jobs, and have not ended.
    ending: usize,
    /// The tasks that wait for the end of the pool.
    waiting: Vec<Waiting>,
    /// Whether the pool takes no more jobs.
    closed: bool,
}

/// What the caller has to do for a job that was put in the queue.
pub(super) enum Dispatch {
    StartThread,
    /// The pool is closed. The caller drops or refuses the job.
    Closed(Job),
    Nothing,
}

impl Job {
    /// Ends the job without running it.
    fn refuse(self, refusal: &Refusal) {
        let Self {
            work,
            _counted: counted,
            ..
        } = self;
        work.refuse(refusal);
        drop(counted);
    }
}

impl Pool {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            count: Count::default(),
            state: Mutex::new(PoolState::default()),
        }
    }

    /// Returns the number of jobs in the queue and running. From now on the loop gets a turn
    /// when none is left. If the number is zero, the tasks that jobs have woken are in the
    /// loop's inbox.
    pub(crate) fn watch_jobs(&self) -> usize {
        self.count.watch()
    }

    /// Returns the numbers of threads and jobs.
    pub(crate) fn stats(&self) -> PoolStats {
        let state = self.lock();
        PoolStats {
            threads: state.threads,
            idle: state.idle.len(),
            queued: state.queue.len(),
            running: state.running.len(),
        }
    }

    /// Drops a job that is still in the queue.
    pub(super) fn cancel(&self, id: Id) {
        let job = self.lock().queue.remove(&id);
        drop(job);
    }

    /// Cancels the jobs in the queue. Returns the metadata of the jobs that it cancelled and of
    /// those that are running: first the running ones, each oldest first.
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

    /// Puts a job in the queue, and returns what the caller has to do for it.
    pub(super) fn queue(&self, id: Id, job: Job) -> Dispatch {
        let mut state = self.lock();
        if state.closed {
            return Dispatch::Closed(job);
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

    /// Records that a thread could not be started. If no thread is left, refuses all jobs in
    /// the queue.
    pub(super) fn not_started(&self, refusal: &Refusal) {
        let (queue, waiting) = {
            let mut state = self.lock();
            state.threads -= 1;
            if state.threads > 0 {
                return;
            }
            (mem::take(&mut state.queue), state.take_waiting_if_ended())
        };
        refuse(queue, refusal);
        ending::wake(waiting);
    }

    /// Records that a job is not running any more. Call this before its outcome is sent: the
    /// task that waits for the outcome may be the last one of the runtime, which reports the
    /// jobs that are running when it ends.
    pub(super) fn job_ran(&self, id: Id) {
        self.lock().running.remove(&id);
    }

    /// Waits for the next job of this thread. Returns `None` if the thread has to end; it then
    /// calls `thread_ended`.
    pub(super) fn next(&self) -> Option<(Id, Job)> {
        let mut state = self.lock();
        loop {
            if let Some((id, job)) = state.queue.pop_first() {
                state.running.insert(id, job.spawned_at);
                return Some((id, job));
            }
            let is_wanted;
            (state, is_wanted) = self.wait_for_job(state);
            if !is_wanted {
                state.threads -= 1;
                state.ending += 1;
                return None;
            }
        }
    }

    /// Waits in `idle` until another thread takes this one out. Returns `false` if this thread
    /// has to end, because the pool was closed or the keep-alive time has passed.
    fn wait_for_job<'a>(
        &'a self,
        mut state: MutexGuard<'a, PoolState>,
    ) -> (MutexGuard<'a, PoolState>, bool) {
        if state.closed {
            return (state, false);
        }
        let thread = thread::current();
        let own_id: ThreadId = thread.id();
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
            let position = state.idle.iter().position(|thread| thread.id() == own_id);
            let Some(position) = position else {
                // A job may have been queued for this thread just before the pool was closed.
                let is_wanted = !state.closed || !state.queue.is_empty();
                return (state, is_wanted);
            };
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                state.idle.remove(position);
                return (state, false);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        lock(&self.state)
    }
}

/// Drops jobs that were not run.
fn cancel(queue: BTreeMap<Id, Job>) {
    for job in queue.into_values() {
        panics::caught(|| drop(job));
    }
}

/// Sends `refusal` as the outcome of jobs that were not run.
fn refuse(queue: BTreeMap<Id, Job>, refusal: &Refusal) {
    for job in queue.into_values() {
        job.refuse(refusal);
    }
}

impl fmt::Debug for PoolState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolState")
            .field("queued", &self.queue.len())
            .field("running", &self.running)
            .field("threads", &self.threads)
            .field("ending", &self.ending)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
