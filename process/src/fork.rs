//! [`fork`] makes a copy of this process.
//!
//! The function checks what it can: that there is no other thread, and that the caller is
//! not in a runtime. It cannot check what other code of the process relies on, so that is a
//! condition for the caller, and the function is unsafe.
#![expect(
    unsafe_code,
    reason = "a copy shares memory and kernel objects with its original, and only the caller \
              can know that this is harmless"
)]

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use coreloop_runtime::runtime::Handle;
use rustix::process::{Pid, WaitOptions};

use crate::child::orphans;
use crate::sys;

/// The process in which [`fork`] has returned: the parent or the child.
#[derive(Debug)]
pub enum Fork {
    /// This is the process that called [`fork`]. It holds a handle to the new process.
    Parent(Forked),
    /// This is the new process.
    Child,
}

/// A handle to a process that [`fork`] has created.
///
/// Dropping the handle does not wait for the process: once that has ended, it stays a
/// zombie until this process ends.
#[derive(Debug)]
pub struct Forked {
    pid: Pid,
}

impl Forked {
    /// Returns the process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits for the end of the process, and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if other code of this process has collected the status.
    pub fn wait(self) -> io::Result<ExitStatus> {
        loop {
            let wait = || rustix::process::waitpid(Some(self.pid), WaitOptions::empty());
            if let Some((_, status)) = rustix::io::retry_on_intr(wait)? {
                return Ok(ExitStatus::from_raw(status.as_raw()));
            }
        }
    }
}

/// Creates a copy of this process.
///
/// Both processes continue from this call.
///
/// # Prefer to start a program
///
/// A [`Command`](crate::Command) is the better choice unless the new process has to be a
/// copy of this one. A [`Supervisor`](crate::Supervisor) starts its own program again as a
/// worker, and needs no `fork`. A copy shares what the original has open, which causes
/// trouble even where the condition below holds:
///
/// - **epoll.** A [`Runtime`](coreloop_runtime::Runtime) of the original is in the copy
///   too, but both drive the same kernel object: a descriptor that one registers wakes the
///   other, and neither can remove a descriptor that the other has closed. So drop every
///   runtime first, and create new ones afterwards in both processes. `fork` refuses if a
///   runtime is [entered](coreloop_runtime::Runtime::enter); it does not detect an idle
///   one.
/// - **Sockets and files**, with their positions and locks.
/// - **Objects of `coreloop::ipc`** belong to the original. If the copy drives the loop on which
///   they were created, it grants and answers nothing. As long as it has the sockets of the loop,
///   other processes do not learn that the original has ended.
/// - **Signal handlers** that write to a pipe, as the handlers of `coreloop::signal` do: a
///   signal to the copy is received by the original.
/// - **Randomness.** Generators of random numbers return the same numbers in both.
/// - **Buffers.** Output that is still in a buffer is written twice.
/// - **Children** belong to the original: the copy cannot wait for them. But it can kill
///   them, and does if it drops a [`Child`](crate::Child) that is killed on drop.
///
/// # Errors
///
/// Returns an error of the kind [`Unsupported`](io::ErrorKind::Unsupported) if
///
/// - the process has more than one thread. The copy has only the thread that called, and a
///   lock that another thread held, such as the allocator's, is never released in the
///   copy. A thread that was joined may still be counted for a moment;
/// - the caller is in a runtime, which must not be in two processes;
/// - the number of threads is not known: without `/proc`, and always on systems other than
///   Linux.
///
/// Otherwise returns the error of the system call.
///
/// # Safety
///
/// A fork copies the memory of the process, but not what lies outside it. From the call
/// on, until the copy has ended or has called `exec`, neither process may run code whose
/// soundness relies on being the only one to use
///
/// - memory that is mapped shared and writable: by `mmap` of a file, by `shmat`, or as the
///   rings of `io_uring`. The borrows and locks of one process do not exclude the
///   other process;
/// - an object of the kernel that returns addresses, or that reads or writes the memory of
///   the process that made it. The events of an epoll instance carry what was registered
///   with them. For some runtimes, tokio among them, that is an address in the process
///   that registered it. An operation of `io_uring` or `aio` that has begun completes
///   into the memory of the original only.
///
/// Nor may it run code whose soundness relies on something that a fork changes, such as
/// the process id.
///
/// At the start of `main` there is usually no such code. What this crate and the crates
/// under it keep is harmless in this sense, idle runtimes included.
///
/// The caller need not count threads: the function does.
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
/// The function is not safe:
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
    // SAFETY: this is the only thread, and no other thread could start one since the count.
    // The remaining conditions are passed on to the caller.
    match unsafe { sys::fork() }? {
        Some(pid) => Ok(Fork::Parent(Forked { pid })),
        None => {
            orphans::forget();
            Ok(Fork::Child)
        }
    }
}

/// Returns an error unless this is the only thread. It stays the only one, as no other
/// thread can start one.
fn single_thread() -> io::Result<()> {
    let threads = sys::thread_count().map_err(|error| {
        refused(&format!(
            "cannot fork without knowing how many threads there are: {error}"
        ))
    })?;
    match threads {
        Some(1) => Ok(()),
        Some(threads) => Err(refused(&format!(
            "cannot fork a process of {threads} threads, of which the copy would have one; fork \
             before they are started, or start a program"
        ))),
        None => Err(refused(
            "cannot fork where it is not known how many threads there are; start a program",
        )),
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}
