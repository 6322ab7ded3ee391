//! [`Builder`], the options of a pool.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use coreloop_process::{Restarts, Workers};
use coreloop_runtime::runtime::Handle;
use coreloop_sync::Semaphore;

use super::Pool;
use super::core::Core;
use super::options::{FirstCall, LocalOptions, Options, invalid};
use crate::current::program_name;
use crate::dispatch::Prefetch;
use crate::enter;
use crate::frame::SLOTS;
use crate::job::call;
use crate::job::encoded::Encoded;
use crate::job::function::{IntoArguments, JobFn};
use crate::job::initialize::Initializer;
use crate::job::list::Jobs;
use crate::job::registry::Registry;

/// The default limit of a message, 64 MiB.
const MAX_MESSAGE: usize = 64 << 20;

/// The options of a [`Pool`].
///
/// # Examples
///
/// ```no_run
/// use coreloop::pool::Pool;
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::pool::enter_worker();
/// # coreloop::block_on(async {
/// let pool = Pool::builder().workers(4).max_jobs(1_000).build()?;
/// # let _ = pool;
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use]
pub struct Builder {
    workers: Workers,
    prefetch: Prefetch,
    max_jobs: Option<u64>,
    max_memory: Option<u64>,
    max_message: usize,
    queue: usize,
    kill_on_cancel: bool,
    restarts: Restarts,
    name: Option<String>,
    initializer: Option<FirstCall>,
    jobs: Jobs,
    program: Option<PathBuf>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            workers: Workers::PerCore,
            prefetch: Prefetch::Adaptive,
            max_jobs: None,
            max_memory: None,
            max_message: MAX_MESSAGE,
            queue: 1_024,
            kill_on_cancel: false,
            // The death of a worker that was ready costs a job, so the number of jobs limits
            // the number of such deaths.
            restarts: Restarts::new().max_immediate(1_000),
            name: None,
            initializer: None,
            jobs: Jobs::new(),
            program: None,
        }
    }

    /// Sets the file that workers run, which has to be this program. The default is the file
    /// that this process runs.
    ///
    /// This is for valgrind and other emulators, whose own file is the default.
    #[doc(hidden)]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// Sets the number of workers. The default is one for each core that this process may
    /// use.
    ///
    /// The number may be given as a number, or as [`Workers::PerCore`] or
    /// [`Workers::processes`].
    pub fn workers(mut self, workers: impl Into<Workers>) -> Self {
        self.workers = workers.into();
        self
    }

    /// Sets how many jobs are sent to a worker at a time, from 1 to 64.
    ///
    /// While a worker runs one job, the next ones wait in its socket, so that it need not wait
    /// for the pool. They can still be cancelled there, and are taken back when another worker
    /// is idle.
    ///
    /// By default the number is 2, and grows to 32 while jobs take less than 200 µs on average.
    pub fn prefetch(mut self, jobs: usize) -> Self {
        self.prefetch = Prefetch::Fixed(jobs.clamp(1, SLOTS));
        self
    }

    /// Sets how many jobs a worker runs before it is replaced. Its replacement is started
    /// before it ends.
    pub fn max_jobs(mut self, jobs: u64) -> Self {
        self.max_jobs = Some(jobs.max(1));
        self
    }

    /// Sets how much memory a worker may have, in bytes.
    ///
    /// A worker that has more after a job is replaced. While jobs run, the pool also reads the
    /// memory of its workers every 200 ms, and kills a worker that has more than twice the limit.
    /// The job that it ran fails with an error for which
    /// [`is_broken_worker`](crate::JobError::is_broken_worker) returns `true`. This does nothing
    /// except on Linux, because the memory of another process is not known there.
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// Sets how long encoded arguments and results may be, in bytes: at most 4 GiB − 1. The
    /// default is 64 MiB.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes.min(u32::MAX as usize);
        self
    }

    /// Sets how many jobs may wait for a worker. The default is 1,024.
    ///
    /// When that many wait, [`submit`](Pool::submit) waits. A job leaves the queue when it is sent
    /// to a worker. The jobs of a [`map`](Pool::map) do not count: its
    /// [window](super::Map::window) limits them.
    pub fn queue(mut self, jobs: usize) -> Self {
        self.queue = jobs.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Sets whether a worker is killed when the job that it runs is cancelled or reaches its
    /// time limit. The default is `false`: the job is asked to stop, see
    /// [`job::is_cancelled`](crate::job::is_cancelled), and its result is dropped.
    ///
    /// Other jobs that were sent to the worker run in other workers.
    pub fn kill_on_cancel(mut self, kill: bool) -> Self {
        self.kill_on_cancel = kill;
        self
    }

    /// Sets how soon workers that have died are replaced, and when jobs fail because workers do
    /// not start.
    ///
    /// The default differs from [`Restarts::new`] in that up to 1,000 workers in ten seconds
    /// are replaced at once. If [`max_failed_starts`](Restarts::max_failed_starts) workers in a
    /// row end before they are ready, and none is ready, the jobs that wait fail. If no worker
    /// was ever ready, the pool has failed: it starts no more workers, and later jobs fail too.
    pub fn restarts(mut self, restarts: Restarts) -> Self {
        self.restarts = restarts;
        self
    }

    /// Sets the name that `ps` shows for the workers. The default is the name of the program.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets a function that each worker calls before its first job.
    ///
    /// The function has the attribute `#[coreloop::job]`. What it returns is the
    /// [state of the worker](crate::job::worker_state). If it returns an `Err` or panics, the
    /// worker ends, and [`restarts`](Builder::restarts) says what follows.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::collections::HashSet;
    ///
    /// use coreloop::pool::{Pool, job};
    ///
    /// #[coreloop::job(initializer)]
    /// fn open_dictionary(path: String) -> std::io::Result<HashSet<String>> {
    ///     let text = std::fs::read_to_string(path)?;
    ///     Ok(text.split_whitespace().map(str::to_owned).collect())
    /// }
    ///
    /// #[coreloop::job]
    /// fn is_known(word: String) -> bool {
    ///     job::worker_state::<HashSet<String>>().contains(&word)
    /// }
    ///
    /// #[coreloop::main]
    /// async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let pool = Pool::builder()
    ///         .initializer(open_dictionary, "words.txt".to_owned())
    ///         .build()?;
    ///     println!("{}", pool.run(is_known, "runtime".to_owned()).await?);
    ///     Ok(())
    /// }
    /// ```
    pub fn initializer<F, S>(
        mut self,
        function: F,
        arguments: impl IntoArguments<F::Arguments>,
    ) -> Self
    where
        F: Initializer<S>,
    {
        let mut encoded = Encoded::default();
        let result = encoded.push(&arguments.into_arguments());
        self.initializer = Some(FirstCall {
            function: call::type_of(&function),
            name: std::any::type_name::<F>(),
            arguments: result.map(|()| encoded),
        });
        self
    }

    /// Adds a function that the attribute cannot register. The program has to
    /// [enter](Builder::enter_worker) with it.
    #[track_caller]
    pub fn job<F, S>(mut self, function: F) -> Self
    where
        F: JobFn<S> + Send + Sync,
    {
        self.jobs = self.jobs.job(function);
        self
    }

    /// Runs the worker of a pool, if this process is one, with the functions that were
    /// [added](Builder::job).
    ///
    /// Call it at the start of `main`, instead of [`enter_worker`](crate::enter_worker).
    pub fn enter_worker(&self) {
        enter::enter_worker_with(&self.jobs);
    }

    /// Starts the workers, and returns the pool. It does not wait until they are ready.
    ///
    /// The workers belong to the current runtime, and to this thread: the kernel kills them
    /// when the thread ends.
    ///
    /// # Errors
    ///
    /// Returns an error if
    ///
    /// - this process has not [entered](crate::enter_worker), so that its workers would not
    ///   either;
    /// - two jobs have the same name and version, or there are more than 65,536;
    /// - a job that was [added](Builder::job) here is not known to workers;
    /// - the initializer is not registered, or its arguments cannot be encoded;
    /// - the workers are [threads](Workers::threads);
    /// - there is no current runtime.
    ///
    /// A worker that cannot be started is no error here: see [`restarts`](Builder::restarts).
    pub fn build(self) -> io::Result<Pool> {
        Ok(Pool::new(self.into_core(false)?))
    }

    /// Returns the options that do not concern processes.
    pub(crate) fn into_local(self) -> io::Result<LocalOptions> {
        Handle::try_current().map_err(io::Error::other)?;
        let registry = Registry::of_program()?;
        let initializer = self.initializer;
        let initializer = initializer.map(|first| first.resolve(registry, self.max_message));
        Ok(LocalOptions {
            registry,
            name: self.name,
            queue: self.queue,
            max_message: self.max_message,
            initializer: initializer.transpose()?.map(Into::into),
        })
    }

    pub(crate) fn into_core(self, is_single: bool) -> io::Result<Rc<Core>> {
        let start = enter::check()?;
        Handle::try_current().map_err(io::Error::other)?;
        let registry = Registry::of_program()?;
        registry.check(&self.jobs)?;
        let workers = self.workers.process_count().ok_or_else(|| {
            invalid("the workers of a pool are processes; for threads, use Executor::threads")
        })?;
        let initializer = self.initializer;
        let initializer = initializer.map(|first| first.resolve(registry, self.max_message));
        let initializer = initializer.transpose()?;
        let options = Options {
            workers: workers as usize,
            prefetch: self.prefetch,
            max_jobs: self.max_jobs,
            max_memory: self.max_memory,
            max_message: self.max_message,
            queue: self.queue,
            kill_on_cancel: self.kill_on_cancel,
            restarts: self.restarts,
            name: self.name.unwrap_or_else(program_name),
            initializer: initializer.map(Into::into),
            start,
            program: self.program,
            is_single,
        };
        let core = Core::new(options, registry);
        core.deadlines.start(Rc::downgrade(&core));
        if !is_single {
            core.start_missing();
        }
        Ok(core)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.workers)
            .field("prefetch", &self.prefetch)
            .field("max_jobs", &self.max_jobs)
            .field("queue", &self.queue)
            .field("kill_on_cancel", &self.kill_on_cancel)
            .finish_non_exhaustive()
    }
}
