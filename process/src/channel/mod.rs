//! What the master and a worker say to each other: [`Channel`], one end of a pair
//! of Unix stream sockets over which whole messages go, with descriptors.
//!
//! 1. A frame is its length and its number of descriptors, then the message as
//!    `postcard` writes it. The descriptors go with the frame's first byte, and the
//!    kernel gives those of two frames in two reads.
//! 2. Sending never waits: what a peer has not read for so long that the socket is
//!    full is lost with the peer, and the caller hears of it. So a stopped worker
//!    cannot stop the master.
//! 3. Descriptors are received with `CLOEXEC`, whoever starts a process next.
//! 4. The kernel leaves out descriptors for which a process has no room. A message
//!    comes with all of its own, or with none; those of another frame it never gets.
//! 5. A frame of which a part was sent is the last one: nothing is sent behind it,
//!    where it would be taken for the rest.

mod message;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use coreloop_runtime::io::Async;
use rustix::io::ioctl_fionbio;
#[cfg(target_os = "linux")]
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use message::{
    Inherited, SocketKind, Start, ToMaster, ToPredecessor, ToSuccessor, ToWorker,
};

/// The kernel takes no more in one message (`SCM_MAX_FD`, unix(7)).
pub(crate) const MOST_DESCRIPTORS: usize = 253;

/// No message is near as long; a longer one is none of ours.
const LONGEST: usize = 64 << 10;

const HEADER: usize = 5;

const CONTROL: usize = rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS));

/// A message, and the descriptors that came with it: all, or if there was no room, none.
type Frame<M> = (M, Vec<OwnedFd>);

/// One end, which blocks or not as its descriptor is set.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: OwnedFd,
    received: Received,
}

/// An end on the loop.
#[derive(Debug)]
pub(crate) struct AsyncChannel {
    socket: Async<OwnedFd>,
    received: Received,
}

/// Bytes and descriptors of frames that are not complete yet.
#[derive(Debug, Default)]
struct Received {
    bytes: Vec<u8>,
    /// Of each frame that has any, in order; `None` if some of them are lost.
    descriptors: VecDeque<Option<Vec<OwnedFd>>>,
}

impl Channel {
    /// Two ends, both blocking and both closed in children.
    pub(crate) fn pair() -> io::Result<(Channel, Channel)> {
        let (one, other) = socket_pair()?;
        Ok((Channel::from_socket(one), Channel::from_socket(other)))
    }

    pub(crate) fn from_socket(socket: OwnedFd) -> Channel {
        Channel {
            socket,
            received: Received::default(),
        }
    }

    pub(crate) fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Waits for a message on this thread; `None` at the end.
    pub(crate) fn receive<M: DeserializeOwned>(&mut self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
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

    pub(crate) fn send<M: Serialize>(
        &self,
        message: &M,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        send(self.socket.as_fd(), message, descriptors)
    }

    /// Whether there is anything to receive, and not only the end.
    pub(crate) fn has_more(&self) -> bool {
        let mut byte = [0];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = rustix::net::recv(&self.socket, &mut byte, flags);
        !self.received.bytes.is_empty() || peeked.is_ok_and(|(count, _)| count > 0)
    }

    /// Puts the end on this thread's loop.
    pub(crate) fn into_async(self) -> io::Result<AsyncChannel> {
        ioctl_fionbio(&self.socket, true)?;
        Ok(AsyncChannel {
            socket: Async::from_nonblocking(self.socket)?,
            received: self.received,
        })
    }
}

impl AsyncChannel {
    /// The next message with its descriptors; `None` when the other end is closed.
    ///
    /// Cancel safe: a part of a message stays for the next call.
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

    /// A second descriptor of this end, to send from elsewhere on the loop.
    pub(crate) fn sender(&self) -> io::Result<Sender> {
        Ok(Sender(self.socket.get_ref().try_clone()?))
    }
}

/// The sending side of an end.
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
}

impl Received {
    /// Reads once; answers how many bytes came.
    fn fill(&mut self, socket: &OwnedFd) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let mut space = [MaybeUninit::uninit(); CONTROL];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut buffer)],
            &mut control,
            receive_flags(),
        )?;
        let mut came = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                for descriptor in descriptors {
                    #[cfg(not(target_os = "linux"))]
                    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
                    came.push(descriptor);
                }
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            self.descriptors.push_back(None);
        } else if !came.is_empty() {
            self.descriptors.push_back(Some(came));
        }
        self.bytes.extend_from_slice(&buffer[..received.bytes]);
        Ok(received.bytes)
    }

    /// Takes the first frame, if all of it is here.
    fn frame<M: DeserializeOwned>(&mut self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        let Some((header, rest)) = self.bytes.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [a, b, c, d, count] = *header;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let count = usize::from(count);
        if length > LONGEST {
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

    /// What the end of the stream means here.
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
    if body.len() > LONGEST || descriptors.len() > MOST_DESCRIPTORS {
        return Err(too_much());
    }
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4] = count;
    let mut space = [MaybeUninit::uninit(); CONTROL];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(too_much());
    }
    let sent = rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(
            socket,
            &[IoSlice::new(&header), IoSlice::new(&body)],
            &mut control,
            send_flags(),
        )
    })?;
    if sent == HEADER + body.len() {
        Ok(())
    } else {
        // Invariant 5. It fails if the other end is gone, too.
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

#[cfg(target_os = "linux")]
fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

#[cfg(not(target_os = "linux"))]
fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = std::os::unix::net::UnixStream::pair()?;
    Ok((one.into(), other.into()))
}

#[cfg(target_os = "linux")]
fn receive_flags() -> RecvFlags {
    RecvFlags::CMSG_CLOEXEC
}

#[cfg(not(target_os = "linux"))]
fn receive_flags() -> RecvFlags {
    RecvFlags::empty()
}

#[cfg(target_os = "linux")]
fn send_flags() -> SendFlags {
    SendFlags::NOSIGNAL | SendFlags::DONTWAIT
}

// Programs in Rust ignore SIGPIPE.
#[cfg(not(target_os = "linux"))]
fn send_flags() -> SendFlags {
    SendFlags::DONTWAIT
}
