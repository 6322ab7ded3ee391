//! [`Attempt`]: a new program, from its start until it serves or is gone.

use std::fmt;
use std::io::{self, ErrorKind};
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus, Stdio};
use std::task::{Context, Poll};

use rustix::process::{Pid, Signal, kill_process};

use super::{Bequest, Successor, VARIABLE};
use crate::channel::{AsyncChannel, Channel, MOST_DESCRIPTORS, ToPredecessor, ToSuccessor};
use crate::supervisor::program::{PRIVATE_VARIABLES, Program};

/// A process that may become the successor.
pub(super) struct Attempt {
    process: Process,
    channel: AsyncChannel,
    /// Tells of the end of a process whose end of the channel stays open, in a
    /// child of its own for example.
    #[cfg(target_os = "linux")]
    end: coreloop_runtime::io::Async<OwnedFd>,
}

/// Killed and reaped when dropped, unless it was taken out.
#[derive(Debug)]
struct Process(Option<Child>);

impl Attempt {
    pub(super) fn launch(program: &Program, bequests: &[Bequest<'_>]) -> io::Result<Attempt> {
        let (ours, theirs) = Channel::pair()?;
        // Before there is a process: from its first moment on it has all that it needs,
        // should this one die.
        bequeath(&ours, bequests)?;
        let mut command = program.command();
        for variable in PRIVATE_VARIABLES {
            command.env_remove(variable);
        }
        let process = command
            .env(VARIABLE, std::process::id().to_string())
            .stdin(Stdio::from(theirs.into_socket()))
            .spawn()
            .map_err(|error| {
                let path = program.path().display();
                io::Error::new(error.kind(), format!("cannot start {path}: {error}"))
            })?;
        // Closes this process's copy of the successor's end, whose end is seen then.
        drop(command);
        #[cfg(target_os = "linux")]
        let pid = Pid::from_child(&process);
        Ok(Attempt {
            process: Process(Some(process)),
            channel: ours.into_async()?,
            #[cfg(target_os = "linux")]
            end: end_of(pid)?,
        })
    }

    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let why = match self.channel.poll_receive::<ToPredecessor>(context) {
            Poll::Ready(Ok(Some((ToPredecessor::Ready, _)))) => {
                match self.process.0.as_mut().map(Child::try_wait).transpose()? {
                    Some(Some(status)) => status.to_string(),
                    _ => return Poll::Ready(Ok(())),
                }
            }
            Poll::Ready(Ok(Some((ToPredecessor::Failed { error }, _)))) => error,
            Poll::Ready(Ok(None)) => self.process.close()?.to_string(),
            // It has ended without reading what it was sent.
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::ConnectionReset => {
                self.process.close()?.to_string()
            }
            Poll::Ready(Err(error)) => error.to_string(),
            Poll::Pending => match self.poll_end(context) {
                Poll::Ready(status) => status?.to_string(),
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(Err(io::Error::other(format!(
            "the new program ended before it was ready: {why}"
        ))))
    }

    #[cfg(target_os = "linux")]
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        let Some(process) = &mut self.process.0 else {
            return Poll::Pending;
        };
        self.end.poll_read_with(context, |_| {
            process.try_wait()?.ok_or(ErrorKind::WouldBlock.into())
        })
    }

    // The end of the channel has to do.
    #[cfg(not(target_os = "linux"))]
    fn poll_end(&mut self, _: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        Poll::Pending
    }

    /// Asks the process to end.
    pub(super) fn stop(&self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// The process's number, which is its own as it is not reaped.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.process.0.as_ref().map(Pid::from_child)
    }

    /// Ready when it has ended, or nothing is to be heard of it any more.
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(said) = self.channel.poll_receive::<ToPredecessor>(context) {
            if !matches!(said, Ok(Some(_))) {
                return Poll::Ready(());
            }
        }
        self.poll_end(context).map(drop)
    }

    pub(super) fn succeed(mut self) -> Successor {
        let process = self.process.0.take();
        Successor {
            pid: process.map_or(0, |process| process.id()),
        }
    }
}

fn bequeath(channel: &Channel, bequests: &[Bequest<'_>]) -> io::Result<()> {
    for bequest in bequests {
        for sockets in bequest.sockets.chunks(MOST_DESCRIPTORS) {
            let message = ToSuccessor::Sockets(bequest.inherited.clone());
            channel.send(&message, sockets)?;
        }
    }
    channel.send(&ToSuccessor::Complete, &[])
}

impl Process {
    /// Ends the process, if it has not ended by itself, and tells how it did. That
    /// takes no longer than the kernel does.
    fn close(&mut self) -> io::Result<ExitStatus> {
        let Some(mut process) = self.0.take() else {
            return Err(io::Error::other("it is gone"));
        };
        process.kill()?;
        process.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

/// A script may have started the new program as its child, which outlives it.
impl Drop for Attempt {
    fn drop(&mut self) {
        if self.process.0.is_some() {
            let _ = self.channel.send(&ToSuccessor::GivenUp, &[]);
        }
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
fn end_of(process: Pid) -> io::Result<coreloop_runtime::io::Async<OwnedFd>> {
    use rustix::process::{PidfdFlags, pidfd_open};
    // It is not read, so it cannot block.
    let end = pidfd_open(process, PidfdFlags::empty())?;
    coreloop_runtime::io::Async::from_owned(end)
}
