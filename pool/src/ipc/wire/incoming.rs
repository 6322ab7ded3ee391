//! [`Incoming`], the messages that a socket receives.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use coreloop_runtime::io::Async;

use super::rights::{Descriptors, Received, Rights, receive, receive_waiting};
use super::{HEADER, Header};
use crate::frame::reader::{FrameHeader, Frames};

/// Reads the messages of one socket. The caller reads from the socket by one of the `fill`
/// methods, and then calls [`next`](Incoming::next) until it returns `None`.
#[derive(Debug)]
pub(crate) struct Incoming {
    frames: Frames<Header>,
    /// How many bytes of messages were taken.
    taken: u64,
    rights: Rights,
}

/// A message.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) tag: u16,
    pub(crate) body: &'a [u8],
    /// All the descriptors that were sent with the message, or an error if there was no room
    /// for them in this process. Then the next message can still be read.
    pub(crate) descriptors: Descriptors,
}

impl Incoming {
    /// Creates a reader of messages whose bodies have at most `max_length` bytes.
    ///
    /// A header that claims more is an error. One that claims less allocates nothing: the buffer
    /// grows as the bytes come.
    pub(crate) fn new(max_length: usize) -> Self {
        Self {
            frames: Frames::new(max_length),
            taken: 0,
            rights: Rights::default(),
        }
    }

    pub(crate) fn max_length(&self) -> usize {
        self.frames.max_length()
    }

    pub(crate) fn set_max_length(&mut self, max_length: usize) {
        self.frames.set_max_length(max_length);
    }

    /// Waits until there is something to read, and reads once. Returns how many bytes were
    /// read; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// Returns the error of the system call, unless a signal has interrupted it.
    pub(crate) fn fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let received = receive_waiting(socket.as_fd(), self.frames.space())?;
        Ok(self.received(received))
    }

    /// Reads once without waiting. Returns how many bytes were read; 0 at the end of the
    /// stream.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing to read, or the
    /// error of the system call.
    pub(crate) fn try_fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let received = receive(socket.as_fd(), self.frames.space())?;
        Ok(self.received(received))
    }

    /// Polls a read. Returns how many bytes were read; 0 at the end of the stream.
    ///
    /// Only the task that polled last is woken.
    ///
    /// # Errors
    ///
    /// Returns the error of the system call.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Async<impl AsFd>,
    ) -> Poll<io::Result<usize>> {
        let space = self.frames.space();
        let length = space.len();
        let received = ready!(socket.poll_read_or_short(
            cx,
            |socket| receive(socket.as_fd(), &mut *space),
            |received| received.is_short(length),
        ))?;
        Poll::Ready(Ok(self.received(received)))
    }

    fn received(&mut self, received: Received) -> usize {
        let Received { count, descriptors } = received;
        let from = self.position();
        self.frames.filled(count);
        if let Some(descriptors) = descriptors {
            self.rights.came(from..self.position(), descriptors);
        }
        count
    }

    /// The number of bytes that have come.
    fn position(&self) -> u64 {
        self.taken + self.frames.buffered() as u64
    }

    /// Returns the tag of the next message if its header has come.
    ///
    /// # Errors
    ///
    /// Returns an error if [`next`](Self::next) would because of the header.
    pub(crate) fn next_tag(&self) -> io::Result<Option<u16>> {
        Ok(self.frames.peek()?.map(|header| header.tag))
    }

    /// Takes the next message if all of it has come.
    ///
    /// # Errors
    ///
    /// Returns an error if the peer has sent something other than messages, or a message that is
    /// too long. Nothing more can be read then, and every further call returns an error.
    pub(crate) fn next(&mut self) -> io::Result<Option<Frame<'_>>> {
        let Some(header) = self.frames.peek()? else {
            return Ok(None);
        };
        let count = header.descriptors();
        let has_rights = count != Some(0) || !self.rights.is_empty();
        let end = self.taken + (HEADER + header.body_length()) as u64;
        if has_rights {
            self.rights.check(&(self.taken..end), count)?;
        }
        let Some((Header { tag, .. }, body)) = self.frames.next()? else {
            return Ok(None);
        };
        self.taken = end;
        let descriptors = match has_rights {
            true => self.rights.take(count),
            false => Ok(Vec::new()),
        };
        Ok(Some(Frame {
            tag,
            body,
            descriptors,
        }))
    }

    /// Returns whether bytes have come that are not taken. When `next` has returned `None`, they
    /// are a part of a message, so that the stream must not end here.
    pub(crate) fn is_in_frame(&self) -> bool {
        self.frames.is_in_frame()
    }

    /// The number of bytes that have come and are not taken. They are whole messages, if `next`
    /// was not called since, and a part of one.
    pub(crate) fn buffered(&self) -> usize {
        self.frames.buffered()
    }
}
