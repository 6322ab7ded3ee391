//! [`Reaper`]: the end of one process, without looking at any other.
//!
//! 1. Only the loop's thread collects the status, so until [`Reaper::wait`] is over
//!    the number of the process is its own.

use std::cell::Cell;
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::rc::Rc;

#[cfg(target_os = "linux")]
use coreloop_runtime::io::Async;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// A child to wait for. Dropped before its end, it is killed.
#[derive(Debug)]
pub(super) struct Reaper {
    child: Child,
    /// Readable when the process has ended. Kernels before 5.3 have none.
    #[cfg(target_os = "linux")]
    descriptor: Option<Async<OwnedFd>>,
    killer: Killer,
}

/// Sends signals to the child as long as it is one.
#[derive(Debug, Clone)]
pub(super) struct Killer {
    pid: Pid,
    is_over: Rc<Cell<bool>>,
}

impl Reaper {
    pub(super) fn new(child: Child) -> Reaper {
        let pid = Pid::from_child(&child);
        Reaper {
            child,
            #[cfg(target_os = "linux")]
            descriptor: open(pid).ok(),
            killer: Killer {
                pid,
                is_over: Rc::default(),
            },
        }
    }

    pub(super) fn killer(&self) -> Killer {
        self.killer.clone()
    }

    /// Waits for the end.
    ///
    /// Cancel safe: the status is kept by the child.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        #[cfg(target_os = "linux")]
        if let Some(descriptor) = &self.descriptor {
            let child = &mut self.child;
            let status = descriptor
                .read_with(|_| child.try_wait()?.ok_or(io::ErrorKind::WouldBlock.into()))
                .await?;
            self.killer.is_over.set(true);
            return Ok(status);
        }
        let pid = self.killer.pid;
        // Leaves the status where it is: invariant 1.
        let ended = move || {
            waitid(
                WaitId::Pid(pid),
                WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
            )
            .map(drop)
        };
        coreloop_runtime::task::spawn_blocking(ended)
            .await
            .map_err(io::Error::other)??;
        let status = self.child.wait()?;
        self.killer.is_over.set(true);
        Ok(status)
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.killer.kill();
    }
}

impl Killer {
    pub(super) fn kill(&self) {
        if !self.is_over.get() {
            // Fails only for a process that has just ended: invariant 1.
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

#[cfg(target_os = "linux")]
fn open(pid: Pid) -> io::Result<Async<OwnedFd>> {
    use rustix::process::{PidfdFlags, pidfd_open};

    Async::from_owned(pidfd_open(pid, PidfdFlags::NONBLOCK)?)
}
