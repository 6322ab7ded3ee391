//! [`Worker`], which runs the jobs of a queue in a pool.
//!
//! ```text
//!   lease.rs    leases jobs while there is room, and starts a task for each
//!   held.rs     the task of a job: the pool runs it, until it ends or its lease is lost
//!   renew.rs    renews the leases of all jobs every third of their time
//!   store.rs    stores results and failures in the engine, and repeats that if it fails
//!   running.rs  what these share
//! ```
//!
//! # Invariants
//!
//! 1. A job is held from its lease until the engine has answered to its end, or its lease is lost.
//!    So a result is kept, and its lease renewed, for as long as the engine cannot be reached.
//! 2. The tasks belong to the loop of the worker, and the jobs run in other processes: a job that
//!    keeps a core busy does not keep its lease from being renewed.
//! 3. Only the answer to `finish` or `fail` says whether they were carried out. When a job has
//!    ended, an answer to `renew` changes nothing any more.

mod backoff;
mod event;
mod held;
mod lease;
mod renew;
mod room;
mod running;
mod store;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use coreloop_pool::{__jobs, JobFn, Pool};
use coreloop_runtime::select;
use coreloop_runtime::task::JoinSet;
use coreloop_sync::CancellationToken;

use crate::engine::Function;
use crate::error::Error;
use crate::queue::Queue;
use backoff::Backoff;
use event::Counters;
pub use event::{WorkerEvent, WorkerMetrics};
use running::Running;

/// A worker without a pool. [`Queue::worker`] returns it.
#[derive(Debug)]
#[must_use = "a worker does nothing until it has a pool and is run"]
pub struct WorkerBuilder {
    queue: Queue,
}

impl WorkerBuilder {
    pub(crate) fn new(queue: &Queue) -> Self {
        Self {
            queue: queue.clone(),
        }
    }

    /// Sets the pool in which the jobs run.
    ///
    /// The worker leases jobs of all functions that are registered in this program; see
    /// [`Worker::only`]. Other jobs may run in the pool too.
    pub fn jobs_of(self, pool: &Pool) -> Worker {
        Worker {
            queue: self.queue,
            pool: pool.clone(),
            functions: None,
            options: Options::default(),
            hook: None,
            control: WorkerControl::default(),
        }
    }
}

/// The shortest lease, and the shortest time limit of an attempt. With less, a worker would only
/// lease jobs and return them.
const SHORTEST: Duration = Duration::from_millis(10);

/// The longest lease, a year: unlike `Duration::MAX`, it can be added to the time of each engine.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How a worker treats its jobs.
#[derive(Debug, Clone, Copy)]
struct Options {
    lease: Duration,
    attempts: u32,
    backoff: Backoff,
    at_once: Option<usize>,
    timeout: Option<Duration>,
    retry_errors: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            attempts: 5,
            backoff: Backoff {
                first: Duration::from_secs(1),
                max: Duration::from_secs(300),
            },
            at_once: None,
            timeout: None,
            retry_errors: true,
        }
    }
}

/// A user's hook for events.
type Hook = Box<dyn Fn(&WorkerEvent)>;

/// A worker, which runs jobs of a queue in a pool.
///
/// The worker leases no more jobs than its pool has room for, and renews the leases while the jobs
/// wait or run. If a lease ends nevertheless, because this machine was stopped or cut off, another
/// worker takes the job: it is cancelled here, and its result is dropped.
///
/// # Attempts
///
/// An attempt has failed if the job panics, its process dies, its
/// [time limit](Worker::timeout) passes, or it returns an `Err`. Then the job waits for a time that
/// doubles, and is tried again, on any machine. After the last attempt it is among the
/// [dead letters](Queue::dead_letters). An attempt also counts if its machine is lost, so
/// that a job that brings down its machine is not tried for ever.
///
/// A job whose arguments do not decode, or whose result does not encode, is dead at once, because
/// another attempt with this version of the function would end alike. When the program is
/// corrected, [`Queue::requeue`] puts it back.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use coreloop::jobs::Queue;
/// use coreloop::pool::Pool;
///
/// async fn work(queue: &Queue) -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::builder().build()?;
///     let worker = queue
///         .worker()
///         .jobs_of(&pool)
///         .lease(Duration::from_secs(30))
///         .attempts(5)
///         .backoff(Duration::from_secs(1), Duration::from_secs(300));
///     // Finishes the jobs that run, and returns the others.
///     let metrics = worker.run_until(async { drop(coreloop::signal::ctrl_c().await) }).await?;
///     println!("{} jobs done", metrics.done);
///     Ok(())
/// }
/// # fn main() {}
/// ```
#[must_use = "a worker does nothing until it is run"]
pub struct Worker {
    queue: Queue,
    pool: Pool,
    /// The functions that the user has chosen.
    functions: Option<Result<Vec<Function>, Error>>,
    options: Options,
    hook: Option<Hook>,
    control: WorkerControl,
}

impl Worker {
    /// Leases only jobs of this function, and of the others for which this is called. By default
    /// the worker leases jobs of all functions that are registered in this program.
    pub fn only<F, S>(mut self, function: F) -> Self
    where
        F: JobFn<S>,
    {
        let functions = self.functions.take().unwrap_or_else(|| Ok(Vec::new()));
        self.functions = Some(functions.and_then(|mut functions| {
            let (name, version) = __jobs::function_of(&function)?;
            functions.push(Function {
                name: name.to_owned(),
                version,
            });
            Ok(functions)
        }));
        self
    }

    /// Sets for how long a job is leased. The default is 30 seconds, the minimum 10
    /// milliseconds, and the maximum a year.
    ///
    /// The lease is renewed every third of this time, however long the job takes. If this machine
    /// is lost, its jobs run elsewhere after this time.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.options.lease = lease.clamp(SHORTEST, LONGEST);
        self
    }

    /// Sets the maximum number of attempts of a job. The default is 5, and 0 counts as 1.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.attempts = attempts.max(1);
        self
    }

    /// Sets how long a job waits after its first failed attempt, and the longest time that it waits
    /// after a later one. The defaults are one second and five minutes.
    ///
    /// The time doubles with each attempt. A random part of up to half of it is left out, so that
    /// jobs that failed together do not come back together.
    pub fn backoff(mut self, first: Duration, max: Duration) -> Self {
        self.options.backoff = Backoff { first, max };
        self
    }

    /// Sets how many jobs the worker leases at a time.
    ///
    /// By default it is one for each process of the pool, and more while jobs are short: as many
    /// as end in a tenth of a second.
    pub fn at_once(mut self, jobs: usize) -> Self {
        self.options.at_once = Some(jobs.max(1));
        self
    }

    /// Sets a time limit for each attempt, which includes the time for which the job waits in the
    /// pool. By default there is none, and a job that hangs keeps its lease. A job that has not
    /// started by then is returned to the queue, which does not count as an attempt. The minimum is 10
    /// milliseconds.
    ///
    /// A job that has started is asked to stop, and its process is killed if the pool has
    /// [`kill_on_cancel`](coreloop_pool::Builder::kill_on_cancel).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout.max(SHORTEST));
        self
    }

    /// Sets whether an `Err` that a job returns is a failed attempt. The default is `true`.
    /// Otherwise it is a result like any other.
    pub fn retry_errors(mut self, retry: bool) -> Self {
        self.options.retry_errors = retry;
        self
    }

    /// Sets a hook, which is called for each event.
    pub fn on_event(mut self, hook: impl Fn(&WorkerEvent) + 'static) -> Self {
        self.hook = Some(Box::new(hook));
        self
    }

    /// Returns a handle with which the worker can be stopped and watched while it runs.
    #[must_use]
    pub fn control(&self) -> WorkerControl {
        self.control.clone()
    }

    /// Runs jobs until the worker is [stopped](WorkerControl::stop). Then it leases no more, returns
    /// the jobs that have not started, and waits for those that run.
    ///
    /// If the engine fails, the worker tries again until it succeeds, with pauses of up to five
    /// seconds.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the jobs that run are cancelled, and their leases end with their time.
    ///
    /// # Errors
    ///
    /// Returns an error if no function is registered, or a function of [`only`](Self::only) is not.
    /// Returns an error also if the pool is closed or fails, when all jobs have ended or were
    /// returned.
    pub async fn run(self) -> Result<WorkerMetrics, Error> {
        let counters = Rc::clone(&self.control.shared.counters);
        let running = Running::new(self)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(Rc::clone(&running).renew_leases());
        tasks.spawn(Rc::clone(&running).store_ends());
        let mut jobs = JoinSet::new();
        let ended = Rc::clone(&running).lease_jobs(&mut jobs).await;
        running.finish_jobs().await;
        ended.map(|()| counters.metrics())
    }

    /// Runs jobs until `shutdown` completes, and then stops like [`run`](Self::run).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the jobs that run are cancelled, and their leases end with their time.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`run`](Self::run).
    pub async fn run_until(
        self,
        shutdown: impl Future<Output = ()>,
    ) -> Result<WorkerMetrics, Error> {
        let control = self.control();
        let mut run = pin!(self.run());
        select! {
            ended = &mut run => return ended,
            () = shutdown => control.stop(),
        }
        run.await
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("queue", &self.queue)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A handle of a [`Worker`], with which it can be stopped and watched while it runs.
#[derive(Clone, Default)]
pub struct WorkerControl {
    shared: Rc<Shared>,
}

#[derive(Default)]
struct Shared {
    stop: CancellationToken,
    counters: Rc<Counters>,
}

impl WorkerControl {
    /// Stops the worker: it leases no more jobs, returns those that have not started, and
    /// [`run`](Worker::run) returns when the others have ended.
    pub fn stop(&self) {
        self.shared.stop.cancel();
    }

    /// Returns what the worker has done.
    #[must_use]
    pub fn metrics(&self) -> WorkerMetrics {
        self.shared.counters.metrics()
    }
}

impl fmt::Debug for WorkerControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerControl")
            .field("is_stopped", &self.shared.stop.is_cancelled())
            .field("metrics", &self.metrics())
            .finish()
    }
}
