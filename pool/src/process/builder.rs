//! [`ProcessBuilder`], the options of a single process.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::current::program_name;
use crate::error::JobError;
use crate::job::function::{IntoArguments, JobFn};
use crate::pool::{Builder, JobRequest, TrySubmitError};

use super::Process;

/// How long a process may take to end after `SIGTERM`.
const GRACE: Duration = Duration::from_secs(5);

/// The options of a [`Process`].
///
/// # Examples
///
/// ```no_run
/// # use coreloop::pool::Process;
/// # #[coreloop::job]
/// # fn work() {}
/// # fn main() -> std::io::Result<()> {
/// # coreloop::pool::enter_worker();
/// # coreloop::block_on(async {
/// let mut process = Process::builder().name("compactor").spawn(work, ())?;
/// # process.join().await.unwrap();
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ProcessBuilder {
    name: Option<String>,
    max_message: Option<usize>,
    grace: Duration,
}

impl ProcessBuilder {
    pub(super) fn new() -> Self {
        Self {
            name: None,
            max_message: None,
            grace: GRACE,
        }
    }

    /// Sets the name that `ps` shows for the process. The default is the name of the program with
    /// a number.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets how long [`Process::terminate`] waits for the end of the process before it kills
    /// it. The default is five seconds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how long the encoded arguments and the encoded result may be, in bytes: at most
    /// 4 GiB − 1. The default is 64 MiB.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = Some(bytes);
        self
    }

    /// Starts a process that calls `function`.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`Process::spawn`].
    pub fn spawn<F, S>(
        self,
        function: F,
        arguments: impl IntoArguments<F::Arguments>,
    ) -> io::Result<Process<F::Output>>
    where
        F: JobFn<S>,
    {
        let name = self.name.unwrap_or_else(next_name);
        let mut pool = Builder::new().workers(1_u32).prefetch(1).name(name.clone());
        if let Some(bytes) = self.max_message {
            pool = pool.max_message(bytes);
        }
        let core = pool.into_core(true)?;
        let invalid = |error: JobError| io::Error::new(io::ErrorKind::InvalidInput, error);
        // Before the process is started, so that an error starts none.
        let request = JobRequest::new(&core, function, arguments).idempotent(false);
        let handle = match request.try_submit() {
            Ok(handle) => handle,
            Err(TrySubmitError::Failed(error)) => return Err(invalid(error)),
            // The queue of a new pool has room.
            Err(TrySubmitError::Full(_)) => return Err(io::ErrorKind::WouldBlock.into()),
        };
        let link = core.launch()?;
        Ok(Process {
            core,
            link,
            handle: Some(handle),
            name,
            grace: self.grace,
        })
    }
}

fn next_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}: process {number}", program_name())
}
