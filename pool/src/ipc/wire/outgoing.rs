//! [`Outgoing`], the messages that a socket sends.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll, ready};

use coreloop_net::unix::send_with_fds;
use coreloop_runtime::io::Async;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendFlags, send};

use super::rights;
use super::{HEADER, Header, LOST};
use crate::ipc::MAX_DESCRIPTORS;
use crate::sys;

/// The capacity that is kept while there is nothing to send.
const KEPT: usize = 1 << 20;

/// The bytes that were written are removed from the buffer when there are as many, and they are
/// more than the ones that are left.
const REMOVED: usize = 64 << 10;

/// The messages that are written to one socket next.
///
/// Small messages are written together. The caller decides how many messages may wait:
/// [`length`](Outgoing::length) is the number of their bytes.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// Messages, one after the other.
    bytes: Vec<u8>,
    /// How many of the bytes were written.
    written: usize,
    /// Whether a part was written since there was nothing to write.
    has_begun: bool,
    /// The messages that have descriptors which were not sent yet.
    attached: VecDeque<Attached>,
    max_length: usize,
}

#[derive(Debug)]
struct Attached {
    /// Where the message begins in the buffer.
    at: usize,
    descriptors: Vec<OwnedFd>,
}

impl Outgoing {
    /// Creates a writer of messages whose bodies have at most `max_length` bytes.
    pub(crate) fn new(max_length: usize) -> Self {
        Self {
            bytes: Vec::new(),
            written: 0,
            has_begun: false,
            attached: VecDeque::new(),
            max_length,
        }
    }

    pub(crate) fn max_length(&self) -> usize {
        self.max_length
    }

    pub(crate) fn set_max_length(&mut self, max_length: usize) {
        self.max_length = max_length;
    }

    /// Adds a message.
    ///
    /// # Errors
    ///
    /// Returns an error of kind [`InvalidInput`](ErrorKind::InvalidInput) if the body is too
    /// long, or if there are too many descriptors. Then nothing was added.
    pub(crate) fn push(
        &mut self,
        tag: u16,
        body: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> io::Result<()> {
        self.push_with(tag, |bytes| {
            bytes.extend_from_slice(body);
            Ok(descriptors)
        })
    }

    /// Adds a message whose body `write` appends to the bytes that it is given, without changing
    /// these. It returns the descriptors of the message.
    ///
    /// # Errors
    ///
    /// Returns an error if `write` does, or under the conditions of [`push`](Self::push). Then
    /// nothing was added. Neither is anything added if `write` panics.
    pub(crate) fn push_with(
        &mut self,
        tag: u16,
        write: impl FnOnce(&mut Vec<u8>) -> io::Result<Vec<OwnedFd>>,
    ) -> io::Result<()> {
        let at = self.bytes.len();
        let mut added = Added {
            bytes: &mut self.bytes,
            at,
            is_whole: false,
        };
        added.bytes.resize(at + HEADER, 0);
        let descriptors = write(added.bytes)?;
        let length = added.bytes.len() - at - HEADER;
        let header = header(tag, length, descriptors.len(), self.max_length)?;
        added.bytes[at..at + HEADER].copy_from_slice(&header.to_bytes());
        added.is_whole = true;
        drop(added);
        if !descriptors.is_empty() {
            self.attached.push_back(Attached { at, descriptors });
        }
        Ok(())
    }

    /// Returns whether everything was written.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the number of bytes that were not written.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Removes what was added, unless a part of it was written. Returns whether it was removed.
    pub(crate) fn withdraw(&mut self) -> bool {
        if self.has_begun {
            return false;
        }
        self.bytes.clear();
        let closed = mem::take(&mut self.attached);
        drop(closed);
        true
    }

    /// Writes once without waiting, as much as the socket takes and one system call can send.
    /// Returns whether everything was written. The descriptors that were sent are closed.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](ErrorKind::WouldBlock) if the socket takes nothing, or the error
    /// of the system call: [`BrokenPipe`](ErrorKind::BrokenPipe) if the peer has closed its end.
    pub(crate) fn write(&mut self, socket: impl AsFd) -> io::Result<bool> {
        if self.bytes.is_empty() {
            return Ok(true);
        }
        let count = retry_on_intr(|| self.send(socket.as_fd()))?;
        self.advance(count);
        Ok(self.bytes.is_empty())
    }

    /// Polls until everything was written.
    ///
    /// Only the task that polled last is woken.
    ///
    /// # Errors
    ///
    /// Returns the error of the system call.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Async<impl AsFd>,
    ) -> Poll<io::Result<()>> {
        while !self.bytes.is_empty() {
            let length = self.next().1 - self.written;
            let write = |_: &_| Ok(self.send(socket.as_fd())?);
            let count = ready!(socket.poll_write_stream(cx, length, write))?;
            self.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes everything, and blocks this thread while the socket takes nothing.
    ///
    /// # Errors
    ///
    /// Returns the error of the system call.
    #[cfg(test)]
    pub(crate) fn write_all(&mut self, socket: impl AsFd) -> io::Result<()> {
        loop {
            match self.write(&socket) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    super::wait_for(socket.as_fd(), rustix::event::PollFlags::OUT)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The descriptors that the next system call sends, and where its bytes end: before the
    /// next message with descriptors.
    fn next(&self) -> (&[OwnedFd], usize) {
        let end = |attached: Option<&Attached>| attached.map_or(self.bytes.len(), |next| next.at);
        match self.attached.front() {
            Some(first) if first.at == self.written => {
                (&first.descriptors, end(self.attached.get(1)))
            }
            first => (&[], end(first)),
        }
    }

    fn send(&mut self, socket: BorrowedFd<'_>) -> rustix::io::Result<usize> {
        let (descriptors, end) = self.next();
        let bytes = &self.bytes[self.written..end];
        if descriptors.is_empty() {
            return send(socket, bytes, sys::send_flags());
        }
        match send_slices(
            socket,
            &[IoSlice::new(bytes)],
            descriptors,
            sys::send_flags(),
        ) {
            Err(Errno::TOOMANYREFS) => {
                self.lose_descriptors();
                self.send(socket)
            }
            sent => sent,
        }
    }

    /// Closes the descriptors of the message that is written next, and marks it as a message that
    /// has lost them. The kernel refuses to send more descriptors until others were received.
    fn lose_descriptors(&mut self) {
        if let Some(Attached { at, descriptors }) = self.attached.pop_front() {
            self.bytes[at + HEADER - 2..at + HEADER].copy_from_slice(&LOST.to_le_bytes());
            drop(descriptors);
        }
    }

    fn advance(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let first = self.attached.front();
        let sent = first.is_some_and(|first| first.at == self.written);
        let closed = sent.then(|| self.attached.pop_front());
        self.written += count;
        self.has_begun = true;
        let left = self.bytes.len() - self.written;
        if left == 0 {
            self.written = 0;
            self.has_begun = false;
            self.bytes.clear();
            if self.bytes.capacity() > KEPT {
                self.bytes = Vec::new();
            }
        } else if self.written >= REMOVED && self.written > left {
            self.bytes.drain(..self.written);
            for attached in &mut self.attached {
                attached.at -= self.written;
            }
            self.written = 0;
        }
        drop(closed);
    }
}

/// A message that is added. Dropping it removes it, unless it is whole.
struct Added<'a> {
    bytes: &'a mut Vec<u8>,
    at: usize,
    is_whole: bool,
}

impl Drop for Added<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            self.bytes.truncate(self.at);
        }
    }
}

/// Returns the header of a message.
fn header(tag: u16, length: usize, descriptors: usize, max_length: usize) -> io::Result<Header> {
    let invalid = |text| io::Error::new(ErrorKind::InvalidInput, text);
    if descriptors > MAX_DESCRIPTORS {
        return Err(invalid(format!(
            "the message has {descriptors} descriptors, and at most {MAX_DESCRIPTORS} are possible"
        )));
    }
    match (u32::try_from(length), u16::try_from(descriptors)) {
        (Ok(length), Ok(descriptors)) if length as usize <= max_length => Ok(Header {
            length,
            tag,
            descriptors,
        }),
        _ => Err(invalid(format!(
            "the message has {length} bytes, and at most {max_length} are allowed"
        ))),
    }
}

/// Sends bytes, and descriptors with the first of them.
pub(crate) fn send_slices(
    socket: BorrowedFd<'_>,
    bytes: &[IoSlice<'_>],
    descriptors: &[OwnedFd],
    flags: SendFlags,
) -> rustix::io::Result<usize> {
    let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    send_with_fds(socket, bytes, &descriptors, flags).map_err(|error| rights::errno(&error))
}
