//! [`Exit`]: the end of a child, waited for and collected.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::process::{Child, ExitStatus};
use std::task::{Context, Poll, ready};

use coreloop_runtime::io::Async;
use coreloop_runtime::runtime::Handle;
use coreloop_runtime::task::RemoteJoinHandle;
use coreloop_runtime::task::coop::poll_proceed;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// A child whose status is not collected yet, or its status.
///
/// **Invariant:** once the status is collected, by whomever, the number of the process
/// is not used any more, as it may be another's.
#[derive(Debug)]
pub(crate) struct Exit {
    child: Child,
    status: Option<ExitStatus>,
    /// It was collected by other code of this process.
    is_stolen: bool,
    watch: Watch,
    /// Whether a wait has asked the kernel before it began to watch.
    asked: bool,
}

/// What tells that a child has ended. It collects nothing.
#[derive(Debug)]
enum Watch {
    /// There is none yet, and when it is needed it will be a thread.
    Unwatched,
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "only Linux has pidfds")
    )]
    Pidfd(Async<OwnedFd>),
    Thread(RemoteJoinHandle<()>),
}

impl Exit {
    pub(crate) fn new(child: Child) -> Exit {
        let watch = Watch::pidfd(&child);
        Exit {
            child,
            status: None,
            is_stolen: false,
            watch,
            asked: false,
        }
    }

    /// The number of the process, until its status is collected.
    pub(crate) fn id(&self) -> Option<u32> {
        (!self.is_collected()).then(|| self.child.id())
    }

    /// The number that the process has, or had.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn is_collected(&self) -> bool {
        self.status.is_some() || self.is_stolen
    }

    /// Collects the status, if the child has ended.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.is_stolen {
            return Err(Errno::CHILD.into());
        }
        if self.status.is_none() {
            self.status = self.child.try_wait().inspect_err(|error| {
                self.is_stolen = error.raw_os_error() == Some(Errno::CHILD.raw_os_error());
            })?;
        }
        Ok(self.status)
    }

    /// Collects the status, when the child has ended.
    pub(crate) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        // Once it has ended it is ready without end.
        ready!(poll_proceed(cx));
        if let Some(status) = self.status {
            return Poll::Ready(Ok(status));
        }
        // One that has ended by now need not be registered.
        if !self.asked {
            self.asked = true;
            if let Some(status) = self.try_wait()? {
                return Poll::Ready(Ok(status));
            }
        }
        loop {
            ready!(self.watch.poll_ended(cx))?;
            if let Some(status) = self.try_wait()? {
                return Poll::Ready(Ok(status));
            }
            // Its pidfd is ready for good, but a debugger may see the status first.
            self.watch = Watch::thread(self.pid())?;
        }
    }

    /// Sends a signal to a child that is not collected.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Watch::Pidfd(pidfd) = &self.watch {
            return Ok(rustix::process::pidfd_send_signal(pidfd.get_ref(), signal)?);
        }
        Ok(rustix::process::kill_process(self.pid(), signal)?)
    }

    /// Kills a child whose status is not collected; the others are over.
    pub(crate) fn kill(&self) -> io::Result<()> {
        if self.is_collected() {
            return Ok(());
        }
        self.signal(Signal::KILL)
    }

    /// Watches from the loop of this thread, whichever it was before.
    pub(crate) fn watch_here(&mut self) {
        // Closed first, so that there is a descriptor left for its successor.
        self.watch = Watch::Unwatched;
        self.watch = Watch::pidfd(&self.child);
    }

    pub(crate) fn into_std(self) -> Child {
        self.child
    }
}

impl Watch {
    #[cfg(target_os = "linux")]
    fn pidfd(child: &Child) -> Watch {
        use rustix::process::{PidfdFlags, pidfd_open};

        let opened = pidfd_open(Pid::from_child(child), PidfdFlags::empty());
        let watched = opened.map_err(io::Error::from).and_then(Async::from_owned);
        watched.map_or(Watch::Unwatched, Watch::Pidfd)
    }

    #[cfg(not(target_os = "linux"))]
    fn pidfd(_: &Child) -> Watch {
        Watch::Unwatched
    }

    /// Has a thread wait for the end of a process, which stays to be collected.
    fn thread(pid: Pid) -> io::Result<Watch> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        Ok(Watch::Thread(runtime.spawn_blocking(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            // If it fails, the process is no child of ours any more, and whoever
            // collects hears of that.
            let _ =
                rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(pid), options));
        })))
    }

    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = match self {
            Watch::Pidfd(pidfd) => return pidfd.poll_readable(cx),
            Watch::Thread(thread) => ready!(Pin::new(thread).poll(cx)).map_err(io::Error::other),
            // As if it had told; what is asked next gives it a thread.
            Watch::Unwatched => Ok(()),
        };
        // A thread tells once.
        *self = Watch::Unwatched;
        Poll::Ready(ended)
    }
}
