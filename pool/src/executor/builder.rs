//! [`ExecutorBuilder`], the options of an executor.

use std::fmt;
use std::io;

use coreloop_process::Workers;

use super::inline::InlineEngine;
use super::threads::engine::ThreadEngine;
use super::{Engine, Executor};
use crate::job::function::IntoArguments;
use crate::job::initialize::Initializer;
use crate::pool::{Builder, Pool};

/// The options of an [`Executor`].
///
/// A [`Pool`] has more options. `Executor::from(pool)` makes an executor of a pool.
///
/// # Examples
///
/// ```
/// use coreloop::pool::Executor;
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let executor = Executor::builder().name("thumbnails").queue(100).threads(4)?;
/// # let _ = executor;
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use]
pub struct ExecutorBuilder(Builder);

impl ExecutorBuilder {
    pub(super) fn new() -> Self {
        Self(Pool::builder())
    }

    /// Sets the name that `ps` shows for the processes, or that the names of the threads begin
    /// with: a hyphen and a number follow. Linux shows 15 bytes of the name of a thread.
    ///
    /// The default is the name of the program for processes, and `job` for threads.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self(self.0.name(name))
    }

    /// Sets a function that each thread or process calls before its first job.
    ///
    /// The function has the attribute `#[coreloop::job]`. What it returns is the
    /// [state of the worker](crate::job::worker_state), which each thread and process has for
    /// itself, and which need not be `Send`. The [table](Executor#differences) says what
    /// happens if it returns an `Err` or panics.
    pub fn initializer<F, S>(self, function: F, arguments: impl IntoArguments<F::Arguments>) -> Self
    where
        F: Initializer<S>,
    {
        Self(self.0.initializer(function, arguments))
    }

    /// Sets how many jobs may wait. The default is 1,024.
    ///
    /// When that many wait, [`submit`](Executor::submit) waits. The jobs of a
    /// [`map`](Executor::map) do not count: its [window](super::ExecutorMap::window) limits them.
    pub fn queue(self, jobs: usize) -> Self {
        Self(self.0.queue(jobs))
    }

    /// Sets how long encoded arguments and results may be, in bytes: at most 4 GiB − 1. The
    /// default is 64 MiB. For threads it has no effect.
    pub fn max_message(self, bytes: usize) -> Self {
        Self(self.0.max_message(bytes))
    }

    /// Creates an executor with up to `count` threads, which are started when they are needed.
    ///
    /// # Errors
    ///
    /// Returns an error if two jobs have the same name and version, if the initializer is not
    /// registered or its arguments cannot be encoded, if `count` is [`Workers::threads`], or outside a runtime.
    pub fn threads(self, count: impl Into<Workers>) -> io::Result<Executor> {
        let count = count.into().process_count().ok_or_else(|| {
            let text = "give the number of threads as a number, or as `Workers::PerCore`";
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        let engine = ThreadEngine::new(self.0.into_local()?, count as usize);
        Ok(Executor {
            engine: Engine::Threads(engine),
        })
    }

    /// Creates an executor with `count` processes.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`Builder::build`](crate::Builder::build).
    pub fn processes(self, count: impl Into<Workers>) -> io::Result<Executor> {
        self.0.workers(count).build().map(Executor::from)
    }

    /// Creates an executor that runs the jobs on the loop, one after the other.
    ///
    /// # Errors
    ///
    /// Returns an error if two jobs have the same name and version, if the initializer is not
    /// registered or its arguments cannot be encoded, or outside a runtime.
    pub fn inline(self) -> io::Result<Executor> {
        let engine = InlineEngine::new(self.0.into_local()?);
        Ok(Executor {
            engine: Engine::Inline(engine),
        })
    }
}

impl fmt::Debug for ExecutorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExecutorBuilder").field(&self.0).finish()
    }
}
