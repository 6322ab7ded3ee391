//! [`Pool`], worker processes that run jobs.
//!
//! ```text
//!   Pool ──► Core ──► Dispatcher       which worker gets which job; no clock, no I/O
//!             │  ▲
//!             │  └─── Connection       the task of a worker: reads results, writes jobs
//!             ▼            │
//!            Link ◄────────┘           a worker: its process, its page
//! ```

mod attached;
mod builder;
mod cancel;
mod chunk;
mod connection;
pub(crate) mod core;
mod deadlines;
mod death;
mod handle;
pub(crate) mod job;
mod launch;
pub(crate) mod link;
mod map;
mod memory;
mod metrics;
mod options;
mod out;
#[cfg(feature = "portable")]
pub(crate) mod portable;
mod progress;
pub(crate) mod request;
mod results;
mod shutdown;
mod starts;

use std::fmt;
use std::rc::Rc;

use self::core::{Core, Phase};

pub use builder::Builder;
pub(crate) use handle::CancelOnDrop;
pub use handle::JobHandle;
pub(crate) use map::window;
pub use map::{FromIterator, FromStream, IntoInputs, Iterated, Map};
pub use metrics::{Metrics, WorkerMetrics, WorkerState};
pub(crate) use options::{FirstArguments, LocalOptions};
pub use progress::Progress;
pub use request::{JobRequest, TrySubmitError};
pub use shutdown::Report;

use crate::error::{ErrorKind, JobError};
use crate::job::function::{IntoArguments, JobFn};

/// Worker processes that run jobs.
///
/// A clone is another handle of the same pool, and each [`Map`] has one. When the last handle is
/// dropped, all jobs fail: a worker that runs one is killed, and the others end. For an orderly
/// end, see [`shutdown`](Pool::shutdown) and [`close`](Pool::close).
///
/// # Failures
///
/// When a worker ends, it is replaced. A job that only waited in its socket runs in another
/// worker. A job that had started fails, with an error for which
/// [`is_broken_worker`](JobError::is_broken_worker) returns `true`, because it is not known how
/// far the job came. If it is [idempotent](JobRequest::idempotent), it is started again instead.
///
/// # Examples
///
/// ```no_run
/// use coreloop::pool::Pool;
///
/// #[coreloop::job]
/// fn square(number: u64) -> u64 {
///     number * number
/// }
///
/// #[coreloop::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::builder().build()?;
///     assert_eq!(pool.run(square, 12).await?, 144);
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Pool {
    pub(crate) core: Rc<Core>,
    _users: Rc<Users>,
}

/// Ends the pool when its last handle is dropped.
struct Users(Rc<Core>);

impl Drop for Users {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Pool {
    /// Returns a builder with the default options.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(core: Rc<Core>) -> Self {
        let users = Rc::new(Users(Rc::clone(&core)));
        Self {
            core,
            _users: users,
        }
    }

    /// Calls a function in a worker, and returns its result. Dropping the future cancels the
    /// job.
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
        F: JobFn<S>,
    {
        self.job(function, arguments).run().await
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
    /// or are too long, or if the pool is closed or has failed.
    pub async fn submit<F, S>(
        &self,
        function: F,
        arguments: impl IntoArguments<F::Arguments>,
    ) -> Result<JobHandle<F::Output>, JobError>
    where
        F: JobFn<S>,
    {
        self.job(function, arguments).submit().await
    }

    /// Returns a request for a call, to which options can be added.
    pub fn job<F, S>(
        &self,
        function: F,
        arguments: impl IntoArguments<F::Arguments>,
    ) -> JobRequest<F::Output>
    where
        F: JobFn<S>,
    {
        JobRequest::new(&self.core, function, arguments)
    }

    /// Calls a function for each input, and returns a stream of the results in the order of
    /// the inputs.
    ///
    /// The inputs are an iterator or a stream, which may be endless: the stream takes no more
    /// of them than its [window](Map::window) allows. The jobs of a map do not count for the
    /// [queue](Builder::queue) of the pool.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::for_await;
    /// use coreloop::pool::Pool;
    ///
    /// #[coreloop::job]
    /// fn area(width: u32, height: u32) -> u32 {
    ///     width * height
    /// }
    ///
    /// #[coreloop::main]
    /// async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let pool = Pool::builder().workers(4).build()?;
    ///     let mut sizes = Vec::new();
    ///     for_await!(size in pool.map(area, [(1, 2), (3, 4)]).chunks(100) {
    ///         sizes.push(size?);
    ///     });
    ///     assert_eq!(sizes, [2, 12]);
    ///     Ok(())
    /// }
    /// ```
    pub fn map<'a, F, S, I, K>(&self, function: F, inputs: I) -> Map<'a, F::Output>
    where
        F: JobFn<S>,
        I: IntoInputs<K, Item: IntoArguments<F::Arguments>, Stream: 'a>,
    {
        let _ = function;
        Map::new::<F, S, I, K>(self, inputs, true)
    }

    /// Calls a function for each input, and returns a stream of the results in the order in
    /// which they come. Otherwise like [`map`](Pool::map).
    pub fn map_unordered<'a, F, S, I, K>(&self, function: F, inputs: I) -> Map<'a, F::Output>
    where
        F: JobFn<S>,
        I: IntoInputs<K, Item: IntoArguments<F::Arguments>, Stream: 'a>,
    {
        let _ = function;
        Map::new::<F, S, I, K>(self, inputs, false)
    }

    /// Waits until a worker is ready.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if the pool has failed, because too many workers in a row ended before
    /// they were ready, or if it is closed.
    pub async fn ready(&self) -> Result<(), JobError> {
        loop {
            let changed = self.core.changed.notified();
            if let Some(reason) = self.core.broken() {
                return Err(JobError::new(ErrorKind::Initializer(reason)));
            }
            if self.core.phase() > Phase::Open {
                return Err(JobError::new(ErrorKind::ShutDown));
            }
            if self.core.dispatcher.borrow().counts().ready > 0 {
                return Ok(());
            }
            changed.await;
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.core.options.name)
            .field("workers", &self.core.options.workers)
            .finish_non_exhaustive()
    }
}
