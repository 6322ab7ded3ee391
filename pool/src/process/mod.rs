//! [`Process`], one call of a function in a process of its own.

mod active;
mod builder;

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use coreloop_runtime::signal::unix::SignalKind;
use coreloop_runtime::task::spawn_hidden;
use coreloop_runtime::time::timeout;
use rustix::process::Signal;
use serde::de::DeserializeOwned;

use crate::error::JobError;
use crate::job::function::{IntoArguments, JobFn};
use crate::pool::core::{Core, Phase};
use crate::pool::link::Link;
use crate::pool::{JobHandle, Progress};

pub(crate) use active::Registered;
pub use active::{ActiveChild, active_children};
pub use builder::ProcessBuilder;

/// One call of a function in a process of its own.
///
/// The process is this program, started again: it calls the function, and ends. Dropping the
/// `Process` detaches it, and the function still runs. The process never outlives this
/// process, the runtime, or the thread that has started it: in the terms of Python's
/// `multiprocessing`, it is a daemon.
///
/// Many calls are faster in a [`Pool`](crate::Pool), whose processes run one call after the
/// other.
///
/// # Examples
///
/// ```no_run
/// use coreloop::pool::Process;
///
/// #[coreloop::job]
/// fn sum(numbers: Vec<u64>) -> u64 {
///     numbers.into_iter().sum()
/// }
///
/// #[coreloop::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let mut process = Process::spawn(sum, vec![1, 2, 3])?;
///     println!("process {} adds", process.pid());
///     assert_eq!(process.join().await?, 6);
///     assert!(process.exit_status().is_some_and(|status| status.success()));
///     Ok(())
/// }
/// ```
pub struct Process<R> {
    core: Rc<Core>,
    link: Rc<Link>,
    /// `None` once the outcome was returned.
    handle: Option<JobHandle<R>>,
    name: String,
    grace: Duration,
}

impl Process<()> {
    /// Returns a builder, for a process with options.
    pub fn builder() -> ProcessBuilder {
        ProcessBuilder::new()
    }
}

impl<R: DeserializeOwned + 'static> Process<R> {
    /// Starts a process that calls `function`.
    ///
    /// The arguments are a tuple; a single argument may be passed as it is.
    ///
    /// # Errors
    ///
    /// Returns an error if the process cannot be started, if the function is not registered,
    /// if its arguments cannot be encoded or are too long, if this program has not
    /// [entered](crate::enter_worker), or if there is no current runtime.
    pub fn spawn<F, S>(function: F, arguments: impl IntoArguments<F::Arguments>) -> io::Result<Self>
    where
        F: JobFn<S, Output = R>,
    {
        ProcessBuilder::new().spawn(function, arguments)
    }

    /// Waits until the process has ended, and returns the result of the function.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the process still runs, and a later call returns the result.
    ///
    /// # Errors
    ///
    /// Returns an error if the function panicked, or if the process ended before it had
    /// returned: for such an error
    /// [`is_broken_worker`](JobError::is_broken_worker) returns `true`, and
    /// [`exit_status`](JobError::exit_status) says how it ended.
    ///
    /// # Panics
    ///
    /// Panics if the result was returned before.
    #[track_caller]
    pub fn join(&mut self) -> impl Future<Output = Result<R, JobError>> + '_ {
        assert!(
            self.handle.is_some(),
            "`join` has returned the result of this process before"
        );
        async move {
            self.ended().await;
            match self.handle.take() {
                Some(handle) => handle.await,
                None => Err(JobError::new(crate::error::ErrorKind::ShutDown)),
            }
        }
    }

    /// Waits like [`join`](Process::join), but at most for `duration`. Returns `None` if the
    /// process still runs.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the process still runs, and a later call returns the result.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`join`](Process::join).
    ///
    /// # Panics
    ///
    /// Panics if the result was returned before.
    #[track_caller]
    pub fn join_timeout(
        &mut self,
        duration: Duration,
    ) -> impl Future<Output = Option<Result<R, JobError>>> + '_ {
        let join = self.join();
        async move { timeout(duration, join).await.ok() }
    }

    /// Returns the result of the function if the process has ended, and `None` if it has not,
    /// or if the result was returned before.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`join`](Process::join).
    pub fn try_join(&mut self) -> Option<Result<R, JobError>> {
        if self.is_alive() {
            return None;
        }
        self.handle
            .take_if(|handle| handle.is_finished())?
            .try_outcome()
    }
}

impl<R> Process<R> {
    /// Returns the process id. Once the process has ended, another one may have it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.link.pid
    }

    /// Returns the name of the process, which `ps` shows.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the process has not ended, as far as the loop has noticed.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.notice_end_without_runtime();
        !self.link.is_collected()
    }

    /// Returns how the process ended, and `None` while it runs.
    ///
    /// A process whose function returned, or panicked, exits with the code 0: the panic is in
    /// the outcome that [`join`](Process::join) returns.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.notice_end_without_runtime();
        *self.core.status.borrow()
    }

    /// Looks for the end of the process if its runtime has ended, which has killed it.
    fn notice_end_without_runtime(&self) {
        if self.core.phase() == Phase::ShutDown
            && !self.link.is_collected()
            && let Some(status) = self.link.try_collect()
        {
            self.core.status.replace(Some(status));
        }
    }

    /// Sends `SIGTERM` to the process, and kills it if it has not ended after five seconds, or
    /// after the [grace period](ProcessBuilder::grace) of the builder.
    ///
    /// Outside a runtime it only sends the signal. A process that does not handle `SIGTERM` is
    /// ended by it at once, without destructors.
    /// For one that has ended this does nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the signal cannot be sent.
    pub fn terminate(&self) -> io::Result<()> {
        self.link.signal(Signal::TERM)?;
        let (core, link, grace) = (Rc::clone(&self.core), Rc::clone(&self.link), self.grace);
        spawn_hidden(async move {
            if timeout(grace, core.all_ended()).await.is_err() {
                link.kill();
            }
        });
        Ok(())
    }

    /// Kills the process. For one that has ended this does nothing.
    pub fn kill(&self) {
        self.link.kill();
    }

    /// Sends a signal to the process. For one that has ended this does nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the signal cannot be sent.
    pub fn signal(&self, signal: SignalKind) -> io::Result<()> {
        let number = signal.as_raw_value();
        let signal = Signal::from_named_raw(number).ok_or_else(|| {
            let text = format!("{number} names no signal");
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
        self.link.signal(signal)
    }

    /// Returns what the function sends by [`job::progress`](crate::job::progress).
    pub fn progress<T: DeserializeOwned>(&self) -> Progress<T> {
        match &self.handle {
            Some(handle) => handle.progress(),
            None => Progress::ended(),
        }
    }

    /// Waits until the process has ended.
    async fn ended(&self) {
        self.core.all_ended().await;
    }
}

impl<R> fmt::Debug for Process<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("pid", &self.pid())
            .field("name", &self.name)
            .field("exit_status", &self.exit_status())
            .finish_non_exhaustive()
    }
}
