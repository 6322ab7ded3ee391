//! [`Reader`], through which a fuzz target reads frames.

use super::Frames;
use crate::frame::{HEADER, Header, Kind};

/// A reader of frames for the fuzz target `frames`.
#[derive(Debug)]
pub struct Reader(Frames<Header>);

impl Reader {
    /// Creates a reader that accepts bodies of up to `max_length` bytes.
    #[must_use]
    pub fn new(max_length: usize) -> Self {
        Self(Frames::new(max_length))
    }

    /// Gives the reader as many of the bytes as there is space for, as one read would, and
    /// returns how many.
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        let space = self.0.space();
        let count = bytes.len().min(space.len());
        space[..count].copy_from_slice(&bytes[..count]);
        self.0.filled(count);
        count
    }

    /// Returns the next frame, its header written anew; `None` if it is not complete.
    ///
    /// # Errors
    ///
    /// Returns an error if the next bytes are no header.
    pub fn take_frame(&mut self) -> std::io::Result<Option<([u8; HEADER], &[u8])>> {
        let frame = self.0.next()?;
        Ok(frame.map(|(header, body)| (header.to_bytes(), body)))
    }

    /// Returns how many bytes the reader has allocated.
    #[must_use]
    pub fn allocated(&self) -> usize {
        self.0.buffer.capacity()
    }

    /// Returns whether a part of a frame has come.
    #[must_use]
    pub fn is_in_frame(&self) -> bool {
        self.0.is_in_frame()
    }
}

/// Returns whether a number is the kind of a frame and the number of its descriptors.
#[must_use]
pub fn is_kind(number: u16) -> bool {
    let [kind, _] = number.to_le_bytes();
    Kind::from_bits(kind).is_some()
}
