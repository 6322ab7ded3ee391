//! [`fork`]: a copy of this process.
//!
//! The function checks what can be checked: that there is no other thread, and that the
//! caller is in no runtime. What other code of the process relies on cannot be seen from
//! here, so that is a condition of the caller's, and the function is unsafe.
#![expect(
    unsafe_code,
    reason = "a copy shares memory and objects of the kernel with its original, which only the \
              caller can know to be harmless"
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
/// Dropping it does not wait for the process, which stays as a zombie once it has ended,
/// until this process ends.
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
/// A [`Command`](crate::Command) is the better choice unless it must be this process. A
/// [`Supervisor`](crate::Supervisor) starts its own program again as a worker, and needs
/// no `fork`. A copy shares what the original has open, and that hurts even where the
/// condition below holds:
///
/// - **epoll.** A [`Runtime`](coreloop_runtime::Runtime) of the original is in the copy
///   too, but both drive the same object of the kernel: what one registers wakes the
///   other, and neither can remove what the other closed. So drop every runtime first,
///   and make new ones afterwards in both processes. A runtime that is
///   [entered](coreloop_runtime::Runtime::enter) is found and refused; an idle one is
///   not found.
/// - **Sockets and files**, with their positions and locks.
/// - **Signal handlers** that write to a pipe, as the handlers of `coreloop::signal` do: a
///   signal to the copy is received by the original.
/// - **Randomness.** Generators of random numbers go on in step.
/// - **Buffers.** What was printed but not written yet is written twice.
/// - **Children** are the original's: the copy cannot wait for them. But it can kill
///   them, and does by dropping a [`Child`](crate::Child) that is to be killed on drop.
///
/// # Safety
///
/// A fork copies the memory of the process, but not what lies outside it. From the call
/// on, until the copy has ended or has called `exec`, neither process may run code that
/// relies for its soundness on being the only one to use
///
/// - memory that is mapped shared and writable: by `mmap` of a file, by `shmat`, or as the
///   rings of `io_uring`. Each process has its own borrows and locks, which do not
///   keep the other process out;
/// - an object of the kernel that returns addresses, or that reads or writes the memory of
///   the process that made it. The events of an epoll instance carry what was registered
///   with them, which for some runtimes, tokio among them, is an address in the process
///   that registered it. An operation of `io_uring` or `aio` that is under way completes
///   into the memory of the original only.
///
/// Nor may it run code that relies for its soundness on something which a fork changes,
/// such as the id of the process.
///
/// At the start of `main` there is usually nothing of the kind. What this crate and the
/// crates under it keep is harmless in this sense, idle runtimes included.
///
/// The caller need not count threads: that is checked.
///
/// # Errors
///
/// With the kind [`Unsupported`](io::ErrorKind::Unsupported):
///
/// - if the process has more than one thread. A copy has only the one that called, and
///   what another held, such as the lock of the allocator, is held in it for ever. A
///   thread that was joined may still count for a moment;
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
/// // SAFETY: this is the first call in `main`, so nothing is mapped shared, and there is
/// // no other event loop.
/// match unsafe { fork() }? {
///     Fork::Parent(child) => println!("{}: {}", child.id(), child.wait()?),
///     Fork::Child => coreloop::block_on(async { println!("a loop of its own") }),
/// }
/// # Ok(())
/// # }
/// ```
///
/// It is not a safe function:
///
/// ```compile_fail,E0133
/// let copied = coreloop::process::fork();
/// ```
pub unsafe fn fork() -> io::Result<Fork> {
    if Handle::try_current().is_ok() {
        return Err(refused(
            "cannot fork in a coreloop runtime, which two processes cannot share; fork before it \
             is made, or start a program",
        ));
    }
    single_thread()?;
    // SAFETY: this is the only thread, and no other could start one since the count. The
    // rest is passed on to the caller.
    unsafe { copy() }
}

/// Whether this is the only thread. It stays so, as no other thread can start one.
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

/// The system call.
///
/// # Safety
///
/// This is the only thread of the process; and as for [`fork`].
#[cfg(target_os = "linux")]
unsafe fn copy() -> io::Result<Fork> {
    // SAFETY: this is the only thread, so the copy lacks none that holds something. A
    // thread that ends is counted until it runs no more code. What the copy has is its
    // own memory and its own descriptors; the caller answers for what lies behind them.
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

/// # Safety
///
/// None, as it does nothing; the one for Linux has a condition.
#[cfg(not(target_os = "linux"))]
unsafe fn copy() -> io::Result<Fork> {
    Err(io::ErrorKind::Unsupported.into())
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}
