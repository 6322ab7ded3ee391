//! [`ThreadPool`]: threads for blocking work, beside the threads of the runtime, for the other
//! crates of coreloop.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::engine::core::context;
use crate::engine::panics::UserValue;
use crate::engine::remote::join::RemoteJoinHandle;
use crate::engine::remote::pool::options::Options;
use crate::engine::remote::pool::own::{OnStart, OnStop, OwnPool};
use crate::engine::remote::spawner;

pub use crate::engine::remote::pool::refusal::Refusal;

/// A pool of threads whose jobs belong to the current runtime.
///
/// A job is like one of [`spawn_blocking`](crate::task::spawn_blocking()): it runs on a thread
/// that is started when none is idle, up to a maximum; jobs above that wait in a queue, and
/// run in order. The threads stay until the pool ends.
///
/// The pool ends when this is dropped, or with its runtime: the jobs in the queue are
/// cancelled, and a thread that runs a job ends after it. The end waits for no thread.
pub struct ThreadPool {
    pool: Arc<OwnPool>,
}

/// The settings of a [`ThreadPool`].
pub struct ThreadPoolOptions {
    /// The maximum number of threads, at least 1.
    pub max_threads: usize,
    /// What the names of the threads begin with. A hyphen and a number follow. Linux shows
    /// 15 bytes.
    pub name: String,
    /// The stack size of the threads. The default is the standard library's.
    pub stack_size: Option<usize>,
    /// A function that each thread calls before its first job. If it fails or panics, the
    /// pool is broken: the jobs in the queue and later ones get a [`Refusal`].
    pub on_start: Option<OnStart>,
    /// A function that each thread calls when it takes no more jobs, even if `on_start` has
    /// failed. A panic is caught.
    pub on_stop: Option<OnStop>,
}

/// The numbers of threads and jobs of a [`ThreadPool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadPoolStats {
    /// The number of threads that take jobs, including those that are being started.
    pub threads: usize,
    /// The number of jobs that wait for a thread.
    pub queued: usize,
    /// The number of jobs that run.
    pub running: usize,
}

impl ThreadPool {
    /// Creates a pool in the current runtime. It has no threads yet.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime, or if the maximum number of threads is zero.
    #[must_use]
    #[track_caller]
    pub fn new(options: ThreadPoolOptions) -> Self {
        assert!(options.max_threads > 0, "a pool needs at least 1 thread");
        let Some(home) =
            context::with_current(|event_loop| Arc::clone(spawner::shared_of(event_loop)))
        else {
            context::missing("ThreadPool::new");
        };
        let (name, started) = (options.name, AtomicUsize::new(0));
        let name = move || format!("{name}-{}", started.fetch_add(1, Ordering::Relaxed));
        let threads = Options {
            max_threads: options.max_threads,
            keep_alive: Duration::MAX,
            stack_size: options.stack_size,
            name: UserValue::new(Arc::new(name)),
        };
        Self {
            pool: OwnPool::new(home, threads, options.on_start, options.on_stop),
        }
    }

    /// Puts `work` in the queue, and starts a thread for it if none is idle.
    ///
    /// Awaiting the handle returns the output of `work`, or a [`Refusal`] if no thread could
    /// run it. The error of the handle is a panic of `work`, or a cancellation: `work` was aborted
    /// while it waited for a thread, or was in the queue at the end of the pool, or was spawned
    /// after that.
    #[must_use]
    #[track_caller]
    pub fn spawn<W, R>(&self, work: W) -> RemoteJoinHandle<Result<R, Refusal>>
    where
        W: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.pool.spawn(work, Location::caller())
    }

    /// Takes no more jobs. Those in the queue still run, and then the threads end.
    pub fn close(&self) {
        self.pool.pool().close_when_empty();
    }

    /// Takes no more jobs, and cancels those in the queue. The threads end after the jobs
    /// that they run.
    pub fn shut_down(&self) {
        self.pool.pool().close();
    }

    /// Returns `Ready` if the pool was closed and its last thread has called `on_stop`.
    ///
    /// Call this after [`close`](Self::close) or [`shut_down`](Self::shut_down): a paused
    /// clock does not move while a task waits for the end of a pool.
    pub fn poll_ended(&self, cx: &Context<'_>) -> Poll<()> {
        self.pool.pool().poll_ended(cx, self.pool.home())
    }

    /// Returns the numbers of threads and jobs.
    #[must_use]
    pub fn stats(&self) -> ThreadPoolStats {
        let stats = self.pool.pool().stats();
        ThreadPoolStats {
            threads: stats.threads,
            queued: stats.queued,
            running: stats.running,
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ThreadPool").field(&self.pool).finish()
    }
}

impl fmt::Debug for ThreadPoolOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolOptions")
            .field("max_threads", &self.max_threads)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
