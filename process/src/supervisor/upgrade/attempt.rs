//! [`Attempt`], a new program from its start until it serves or has ended.

use std::fmt;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::process::{Child, ExitStatus, Stdio};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use coreloop_runtime::time::{Sleep, sleep};

use rustix::process::{Pid, Signal, kill_process};

use super::{SocketTransfer, Successor};
use crate::channel::{AsyncChannel, Channel, MAX_DESCRIPTORS, ToPredecessor, ToSuccessor};
use crate::environment::{self, SUCCESSOR, SUCCESSOR_PROGRAM, SUCCESSOR_SLOTS, SUCCESSOR_SOCKET};
use crate::sockets::InheritedSlots;
use crate::supervisor::program::Program;
use crate::sys::Pidfd;

/// How long a process that has closed the channel may take to end.
const CLOSING: Duration = Duration::from_secs(2);

/// A process that may become the successor.
pub(super) struct Attempt {
    process: SuccessorProcess,
    channel: AsyncChannel,
    /// Reports the end of the process, as its end of the channel may stay open, for example
    /// in a child of that process.
    end: Option<Pidfd>,
    /// Set when the process has closed the channel: until then it may end by itself.
    closing: Option<Pin<Box<Sleep>>>,
}

/// A process that is killed and reaped when this is dropped, unless it was taken out.
#[derive(Debug)]
struct SuccessorProcess(Option<Child>);

impl Attempt {
    pub(super) fn launch(
        program: &Program,
        transfers: &[SocketTransfer<'_>],
        slots: InheritedSlots,
    ) -> io::Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        // Sent before the process is started, so that it has all it needs even if this
        // process dies.
        send_sockets(&ours, transfers)?;
        let mut command = program.command();
        environment::prepare_successor(&mut command);
        let theirs = theirs.into_socket();
        let process = command
            .env(SUCCESSOR, std::process::id().to_string())
            .env(SUCCESSOR_SOCKET, environment::identity(&theirs)?)
            .env(SUCCESSOR_PROGRAM, program.path())
            .env(SUCCESSOR_SLOTS, format!("{}/{}", slots.count, slots.span))
            .stdin(Stdio::from(theirs))
            .spawn()
            .map_err(|error| {
                let path = program.path().display();
                io::Error::new(error.kind(), format!("cannot start {path}: {error}"))
            })?;
        // Closes this process's copy of the successor's end, so that the channel closes when
        // the successor ends.
        drop(command);
        let pid = Pid::from_child(&process);
        Ok(Self {
            process: SuccessorProcess(Some(process)),
            channel: ours.into_async()?,
            end: Pidfd::open(pid)?,
            closing: None,
        })
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_some() {
            return self.poll_close(cx).map(|why| Err(ended_early(&why?)));
        }
        let why = match self.channel.poll_receive::<ToPredecessor>(cx) {
            Poll::Ready(Ok(Some((ToPredecessor::Ready, _)))) => match self.process.try_wait()? {
                // It has served. One that ended with success since was asked to stop, and this
                // program has to end with it.
                Some(status) if !status.success() => status.to_string(),
                _ => return Poll::Ready(Ok(())),
            },
            Poll::Ready(Ok(Some((ToPredecessor::Failed { error }, _)))) => error,
            Poll::Ready(Ok(None)) => ready!(self.poll_close(cx))?,
            Poll::Ready(Err(error)) => error.to_string(),
            Poll::Pending => ready!(self.poll_end(cx))?.to_string(),
        };
        Poll::Ready(Err(ended_early(&why)))
    }

    /// Waits for the end of a process that has closed the channel, and returns how it has ended.
    /// A process closes the channel a moment before it ends; one that runs on is killed.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<String>> {
        if let Poll::Ready(status) = self.poll_end(cx) {
            return Poll::Ready(status.map(|status| status.to_string()));
        }
        let closing = self.closing.get_or_insert_with(|| Box::pin(sleep(CLOSING)));
        ready!(closing.as_mut().poll(cx));
        // Where there are no pidfds, it may have ended.
        let is_gone = self.process.try_wait();
        Poll::Ready(match is_gone {
            Ok(Some(status)) => Ok(status.to_string()),
            _ => self.process.close().map(|status| {
                format!("it has closed its channel to the old master, and was killed: {status}")
            }),
        })
    }

    /// Waits for the end of the process. Never ready where there are no pidfds: there the
    /// end of the channel has to do.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        let (Some(end), Some(process)) = (&self.end, &mut self.process.0) else {
            return Poll::Pending;
        };
        end.poll_collect(cx, || {
            process.try_wait()?.ok_or(ErrorKind::WouldBlock.into())
        })
    }

    /// Asks the process to stop.
    pub(super) fn stop(&self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Returns the process id, which is valid as the process was not reaped.
    pub(super) fn pid(&self) -> Option<Pid> {
        self.process.0.as_ref().map(Pid::from_child)
    }

    /// Waits until the process has ended, or has closed the channel.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(said) = self.channel.poll_receive::<ToPredecessor>(cx) {
            if !matches!(said, Ok(Some(_))) {
                return Poll::Ready(());
            }
        }
        self.poll_end(cx).map(drop)
    }

    pub(super) fn succeed(mut self) -> Successor {
        let process = self.process.0.take();
        Successor {
            pid: process.map_or(0, |process| process.id()),
            _attempt: self,
        }
    }
}

fn ended_early(why: &str) -> io::Error {
    io::Error::other(format!("the new program ended before it was ready: {why}"))
}

fn send_sockets(channel: &Channel, transfers: &[SocketTransfer<'_>]) -> io::Result<()> {
    for transfer in transfers {
        for sockets in transfer.sockets.chunks(MAX_DESCRIPTORS) {
            let message = ToSuccessor::Sockets(transfer.inherited.clone());
            channel.send(&message, sockets)?;
        }
    }
    channel.send(&ToSuccessor::Complete, &[])
}

impl SuccessorProcess {
    fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.as_mut().map_or(Ok(None), Child::try_wait)
    }

    /// Kills the process, if it has not ended, and returns its status. This waits only for
    /// the kernel.
    fn close(&mut self) -> io::Result<ExitStatus> {
        let Some(mut process) = self.0.take() else {
            return Err(io::Error::other("its status was collected"));
        };
        process.kill()?;
        process.wait()
    }
}

impl Drop for SuccessorProcess {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

/// If a script has started the new program as its child, that child outlives the killed
/// script. So it gets a message.
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
