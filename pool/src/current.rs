//! What this process is: the program, or a worker.

use std::process;
use std::sync::OnceLock;

/// The name of the worker that this process is.
static WORKER: OnceLock<String> = OnceLock::new();

/// Notes that this process is a worker.
pub(crate) fn set_worker(name: String) {
    // A process becomes a worker once.
    let _ = WORKER.set(name);
}

/// What a process is, which [`current_process`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CurrentProcess {
    /// The process id.
    pub pid: u32,
    /// The process id of the parent, which for a worker is the program that has started it;
    /// `None` if the parent is in another PID namespace.
    pub parent_pid: Option<u32>,
    /// The name of the worker or the [`Process`](crate::Process), or the name of the program.
    pub name: String,
    /// Whether the process is a worker of a pool or a [`Process`](crate::Process).
    pub is_worker: bool,
}

/// Returns what this process is: the program itself, or a worker.
///
/// # Examples
///
/// ```
/// let process = coreloop::pool::current_process();
/// assert_eq!(process.pid, std::process::id());
/// assert!(!process.is_worker);
/// ```
#[must_use]
pub fn current_process() -> CurrentProcess {
    let worker = WORKER.get();
    let parent = rustix::process::getppid();
    CurrentProcess {
        pid: process::id(),
        parent_pid: parent.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok()),
        name: worker.cloned().unwrap_or_else(program_name),
        is_worker: worker.is_some(),
    }
}

/// The name of the program, as it was started.
pub(crate) fn program_name() -> String {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = name.to_string_lossy();
    let name = name.split(": ").next().unwrap_or_default();
    name.rsplit('/').next().unwrap_or_default().to_owned()
}
