//! coreloop's pipes, between this process and children, which are this program again.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use coreloop::ipc::{self, Pipe};
use serde_bytes::ByteBuf;

use crate::MESSAGE;

/// The first argument of a child. The second is the name of its case.
pub(crate) const WORD: &str = "own-child";

/// An end of a pipe whose other end answers each message with the same message.
type Messages = Pipe<ByteBuf, ByteBuf>;

/// How the two processes use the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As tasks on the loop of each.
    Tasks,
    /// By calls that block the thread of each.
    Blocking,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Tasks => "tasks",
            Way::Blocking => "blocking",
        }
    }
}

/// A pipe and the child at its other end. Dropping this ends the child.
#[derive(Debug)]
pub(crate) struct Own {
    pipe: Messages,
    way: Way,
    child: Child,
}

impl Own {
    pub(crate) fn start(way: Way) -> io::Result<Own> {
        let (pipe, there) = ipc::pipe::<ByteBuf, ByteBuf>()?;
        let child = Command::new(std::env::current_exe()?)
            .args([WORD, way.name()])
            .stdin(Stdio::from(there.into_fd()?))
            .spawn()?;
        Ok(Own { pipe, way, child })
    }

    /// Sends messages, each after the answer to the one before.
    pub(crate) async fn ping_pong(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let answer = match self.way {
                Way::Tasks => {
                    self.pipe.send(message()).await?;
                    self.pipe.recv().await?
                }
                Way::Blocking => {
                    self.pipe.blocking_send(message())?;
                    self.pipe.blocking_recv()?
                }
            };
            answer.ok_or(io::ErrorKind::UnexpectedEof)?;
        }
        Ok(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // These return errors if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn message() -> ByteBuf {
    ByteBuf::from(vec![b'x'; MESSAGE])
}

/// Runs a child: answers each message, until the other end is closed.
pub(crate) fn answer(way: &str) -> io::Result<()> {
    let socket: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    let mut messages = Messages::from_fd(socket);
    if way == Way::Blocking.name() {
        while let Some(message) = messages.blocking_recv()? {
            messages.blocking_send(message)?;
        }
        return Ok(());
    }
    coreloop::block_on(async {
        while let Some(message) = messages.recv().await? {
            messages.send(message).await?;
        }
        Ok(())
    })
}
