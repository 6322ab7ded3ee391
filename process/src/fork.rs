//! [`fork`]: a copy of this process, where that is safe.
#![cfg_attr(
    target_os = "linux",
    expect(
        unsafe_code,
        reason = "`fork` is unsafe as it does not look for other threads; here they are counted first"
    )
)]

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

#[cfg(target_os = "linux")]
use crate::child::orphans;
use coreloop_runtime::runtime::Handle;
use rustix::process::{Pid, WaitOptions};

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Fork {
    /// The one that called [`fork`], with the other.
    Parent(Forked),
    /// The new one.
    Child,
}

/// The new process, as the old one sees it.
///
/// Nobody waits for it when this is dropped: it stays as a zombie once it has ended, until
/// this process ends.
#[derive(Debug)]
pub struct Forked {
    pid: Pid,
}

impl Forked {
    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits for the end of the process, on this thread: nothing else runs meanwhile.
    ///
    /// # Errors
    ///
    /// If its status was collected by other code of this process.
    pub fn wait(self) -> io::Result<ExitStatus> {
        loop {
            let wait = || rustix::process::waitpid(Some(self.pid), WaitOptions::empty());
            if let Some((_, status)) = rustix::io::retry_on_intr(wait)? {
                return Ok(ExitStatus::from_raw(status.as_raw()));
            }
        }
    }
}

/// Makes a copy of this process, which goes on from here too.
///
/// # Prefer to start a program
///
/// A [`Command`](crate::Command) is the better choice unless it must be this process: a
/// supervisor starts its own program again as a worker. A copy shares what the original
/// has open, and that hurts:
///
/// - **epoll.** A [`Runtime`](coreloop_runtime::Runtime) of the original is in the copy
///   too, but both drive one and the same object of the kernel: what one registers wakes
///   the other, and nobody can take out what the other closed. So drop every runtime
///   first, and make new ones afterwards in both processes. A runtime that is
///   [entered](coreloop_runtime::Runtime::enter) is found and refused; one that lies
///   idle cannot be found.
/// - **Sockets and files**, with their positions and locks.
/// - **Randomness.** Generators of random numbers go on in step.
/// - **Buffers.** What was printed but not written yet is written twice.
/// - **Children** are the original's: the copy cannot wait for them. But it can kill
///   them, and does by dropping a [`Child`](crate::Child) that is to be killed on drop.
/// - **Memory that is mapped shared**, such as by `mmap` or `io_uring`, stays one for
///   both, and one does not see the other's borrows. Whoever has mapped some drops it
///   first.
///
/// # Errors
///
/// With the kind [`Unsupported`](io::ErrorKind::Unsupported):
///
/// - if the process has more than one thread. A copy has only the one that called, and
///   what another held, such as the lock of the allocator, is held in it for ever. A
///   thread that was joined may count for a moment yet;
/// - in a runtime, which must not be in two processes;
/// - if it is not known how many threads there are: without `/proc`, and on other systems
///   than Linux always.
///
/// Else those of the system call.
///
/// # Examples
///
/// ```no_run
/// use coreloop::process::{Fork, fork};
///
/// # fn main() -> std::io::Result<()> {
/// match fork()? {
///     Fork::Parent(child) => println!("{}: {}", child.id(), child.wait()?),
///     Fork::Child => coreloop::block_on(async { println!("a loop of its own") }),
/// }
/// # Ok(())
/// # }
/// ```
pub fn fork() -> io::Result<Fork> {
    if Handle::try_current().is_ok() {
        return Err(refused(
            "cannot fork in a coreloop runtime, which two processes cannot share; fork before it \
             is made, or start a program",
        ));
    }
    single_thread()?;
    copy()
}

/// Whether the one thread that is here is the only one. It stays so: who could start
/// another but this one?
#[cfg(target_os = "linux")]
fn single_thread() -> io::Result<()> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(|error| {
        refused(&format!(
            "cannot fork without knowing how many threads there are: /proc/self/task: {error}"
        ))
    })?;
    match tasks.count() {
        1 => Ok(()),
        threads => Err(refused(&format!(
            "cannot fork a process of {threads} threads, of which the copy would have one; fork \
             before they are started, or start a program"
        ))),
    }
}

#[cfg(not(target_os = "linux"))]
fn single_thread() -> io::Result<()> {
    Err(refused(
        "cannot fork where it is not known how many threads there are; start a program",
    ))
}

#[cfg(target_os = "linux")]
fn copy() -> io::Result<Fork> {
    // SAFETY: this thread is the only one, so nothing is held by one that the copy lacks,
    // and no other can start one between the count and this. One that ends is counted
    // until it runs no more code. What both have is either copied, or a descriptor, which
    // each has of its own; for memory that is shared see the documentation of `fork`.
    let number = unsafe { libc::fork() };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    match Pid::from_raw(number) {
        Some(pid) => Ok(Fork::Parent(Forked { pid })),
        None => {
            orphans::forget();
            Ok(Fork::Child)
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn copy() -> io::Result<Fork> {
    Err(io::ErrorKind::Unsupported.into())
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}
