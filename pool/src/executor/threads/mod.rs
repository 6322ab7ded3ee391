//! [`Threads`]: jobs on threads of this process.
//!
//! [`ThreadPool`] provides the threads, the queue and the return of outcomes, with the code that
//! `spawn_blocking` uses. This module adds the context of a job, which
//! [`job::id`](crate::job::id) and other functions read, and a state for each thread.
//!
//! ```text
//!              1 spawn            2 next              3
//!   closure ───────────> queued ─────────> running ────────> finished
//!                          │ 4                │ 5 like 3; the job is asked to end
//!                          v                  v
//!                       never runs         finished
//!
//!  1: `Threads::spawn`.
//!  2: a thread of the pool takes the oldest job, and calls `Flags::start`, which fails if
//!     4 was first.
//!  3: the closure returns or panics.
//!  4: `ThreadJob::abort`, `Threads::shut_down`, the end of the runtime; or a `Refusal`.
//!  5: `ThreadJob::abort`, `Threads::shut_down`. A thread cannot be killed, so the job ends
//!     early only if it reads `job::is_cancelled`.
//! ```

pub(crate) mod control;
pub(crate) mod engine;
pub(crate) mod latest;
mod live;
mod room;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::{Refusal, RemoteJoinHandle, ThreadPool, ThreadPoolOptions};

use crate::job::context::{self, Cancel, Flags, Progress, Sink, Stage};
use crate::job::{call, worker_state};
use live::Live;

/// A function that each thread calls before its first job. It may install the thread's
/// [`WorkerState`](worker_state::WorkerState).
pub(crate) type Initializer = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Threads that run closures as jobs. Dropping it is like [`shut_down`](Self::shut_down).
#[derive(Debug)]
pub(crate) struct Threads {
    pool: ThreadPool,
    live: Live,
    /// The number of jobs so far. The id of the first job is 1.
    jobs: Cell<u64>,
    /// The number of jobs that have finished.
    finished: Arc<AtomicUsize>,
}

/// A job on a thread, and its result. Dropping it detaches the job.
///
/// A panic of a detached job goes to the loop, as it does for `spawn_blocking`.
#[derive(Debug)]
pub(crate) struct ThreadJob<R> {
    flags: Arc<Flags>,
    /// The outcome is `None` if the job was cancelled when a thread took it.
    handle: RemoteJoinHandle<Result<Option<R>, Refusal>>,
    was_aborted: Cell<bool>,
}

/// The reason why a job has no result.
#[derive(Debug)]
pub(crate) enum ThreadFailure {
    /// The job has panicked, with this payload.
    Panicked(Box<dyn Any + Send>),
    /// The job was aborted before it started.
    Aborted,
    /// The job had not started when the threads were shut down, or was spawned later.
    ShutDown,
    /// No thread could run the job.
    Refused(Refusal),
}

impl Threads {
    /// Creates threads in the current runtime: up to `count`, each of which is started when
    /// no other is idle, and stays.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime, or if `count` is zero.
    #[track_caller]
    pub(crate) fn new(count: usize, name: String, initializer: Option<Initializer>) -> Self {
        let pool = ThreadPool::new(ThreadPoolOptions {
            max_threads: count,
            name,
            stack_size: None,
            on_start: initializer,
            // If the state were dropped with the thread's locals, a panic of its destructor would
            // abort the process.
            on_stop: Some(Arc::new(|| {
                crate::panics::caught(worker_state::clear);
                call::drop_runtime();
            })),
        });
        Self {
            pool,
            live: Live::default(),
            jobs: Cell::new(0),
            finished: Arc::default(),
        }
    }

    /// Queues `work` as a job. What it reports as its progress goes to `sink`.
    #[track_caller]
    pub(crate) fn spawn<W, R>(
        &self,
        sink: Option<Arc<dyn Sink + Send + Sync>>,
        work: W,
    ) -> ThreadJob<R>
    where
        W: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let id = self.jobs.get() + 1;
        self.jobs.set(id);
        let flags = Arc::new(Flags::default());
        self.live.add(&flags);
        let of_job = Arc::clone(&flags);
        let finished = Arc::clone(&self.finished);
        let handle = self.pool.spawn(move || {
            if !of_job.start() {
                return None;
            }
            let _finish = Finish {
                flags: &Arc::clone(&of_job),
                finished: &finished,
            };
            let job = context::Context {
                id,
                attempt: 1,
                cancel: Cancel::Flags(of_job),
                progress: sink.map_or(Progress::Ignored, Progress::Shared),
            };
            Some(context::enter(job, work))
        });
        ThreadJob {
            flags,
            handle,
            was_aborted: Cell::new(false),
        }
    }

    /// Takes no more jobs. Those in the queue still run; then the threads end.
    pub(crate) fn close(&self) {
        self.pool.close();
    }

    /// Takes no more jobs, ends those in the queue, and asks the running ones to end. Returns
    /// how many were in the queue, and how many run.
    pub(crate) fn shut_down(&self) -> (usize, usize) {
        // Before the queue is emptied, which drops the flags of jobs without a handle.
        let counts = self.live.shut_down();
        self.pool.shut_down();
        counts
    }

    /// Returns how many jobs have finished.
    pub(crate) fn finished(&self) -> usize {
        self.finished.load(Ordering::Relaxed)
    }

    /// Waits until the last thread has ended. Call it after [`close`](Self::close) or
    /// [`shut_down`](Self::shut_down).
    ///
    /// Cancel safe: it changes nothing.
    pub(crate) async fn ended(&self) {
        poll_fn(|cx| self.pool.poll_ended(cx)).await;
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Records that a job has finished, even if it panics.
struct Finish<'a> {
    flags: &'a Flags,
    finished: &'a AtomicUsize,
}

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.flags.finish();
        self.finished.fetch_add(1, Ordering::Relaxed);
    }
}

impl<R> ThreadJob<R> {
    /// Ends the job if it has not started, and asks it to end otherwise. Awaiting this then
    /// still returns the result of the job. Returns how far the job had come; `None` if it was
    /// aborted before, and had not started.
    pub(crate) fn abort(&self) -> Option<Stage> {
        self.was_aborted.set(true);
        let stage = self.flags.cancel();
        self.handle.abort();
        stage
    }

    /// Returns whether a thread has begun to run the job.
    pub(crate) fn is_started(&self) -> bool {
        self.flags.has_started()
    }

    /// Returns whether awaiting this does not wait.
    pub(crate) fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

impl<R> Future for ThreadJob<R> {
    type Output = Result<R, ThreadFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.handle).poll(cx));
        Poll::Ready(match outcome {
            Ok(Ok(Some(result))) => Ok(result),
            Ok(Ok(None)) if self.was_aborted.get() => Err(ThreadFailure::Aborted),
            Ok(Ok(None)) => Err(ThreadFailure::ShutDown),
            Ok(Err(refusal)) => Err(ThreadFailure::Refused(refusal)),
            Err(error) => Err(match error.try_into_panic() {
                Ok(payload) => ThreadFailure::Panicked(payload),
                Err(_) if self.was_aborted.get() => ThreadFailure::Aborted,
                Err(_) => ThreadFailure::ShutDown,
            }),
        })
    }
}
