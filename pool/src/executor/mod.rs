//! [`Executor`]: one interface to threads, to processes and to the loop itself.

mod builder;
pub(crate) mod inline;
mod map;
mod slot;
pub(crate) mod threads;
mod wait;

use std::any::{TypeId, type_name};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use coreloop_process::Workers;

use crate::error::{ErrorKind, JobError};
use crate::job::function::{IntoArguments, JobFn};
use crate::job::registry::{Registered, Registry, not_registered};
use crate::pool::{CancelOnDrop, IntoInputs, JobHandle, Pool, Report};
use inline::InlineEngine;
use threads::engine::ThreadEngine;

pub use builder::ExecutorBuilder;
pub use map::ExecutorMap;
pub use wait::wait;

/// Runs jobs on threads, in processes, or on the loop, by one interface.
///
/// This is Python's `concurrent.futures`: [`threads`](Executor::threads) is its
/// `ThreadPoolExecutor`, [`processes`](Executor::processes) its `ProcessPoolExecutor`, and
/// [`inline`](Executor::inline) is for tests. Jobs are functions with `#[coreloop::job]` in each
/// of them, and their arguments and results can be sent to a thread and to a process. So a
/// program moves from threads to processes by one word.
///
/// A clone is another handle of the same executor. When the last one is dropped, the executor
/// ends as by [`shutdown`](Executor::shutdown) with a timeout of zero.
///
/// # Differences
///
/// | | `threads` | `processes` | `inline` |
/// |---|---|---|---|
/// | jobs at a time | `count` | `count` | one, in order |
/// | a job that computes | leaves the loop free | leaves the loop free | holds up the loop |
/// | an async job | has its thread for itself | has its process for itself | runs beside the other tasks of the loop |
/// | [`spawn`](Executor::spawn) of a closure | yes | an error | an error |
/// | arguments and results | are moved | are encoded and decoded | are encoded and decoded |
/// | [`max_message`](ExecutorBuilder::max_message) | does not apply | applies | applies |
/// | a panic | is printed by the panic hook; [`panic_message`](JobError::panic_message) has no place | is not printed; the message has the place | as on a thread |
/// | a crash, or [`exit`](std::process::exit) | ends the program | is an error of the job | ends the program |
/// | [`abort`](JobHandle::abort) of a job that runs | asks it to stop | asks it to stop, or kills it: [`kill_on_cancel`](crate::Builder::kill_on_cancel) | asks it to stop |
/// | the initializer runs | on each thread, before its first job | in each process, when it starts | once, before the first job |
/// | if the initializer fails | the executor fails | the process is replaced; after some failures the executor fails | the executor fails |
/// | a job that runs at the end of [`shutdown`](Executor::shutdown) | is asked to stop, and abandoned | is killed | is dropped |
/// | the program has to [enter](crate::enter_worker) | no | yes | no |
///
/// A job that runs on a thread cannot be ended from outside, so its handle fails at once, and the
/// thread is free again when the function returns. A thread that runs a job does not hold up the
/// end of the program.
///
/// # Callbacks
///
/// Python's `Future.add_done_callback` is a task that awaits the handle:
///
/// ```
/// use coreloop::pool::Executor;
///
/// #[coreloop::job]
/// fn square(number: u64) -> u64 {
///     number * number
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # coreloop::block_on(async {
/// let executor = Executor::threads(2)?;
/// let job = executor.submit(square, 12).await?;
/// let callback = coreloop::spawn(async move {
///     match job.await {
///         Ok(number) => println!("the square is {number}"),
///         Err(error) => println!("{error}"),
///     }
/// });
/// # callback.await?;
/// # Ok(())
/// # })
/// # }
/// ```
///
/// # Waiting for several jobs
///
/// Python's `as_completed` is [`scope::as_completed`], which takes handles as it takes any
/// future; `wait` is [`wait`](wait()).
///
/// [`scope::as_completed`]: coreloop_runtime::scope::as_completed
///
/// ```
/// use coreloop::pool::Executor;
/// use coreloop::scope::as_completed;
/// # #[coreloop::job]
/// # fn square(number: u64) -> u64 {
/// #     number * number
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # coreloop::block_on(async {
///
/// let executor = Executor::threads(2)?;
/// let mut jobs = Vec::new();
/// for number in 1..=3 {
///     jobs.push(executor.submit(square, number).await?);
/// }
/// let mut sum = 0;
/// let mut completed = as_completed(jobs);
/// while let Some(square) = completed.next().await {
///     sum += square?;
/// }
/// assert_eq!(sum, 14);
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone)]
pub struct Executor {
    engine: Engine,
}

#[derive(Clone)]
enum Engine {
    Threads(Rc<ThreadEngine>),
    Processes(Pool),
    Inline(Rc<InlineEngine>),
}

/// The outcomes of a function for the items of a chunk.
type Items<R> = Vec<Result<R, JobError>>;

impl Executor {
    /// Creates an executor with up to `count` threads, which are started when they are needed.
    ///
    /// The number may be given as a number, or as [`Workers::PerCore`]. The threads belong to
    /// the current runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if two jobs have the same name and version, if `count` is
    /// [`Workers::threads`], which are the threads of a supervisor, or outside a runtime.
    pub fn threads(count: impl Into<Workers>) -> io::Result<Self> {
        Self::builder().threads(count)
    }

    /// Creates an executor with `count` processes: a [`Pool`] with default options.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`Builder::build`](crate::Builder::build).
    pub fn processes(count: impl Into<Workers>) -> io::Result<Self> {
        Self::builder().processes(count)
    }

    /// Creates an executor that runs the jobs on the loop, one after the other, in the order in
    /// which they were submitted.
    ///
    /// It is for tests, which are fast and deterministic without processes and threads.
    /// Arguments and results are encoded and decoded, so that values which could not be sent to
    /// a process are errors here too.
    ///
    /// # Errors
    ///
    /// Returns an error if two jobs have the same name and version, or outside a runtime.
    pub fn inline() -> io::Result<Self> {
        Self::builder().inline()
    }

    /// Returns a builder with the default options.
    pub fn builder() -> ExecutorBuilder {
        ExecutorBuilder::new()
    }

    /// Calls a function, and returns its result. Dropping the future cancels the job.
    ///
    /// Arguments are a tuple; a single argument may be passed as it is.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future cancels the job, as [`JobHandle::abort`] does.
    ///
    /// # Errors
    ///
    /// Returns an error if the job has no result; see [`JobError`].
    pub async fn run<F, S>(
        &self,
        function: F,
        arguments: impl IntoArguments<F::Arguments>,
    ) -> Result<F::Output, JobError>
    where
        F: JobFn<S, Arguments: Send, Output: Send> + Send,
    {
        let handle = self.submit(function, arguments).await?;
        CancelOnDrop(handle).outcome().await
    }

    /// Submits a call of a function. Waits only while the queue is full.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped before it has completed submits nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the function is not registered, if the arguments cannot be encoded
    /// or are too long, or if the executor is closed or has failed.
    pub async fn submit<F, S>(
        &self,
        function: F,
        arguments: impl IntoArguments<F::Arguments>,
    ) -> Result<JobHandle<F::Output>, JobError>
    where
        F: JobFn<S, Arguments: Send, Output: Send> + Send,
    {
        match &self.engine {
            Engine::Threads(threads) => threads.submit(function, arguments.into_arguments()).await,
            Engine::Processes(pool) => pool.submit(function, arguments).await,
            Engine::Inline(inline) => inline.submit(function, arguments.into_arguments()).await,
        }
    }

    /// Submits a closure to an executor of threads. Waits only while the queue is full.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped before it has completed submits nothing.
    ///
    /// # Errors
    ///
    /// Returns an error for which [`is_not_registered`](JobError::is_not_registered) returns
    /// `true` if this executor does not run its jobs on threads, or an error if it is closed or
    /// has failed.
    pub async fn spawn<W, R>(&self, work: W) -> Result<JobHandle<R>, JobError>
    where
        W: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        match &self.engine {
            Engine::Threads(threads) => threads.spawn(work).await,
            Engine::Processes(_) | Engine::Inline(_) => {
                let text = "only `Executor::threads` runs closures; write a function with \
                            `#[coreloop::job]`, and `submit` it";
                let kind = ErrorKind::NotRegistered(text.to_owned());
                Err(error(Some(type_name::<W>()), kind))
            }
        }
    }

    /// Calls a function for each input, and returns a stream of the results in the order of
    /// the inputs.
    ///
    /// The inputs are an iterator or a stream, which may be endless: the stream takes no more
    /// of them than its [window](ExecutorMap::window) allows.
    pub fn map<'a, F, S, I, K>(&self, function: F, inputs: I) -> ExecutorMap<'a, F::Output>
    where
        F: JobFn<S, Arguments: Send, Output: Send> + Send,
        S: 'static,
        I: IntoInputs<K, Item: IntoArguments<F::Arguments>, Stream: 'a>,
    {
        ExecutorMap::new(&self.engine, function, inputs, true)
    }

    /// Calls a function for each input, and returns a stream of the results in the order in
    /// which they come.
    pub fn map_unordered<'a, F, S, I, K>(
        &self,
        function: F,
        inputs: I,
    ) -> ExecutorMap<'a, F::Output>
    where
        F: JobFn<S, Arguments: Send, Output: Send> + Send,
        S: 'static,
        I: IntoInputs<K, Item: IntoArguments<F::Arguments>, Stream: 'a>,
    {
        ExecutorMap::new(&self.engine, function, inputs, false)
    }

    /// Accepts no more jobs. Those that were accepted still run, and then the threads or
    /// processes end.
    ///
    /// A job that is submitted later fails with an error for which
    /// [`is_shut_down`](JobError::is_shut_down) returns `true`. So does one whose `submit` waits
    /// for room.
    pub fn close(&self) {
        match &self.engine {
            Engine::Threads(threads) => threads.close(),
            Engine::Processes(pool) => pool.close(),
            Engine::Inline(inline) => inline.close(),
        }
    }

    /// Returns whether the executor accepts no more jobs.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match &self.engine {
            Engine::Threads(threads) => threads.is_closed(),
            Engine::Processes(pool) => pool.is_closed(),
            Engine::Inline(inline) => inline.is_closed(),
        }
    }

    /// Waits until the executor was closed, and its threads or processes have ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn join(&self) {
        match &self.engine {
            Engine::Threads(threads) => threads.join().await,
            Engine::Processes(pool) => pool.join().await,
            Engine::Inline(inline) => inline.join().await,
        }
    }

    /// Closes the executor, lets its jobs finish until `timeout` has passed, and then fails those
    /// that are left. A process that runs one of them is killed. A thread cannot be killed, so its
    /// job is asked to stop, and [`Report::abandoned`] counts it.
    ///
    /// It returns when all processes have ended. It does not wait for a thread whose job has
    /// not finished in time; [`join`](Executor::join) does. A paused clock does not move while
    /// this waits for threads.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the executor stays closed. If the future is dropped before the time has
    /// passed, the jobs still run.
    pub async fn shutdown(&self, timeout: Duration) -> Report {
        match &self.engine {
            Engine::Threads(threads) => threads.shutdown(timeout).await,
            Engine::Processes(pool) => pool.shutdown(timeout).await,
            Engine::Inline(inline) => inline.shutdown(timeout).await,
        }
    }
}

impl From<Pool> for Executor {
    /// Returns an executor that runs jobs in the processes of `pool`.
    fn from(pool: Pool) -> Self {
        Self {
            engine: Engine::Processes(pool),
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.engine {
            Engine::Threads(_) => "threads",
            Engine::Processes(_) => "processes",
            Engine::Inline(_) => "inline",
        };
        f.debug_struct("Executor")
            .field("engine", &name)
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Finds a function.
fn registered<F: 'static>(registry: &'static Registry) -> Result<&'static Registered, JobError> {
    let number = registry.find(TypeId::of::<F>());
    number
        .and_then(|number| registry.get(number))
        .ok_or_else(|| {
            let name = type_name::<F>();
            error(Some(name), ErrorKind::NotRegistered(not_registered(name)))
        })
}

/// Creates the error of a job, which has no name if it is a closure.
fn error(name: Option<&'static str>, kind: ErrorKind) -> JobError {
    let error = JobError::new(kind);
    match name {
        Some(name) => error.of_job(name),
        None => error,
    }
}
