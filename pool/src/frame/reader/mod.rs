//! [`Frames`], which finds the frames in the bytes that a socket returns.
//!
//! # Invariants
//!
//! 1. `start <= end <= buffer.len()`. The bytes from `start` to `end` have come and are not
//!    consumed.
//! 2. The buffer grows only when the bytes that have come fill three quarters of it, and then
//!    to at most twice their number. A header can claim any length: it limits how far the
//!    buffer grows, and never makes it grow.
//! 3. Bytes that wait for the rest of their frame are moved to the front of the buffer at
//!    most once, before the next read. Apart from that, bytes move only if the allocator
//!    moves the buffer as it grows. Since the buffer then doubles, that moves fewer bytes
//!    than have come.
//! 4. Descriptors belong to the frame that begins within the read with which they came, which
//!    is the only one there with descriptors; see [`rights`](crate::ipc::wire::rights).

pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use coreloop_runtime::io::Async;

use crate::ipc::wire::rights::{Descriptors, Received, Rights, receive, receive_waiting};

/// The length of a new buffer.
const SMALL: usize = 64 << 10;

/// A longer buffer is given back before the next read once its frame is consumed, because
/// that read may wait for long. To grow again costs little, compared with what is done with
/// that many bytes.
const LARGEST_KEPT: usize = 4 << 20;

/// A buffer up to that length is given back after this many reads that did not need it.
const READS_KEPT: u32 = 64;

/// The start of a frame.
pub(crate) trait FrameHeader: Sized {
    const LENGTH: usize;

    /// Reads the header at the start of `bytes`. Returns `None` if not all of it has come.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are no header, or if the body is longer than
    /// `max_length`.
    fn read(bytes: &[u8], max_length: usize) -> Option<io::Result<Self>>;

    fn body_length(&self) -> usize;

    /// The number of descriptors that were sent with the frame. `None` if the sender has lost
    /// them.
    fn descriptors(&self) -> Option<usize>;
}

/// A reader of frames. The caller calls [`fill`](Frames::fill) when there may be something to
/// read, and then [`next`](Frames::next) until it returns `None`.
#[derive(Debug)]
pub(crate) struct Frames<H> {
    /// All of it is initialized, so that it can be read into again and again. It is allocated
    /// for the first read.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    max_length: usize,
    /// How many reads have ended since a frame needed more than a small buffer.
    reads_since_large: u32,
    /// How many bytes were consumed.
    consumed: u64,
    rights: Rights,
    header: PhantomData<fn() -> H>,
}

impl<H: FrameHeader> Frames<H> {
    /// Creates a reader that accepts bodies of up to `max_length` bytes.
    pub(crate) fn new(max_length: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            max_length,
            reads_since_large: 0,
            consumed: 0,
            rights: Rights::default(),
            header: PhantomData,
        }
    }

    pub(crate) fn max_length(&self) -> usize {
        self.max_length
    }

    pub(crate) fn set_max_length(&mut self, max_length: usize) {
        self.max_length = max_length;
    }

    /// Creates a reader that has already read these bytes, which came with the message before
    /// the frames.
    pub(crate) fn starting_with(bytes: &[u8], max_length: usize) -> Self {
        let mut frames = Self::new(max_length);
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = frames.space();
            let (now, later) = rest.split_at(rest.len().min(space.len()));
            space[..now.len()].copy_from_slice(now);
            frames.filled(now.len());
            rest = later;
        }
        frames
    }

    /// Waits until there is something to read, and reads once. Returns how many bytes were
    /// read; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// Returns the error of the system call, unless a signal has interrupted it.
    pub(crate) fn fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let received = receive_waiting(socket.as_fd(), self.space())?;
        Ok(self.received(received))
    }

    /// Reads once without waiting, and returns how many bytes were read; 0 at the end of the
    /// stream.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing to read, or the
    /// error of the system call.
    pub(crate) fn try_fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let received = receive(socket.as_fd(), self.space())?;
        Ok(self.received(received))
    }

    /// Polls a read. Returns how many bytes were read; 0 at the end of the stream.
    ///
    /// Only the task that polled last is woken.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Async<impl AsFd>,
    ) -> Poll<io::Result<usize>> {
        let space = self.space();
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
        self.filled(count);
        if let Some(descriptors) = descriptors {
            self.rights.came(from..self.position(), descriptors);
        }
        count
    }

    /// The number of bytes that have come.
    fn position(&self) -> u64 {
        self.consumed + (self.end - self.start) as u64
    }

    /// Returns the part of the buffer into which the caller reads next. It is never empty, and
    /// holds bytes of earlier reads.
    ///
    /// Complete frames that were not taken yet are kept.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.move_to_front();
        let frame = self.frame_length();
        if frame <= SMALL {
            self.give_back();
        }
        let length = self.buffer.len();
        if length == 0 {
            self.grow(SMALL);
        } else if length < frame && self.end >= length / 4 * 3 {
            self.grow(frame.min(self.end * 2));
        } else if length == self.end {
            // The caller has left complete frames in the buffer.
            self.grow(length * 2);
        }
        &mut self.buffer[self.end..]
    }

    /// Reports that `count` bytes were read into the space.
    ///
    /// # Panics
    ///
    /// Panics if the space is shorter.
    pub(crate) fn filled(&mut self, count: usize) {
        assert!(
            count <= self.buffer.len() - self.end,
            "more bytes were read than there was space for"
        );
        self.end += count;
        self.reads_since_large = match self.frame_length() {
            ..=SMALL => self.reads_since_large.saturating_add(1),
            _ => 0,
        };
    }

    /// Takes the next frame if all of it has come: its header, its body and its descriptors.
    ///
    /// # Errors
    ///
    /// Returns an error if the next bytes are no header, or the header of a frame that is
    /// too long or whose descriptors have not come. Every further call returns an error again.
    pub(crate) fn next(&mut self) -> io::Result<Option<(H, &[u8], Descriptors)>> {
        let unread = &self.buffer[self.start..self.end];
        let Some(header) = H::read(unread, self.max_length) else {
            return Ok(None);
        };
        let header = header?;
        let count = header.descriptors();
        let has_rights = count != Some(0) || !self.rights.is_empty();
        let length = H::LENGTH + header.body_length();
        let span = self.consumed..self.consumed + length as u64;
        if has_rights {
            self.rights.check(&span, count)?;
        }
        let Some(body) = unread.get(H::LENGTH..length) else {
            return Ok(None);
        };
        let descriptors = match has_rights {
            true => self.rights.take(count),
            false => Ok(Vec::new()),
        };
        self.start += length;
        self.consumed = span.end;
        Ok(Some((header, body, descriptors)))
    }

    /// Returns whether bytes have come that are not consumed. When `next` has returned `None`,
    /// they are a part of a frame, so that the stream must not end here.
    pub(crate) fn is_in_frame(&self) -> bool {
        self.start < self.end
    }

    /// The number of bytes that have come and are not consumed.
    pub(crate) fn buffered(&self) -> usize {
        self.end - self.start
    }

    /// Returns how long the first frame is, including its header, as far as is known.
    fn frame_length(&self) -> usize {
        let unread = &self.buffer[self.start..self.end];
        match H::read(unread, self.max_length) {
            Some(Ok(header)) => H::LENGTH.saturating_add(header.body_length()),
            _ => H::LENGTH,
        }
    }

    /// Moves what is not consumed to the front of the buffer. It is not moved again before a
    /// frame in front of it is consumed, and after the first call there is none.
    fn move_to_front(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    fn grow(&mut self, length: usize) {
        // `resize` alone may allocate twice as much as it is asked for.
        self.buffer.reserve_exact(length - self.buffer.len());
        self.buffer.resize(length, 0);
    }

    /// Replaces a large buffer that is not needed any more by a small one.
    fn give_back(&mut self) {
        let length = self.buffer.len();
        let is_spare = length > LARGEST_KEPT || self.reads_since_large >= READS_KEPT;
        // Not if complete frames are left, which would fill a small buffer again.
        if length > SMALL && is_spare && self.end <= SMALL / 2 {
            let mut small = vec![0; SMALL];
            small[..self.end].copy_from_slice(&self.buffer[..self.end]);
            self.buffer = small;
        }
    }
}
