//! The system call that forks.
#![expect(unsafe_code, reason = "one call to libc: rustix has no `fork`")]

use std::io;

use rustix::process::Pid;

/// Forks this process. Returns the child's process id in the parent, and `None` in the
/// child.
///
/// # Safety
///
/// This is the only thread of the process, and the conditions of
/// [`fork`](crate::fork::fork) hold.
pub(crate) unsafe fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: this is the only thread, so no other thread holds something that would be
    // missing in the child. A thread that ends is counted until it runs no more code. The
    // child has its own memory and its own descriptors; the caller answers for what lies
    // behind them.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pid::from_raw(pid))
}
