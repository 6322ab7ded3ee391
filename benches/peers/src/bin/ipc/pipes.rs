//! coreloop's pipes.

use std::io;

use coreloop::ipc::Pipe;
use serde_bytes::ByteBuf;

use crate::MESSAGE;
use crate::child::{self, Child};

/// The cases of the children: the two processes use the pipe as tasks on their loops, or by
/// calls that block their threads.
pub(crate) const TASKS: &str = "tasks";
pub(crate) const BLOCKING: &str = "blocking";

/// A pipe whose other end answers each message with the same message.
type Peer = Child<ByteBuf, ByteBuf>;

/// The peers of both cases.
#[derive(Debug)]
pub(crate) struct Pipes {
    tasks: Peer,
    blocking: Peer,
}

impl Pipes {
    pub(crate) fn start() -> io::Result<Pipes> {
        Ok(Pipes {
            tasks: Child::start(TASKS)?,
            blocking: Child::start(BLOCKING)?,
        })
    }

    /// Sends messages, each after the answer to the one before.
    pub(crate) async fn ping_pong(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            self.tasks.pipe.send(message()).await?;
            let answer = self.tasks.pipe.recv().await?;
            answer.ok_or(io::ErrorKind::UnexpectedEof)?;
        }
        Ok(())
    }

    /// Sends messages like [`ping_pong`](Self::ping_pong), without a loop.
    pub(crate) fn blocking_ping_pong(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            self.blocking.pipe.blocking_send(message())?;
            let answer = self.blocking.pipe.blocking_recv()?;
            answer.ok_or(io::ErrorKind::UnexpectedEof)?;
        }
        Ok(())
    }
}

fn message() -> ByteBuf {
    ByteBuf::from(vec![b'x'; MESSAGE])
}

/// Runs a child: answers each message on a loop, until the other end is closed.
pub(crate) fn answer() -> io::Result<()> {
    let mut messages: Pipe<ByteBuf, ByteBuf> = child::end()?;
    coreloop::block_on(async {
        while let Some(message) = messages.recv().await? {
            messages.send(message).await?;
        }
        Ok(())
    })
}

/// Runs a child like [`answer`], without a loop.
pub(crate) fn answer_blocking() -> io::Result<()> {
    let mut messages: Pipe<ByteBuf, ByteBuf> = child::end()?;
    while let Some(message) = messages.blocking_recv()? {
        messages.blocking_send(message)?;
    }
    Ok(())
}
