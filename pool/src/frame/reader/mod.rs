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

pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;

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

    /// Reads once, and returns how many bytes were read; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// Returns the error of the system call, unless a signal has interrupted it.
    pub(crate) fn fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let space = self.space();
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&socket, &mut *space))?;
        self.filled(count);
        Ok(count)
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

    /// Takes the next frame if all of it has come.
    ///
    /// # Errors
    ///
    /// Returns an error if the next bytes are no header, or the header of a frame that is
    /// too long. Every further call returns the error again.
    pub(crate) fn next(&mut self) -> io::Result<Option<(H, &[u8])>> {
        let unread = &self.buffer[self.start..self.end];
        let Some(header) = H::read(unread, self.max_length) else {
            return Ok(None);
        };
        let header = header?;
        let length = H::LENGTH + header.body_length();
        let Some(body) = unread.get(H::LENGTH..length) else {
            return Ok(None);
        };
        self.start += length;
        Ok(Some((header, body)))
    }

    /// Returns the header of the next frame, of which the body may not have come.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`next`](Self::next).
    pub(crate) fn peek(&self) -> io::Result<Option<H>> {
        H::read(&self.buffer[self.start..self.end], self.max_length).transpose()
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
