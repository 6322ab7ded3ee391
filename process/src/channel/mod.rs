//! The connection between the master and a worker: [`Channel`], one end of a pair of Unix
//! stream sockets that carries whole messages with descriptors.
//!
//! # Invariants
//!
//! 1. A frame is its length and its number of descriptors, then the message as
//!    `postcard` writes it. The descriptors are sent with the frame's first byte, and the
//!    kernel returns the descriptors of two frames in two reads.
//! 2. Sending never waits: if the peer has not read and the socket is full, the message is
//!    lost and the caller gets an error. So a stopped worker cannot block the master.
//! 3. Descriptors are received with `CLOEXEC`, so no child that is started meanwhile
//!    inherits them.
//! 4. The kernel drops descriptors for which a process has no room. A message comes with
//!    all its descriptors or with none, and never with the descriptors of another frame.
//! 5. A frame that was sent in part is the last one: nothing is sent after it, because the
//!    peer would take it for the rest of that frame.

mod message;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use coreloop_net::unix::{MAX_FDS, read_with_fds, send_with_fds};
use coreloop_runtime::io::Async;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sys;

pub(crate) use message::{
    Inherited, SocketKind, Start, StartSocket, ToMaster, ToPredecessor, ToSuccessor, ToWorker,
    short_error,
};

/// The maximum number of descriptors of one message.
pub(crate) const MAX_DESCRIPTORS: usize = MAX_FDS;

/// The maximum length of a message. This crate's messages are far shorter, so a longer one
/// is invalid.
const MAX_MESSAGE: usize = 64 << 10;

const HEADER: usize = 5;

/// A message with its descriptors: all of them, or none if there was no room.
type Frame<M> = (M, Vec<OwnedFd>);

/// One end of a channel. It is blocking if its descriptor is.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    received: Received,
}

/// One end of a channel, on the loop.
#[derive(Debug)]
pub(crate) struct AsyncChannel {
    socket: Async<OwnedFd>,
    received: Received,
}

/// Bytes and descriptors of frames that are not complete yet.
#[derive(Debug, Default)]
struct Received {
    bytes: Vec<u8>,
    /// The descriptors of each frame that has any, in order; `None` if some were lost.
    descriptors: VecDeque<Option<Vec<OwnedFd>>>,
}

impl Channel {
    /// Creates the two ends of a channel, both blocking and both closed on `exec`.
    ///
    /// # Errors
    ///
    /// Returns an error if there are too many descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = sys::socket_pair()?;
        Ok((Self::from_socket(one), Self::from_socket(other)))
    }

    /// Creates an end of a channel from a connected Unix stream socket.
    #[must_use]
    pub fn from_socket(socket: OwnedFd) -> Self {
        Self {
            socket,
            received: Received::default(),
        }
    }

    /// Returns the socket. Bytes that were received beyond the last message are lost.
    #[must_use]
    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Returns the socket, and the bytes that were received beyond the last message: the
    /// start of what follows, if the sender continues with something other than messages.
    #[must_use]
    pub fn into_parts(self) -> (OwnedFd, Vec<u8>) {
        (self.socket, self.received.bytes)
    }

    /// Receives a message with its descriptors, and blocks this thread until it has come;
    /// `None` at the end. There are no descriptors if the process had no room for them.
    ///
    /// # Errors
    ///
    /// Returns an error if the socket fails, ends within a message, or carries something
    /// other than a message of this type.
    pub fn receive<M: DeserializeOwned>(&mut self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        loop {
            if let Some(frame) = self.received.frame()? {
                return Ok(Some(frame));
            }
            match self.received.fill(&self.socket) {
                Ok(0) => return self.received.end(),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a message and duplicates of descriptors, without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error if the message is too long, the other end is closed, or it has not
    /// read and the socket is full. Then the message is lost, and the channel may be unusable.
    pub fn send<M: Serialize>(
        &self,
        message: &M,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        send(self.socket.as_fd(), message, descriptors)
    }

    /// Returns whether there is something to receive other than the end.
    #[must_use]
    pub fn has_more(&self) -> bool {
        let mut byte = [0];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = rustix::net::recv(&self.socket, &mut byte, flags);
        !self.received.bytes.is_empty() || peeked.is_ok_and(|(count, _)| count > 0)
    }

    /// Puts this end on the current loop.
    pub(crate) fn into_async(self) -> io::Result<AsyncChannel> {
        ioctl_fionbio(&self.socket, true)?;
        Ok(AsyncChannel {
            socket: Async::from_nonblocking(self.socket)?,
            received: self.received,
        })
    }
}

impl AsyncChannel {
    /// Receives the next message with its descriptors; `None` when the other end is closed.
    ///
    /// Cancel safe: a part of a message is kept for the next call.
    pub(crate) async fn receive<M: DeserializeOwned>(
        &mut self,
    ) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    pub(crate) fn poll_receive<M: DeserializeOwned>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Frame<M>>>> {
        loop {
            if let Some(frame) = self.received.frame()? {
                return Poll::Ready(Ok(Some(frame)));
            }
            let received = &mut self.received;
            let fill = |socket: &OwnedFd| received.fill(socket);
            if ready!(self.socket.poll_read_with(cx, fill))? == 0 {
                return Poll::Ready(received.end());
            }
        }
    }

    pub(crate) fn send<M: Serialize>(
        &self,
        message: &M,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        send(self.socket.get_ref().as_fd(), message, descriptors)
    }

    /// Waits until the socket has room for a short message, and calls `send`. `Ok(false)` if
    /// there is nothing to send.
    pub(crate) fn poll_send_with(
        &self,
        cx: &mut Context<'_>,
        mut send: impl FnMut() -> io::Result<bool>,
    ) -> Poll<io::Result<bool>> {
        self.socket.poll_write_with(cx, |socket| {
            if has_room(socket.as_fd(), Duration::ZERO)? {
                send()
            } else {
                Err(ErrorKind::WouldBlock.into())
            }
        })
    }

    /// Duplicates the descriptor of this end, so that other code can send.
    pub(crate) fn sender(&self) -> io::Result<Sender> {
        Ok(Sender(self.socket.get_ref().try_clone()?))
    }
}

/// A handle that sends from one end of a channel.
#[derive(Debug)]
pub(crate) struct Sender(OwnedFd);

impl Sender {
    pub(crate) fn send<M: Serialize>(
        &self,
        message: &M,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        send(self.0.as_fd(), message, descriptors)
    }

    /// Blocks this thread until the socket has room for a short message, and returns whether
    /// it has after `time`.
    pub(crate) fn has_room(&self, time: Duration) -> io::Result<bool> {
        has_room(self.0.as_fd(), time)
    }
}

/// Returns whether the kernel reports the socket as writable: it takes a message of a kilobyte
/// as a whole then.
fn has_room(socket: BorrowedFd<'_>, time: Duration) -> io::Result<bool> {
    let time = Timespec::try_from(time).map_err(io::Error::other)?;
    let mut polled = [PollFd::new(&socket, PollFlags::OUT)];
    match poll(&mut polled, Some(&time)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Received {
    /// Reads once, and returns how many bytes were read.
    fn fill(&mut self, socket: &OwnedFd) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let mut buffers = [IoSliceMut::new(&mut buffer)];
        let (count, descriptors) = match read_with_fds(socket, &mut buffers, RecvFlags::empty()) {
            // The end, from a process that has not read everything. What it had sent was
            // received before.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(0),
            read => read?,
        };
        match descriptors.into_all() {
            Ok(none) if none.is_empty() => {}
            came => self.descriptors.push_back(came.ok()),
        }
        self.bytes.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    /// Takes the first frame, if it is complete.
    fn frame<M: DeserializeOwned>(&mut self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        let Some((header, rest)) = self.bytes.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [a, b, c, d, count] = *header;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let count = usize::from(count);
        if length > MAX_MESSAGE {
            return Err(garbled("a frame is too long"));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let message = postcard::from_bytes(&rest[..length])
            .map_err(|error| garbled(&format!("a message does not parse: {error}")))?;
        let descriptors = match count {
            0 => Vec::new(),
            _ => match self.descriptors.pop_front() {
                Some(Some(descriptors)) if descriptors.len() == count => descriptors,
                Some(None) => Vec::new(),
                _ => return Err(garbled("descriptors of a frame are missing")),
            },
        };
        self.bytes.drain(..HEADER + length);
        Ok(Some((message, descriptors)))
    }

    /// Returns what the end of the stream means: `None` between frames, an error within one.
    fn end<M>(&self) -> io::Result<Option<M>> {
        if self.bytes.is_empty() {
            Ok(None)
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }
}

fn send<M: Serialize>(
    socket: BorrowedFd<'_>,
    message: &M,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let body = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let too_much = || io::Error::new(ErrorKind::InvalidInput, "too much for one message");
    let length = u32::try_from(body.len()).map_err(|_| too_much())?;
    let count = u8::try_from(descriptors.len()).map_err(|_| too_much())?;
    if body.len() > MAX_MESSAGE || descriptors.len() > MAX_DESCRIPTORS {
        return Err(too_much());
    }
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4] = count;
    let buffers = [IoSlice::new(&header), IoSlice::new(&body)];
    let sent = loop {
        match send_with_fds(socket, &buffers, descriptors, SendFlags::DONTWAIT) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The other end was closed before it was read to its end.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return Err(ErrorKind::BrokenPipe.into());
            }
            sent => break sent?,
        }
    };
    if sent == HEADER + body.len() {
        Ok(())
    } else {
        // Invariant 5. This fails if the other end is closed, which has the same effect.
        let _ = rustix::net::shutdown(socket, Shutdown::Write);
        Err(io::Error::new(
            ErrorKind::WouldBlock,
            "the other end does not read",
        ))
    }
}

fn garbled(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
