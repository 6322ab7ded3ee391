//! [`Exit`] waits for the end of a child and collects its status.

use std::io;
use std::pin::Pin;
use std::process::{Child, ExitStatus};
use std::task::{Context, Poll, ready};

use coreloop_runtime::runtime::Handle;
use coreloop_runtime::task::RemoteJoinHandle;
use coreloop_runtime::task::coop::poll_proceed;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::sys::Pidfd;

/// A child whose status has not been collected, or its status.
///
/// **Invariant:** once the status has been collected, by this type or by other code, the
/// process id is not used any more, as it may belong to another process.
#[derive(Debug)]
pub struct Exit {
    child: Child,
    status: Option<ExitStatus>,
    /// Other code of this process has collected the status.
    is_stolen: bool,
    /// Whether the child leads a process group that is killed when the child has ended.
    leads_group: bool,
    watch: ExitWatch,
    /// Whether a wait has asked the kernel once, before it began to watch.
    asked: bool,
}

/// How the loop learns that a child has ended. It collects no status.
#[derive(Debug)]
enum ExitWatch {
    /// Nothing watches the child yet. The first wait starts a thread that does.
    Unwatched,
    Pidfd(Pidfd),
    Thread(RemoteJoinHandle<()>),
}

impl Exit {
    /// Takes over a child whose status no other code collects. On a loop where there are
    /// pidfds, the loop watches the child from now on.
    #[must_use]
    pub fn new(child: Child) -> Self {
        let watch = ExitWatch::pidfd(&child);
        Self {
            child,
            status: None,
            is_stolen: false,
            leads_group: false,
            watch,
            asked: false,
        }
    }

    /// Like [`new`](Exit::new), for a child that leads a process group. The processes that are
    /// left of the group when the child has ended are killed before its status is collected:
    /// until then the id of the group is no other group's.
    pub(crate) fn of_group(child: Child) -> Self {
        Self {
            leads_group: true,
            ..Self::new(child)
        }
    }

    /// Returns the process id, until the status is collected.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        (!self.is_collected()).then(|| self.child.id())
    }

    /// The process id, which may be invalid once the status is collected.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Returns whether the status was collected, by this type or by other code.
    #[must_use]
    pub fn is_collected(&self) -> bool {
        self.status.is_some() || self.is_stolen
    }

    /// Collects the status if the child has ended.
    ///
    /// # Errors
    ///
    /// Returns an error if other code of this process has collected the status.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.is_stolen {
            return Err(Errno::CHILD.into());
        }
        if self.status.is_none() {
            if self.leads_group {
                match has_ended(self.pid()) {
                    Ok(true) => self.kill_group(),
                    Ok(false) => return Ok(None),
                    // Collecting the status returns the error.
                    Err(_) => {}
                }
            }
            self.status = self.child.try_wait().inspect_err(|error| {
                self.is_stolen = error.raw_os_error() == Some(Errno::CHILD.raw_os_error());
            })?;
        }
        Ok(self.status)
    }

    /// Waits until the child has ended, and collects its status.
    ///
    /// # Errors
    ///
    /// Returns an error if other code of this process has collected the status, or if the
    /// loop cannot wait for the child.
    pub fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        // A child that has ended is always ready, so this has to spend the budget.
        ready!(poll_proceed(cx));
        if let Some(status) = self.status {
            return Poll::Ready(Ok(status));
        }
        // A child that has ended already need not be watched.
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
            // The pidfd stays readable, but a debugger may collect the status first.
            self.watch = ExitWatch::thread(self.pid())?;
        }
    }

    /// Sends a signal to a child whose status has not been collected.
    ///
    /// # Errors
    ///
    /// Returns the error of the kernel.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if let ExitWatch::Pidfd(pidfd) = &self.watch {
            return pidfd.signal(signal);
        }
        Ok(rustix::process::kill_process(self.pid(), signal)?)
    }

    /// Kills the child, unless its status has been collected.
    ///
    /// # Errors
    ///
    /// Returns the error of the kernel.
    pub fn kill(&self) -> io::Result<()> {
        if self.is_collected() {
            return Ok(());
        }
        if self.leads_group {
            self.kill_group();
        }
        self.signal(Signal::KILL)
    }

    fn kill_group(&self) {
        // This fails if none of them may be signalled, such as a program of another user.
        let _ = rustix::process::kill_process_group(self.pid(), Signal::KILL);
    }

    /// Watches the child from this thread's loop, whichever loop watched it before.
    pub(crate) fn watch_here(&mut self) {
        // The old watch is closed first, so that its descriptor is free for the new one.
        self.watch = ExitWatch::Unwatched;
        self.watch = ExitWatch::pidfd(&self.child);
    }

    pub(crate) fn into_std(self) -> Child {
        self.child
    }
}

/// Returns whether a child has ended, and leaves its status.
fn has_ended(pid: Pid) -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let ended = rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(pid), options))?;
    Ok(ended.is_some())
}

impl ExitWatch {
    fn pidfd(child: &Child) -> Self {
        match Pidfd::open(Pid::from_child(child)) {
            Ok(Some(pidfd)) => Self::Pidfd(pidfd),
            Ok(None) | Err(_) => Self::Unwatched,
        }
    }

    /// Has a thread wait for the end of a process. The thread leaves the status uncollected.
    fn thread(pid: Pid) -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        Ok(Self::Thread(runtime.spawn_blocking(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            // If this fails, the process is not a child of this one any more, and
            // collecting the status returns that error.
            let _ =
                rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(pid), options));
        })))
    }

    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = match self {
            Self::Pidfd(pidfd) => return pidfd.poll_ended(cx),
            Self::Thread(thread) => ready!(Pin::new(thread).poll(cx)).map_err(io::Error::other),
            // Reported as ended: if the status is not there, `poll_wait` starts a thread.
            Self::Unwatched => Ok(()),
        };
        // A thread reports once.
        *self = Self::Unwatched;
        Poll::Ready(ended)
    }
}
