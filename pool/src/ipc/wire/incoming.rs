//! [`Incoming`], the messages that a socket receives.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use coreloop_runtime::io::Async;

use super::Header;
use super::rights::Descriptors;
use crate::frame::reader::Frames;

/// Reads the messages of one socket. The caller reads from the socket by one of the `fill`
/// methods, and then calls [`next`](Incoming::next) until it returns `None`.
#[derive(Debug)]
pub(crate) struct Incoming(Frames<Header>);

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
        Self(Frames::new(max_length))
    }

    pub(crate) fn max_length(&self) -> usize {
        self.0.max_length()
    }

    pub(crate) fn set_max_length(&mut self, max_length: usize) {
        self.0.set_max_length(max_length);
    }

    /// Waits until there is something to read, and reads once. Returns how many bytes were
    /// read; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// Returns the error of the system call, unless a signal has interrupted it.
    pub(crate) fn fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.0.fill(socket)
    }

    /// Reads once without waiting. Returns how many bytes were read; 0 at the end of the
    /// stream.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing to read, or the
    /// error of the system call.
    pub(crate) fn try_fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.0.try_fill(socket)
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
        self.0.poll_fill(cx, socket)
    }

    /// Takes the next message if all of it has come.
    ///
    /// # Errors
    ///
    /// Returns an error if the peer has sent something other than messages, or a message that is
    /// too long. Nothing more can be read then, and every further call returns an error.
    pub(crate) fn next(&mut self) -> io::Result<Option<Frame<'_>>> {
        let next = self.0.next()?;
        Ok(next.map(|(header, body, descriptors)| Frame {
            tag: header.tag,
            body,
            descriptors,
        }))
    }

    /// Returns whether bytes have come that are not taken. When `next` has returned `None`, they
    /// are a part of a message, so that the stream must not end here.
    pub(crate) fn is_in_frame(&self) -> bool {
        self.0.is_in_frame()
    }

    /// The number of bytes that have come and are not taken. They are whole messages, if `next`
    /// was not called since, and a part of one.
    pub(crate) fn buffered(&self) -> usize {
        self.0.buffered()
    }
}
