//! Frames: a length, a code and a body. [`Sealer`] writes them, [`Opener`] reads them.
//!
//! The code is the first half of the HMAC-SHA256, under the key of the direction, of the number
//! of the frame in its direction, of its length and of its body. The number is not sent: the
//! receiver counts.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The length of the header of a frame: the length of the body, and the code.
pub(crate) const HEADER: usize = LENGTH + CODE;

const LENGTH: usize = 4;

const CODE: usize = 16;

/// How much memory an [`Opener`] keeps while no long frame comes.
const BUFFER: usize = 16 * 1024;

/// Why a frame was not accepted. The connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The body is longer than allowed, or the length was changed on the way.
    TooLong(usize),
    /// The code is wrong: the frame was changed, repeated, or is not at its place.
    Code,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(length) => write!(f, "a frame of {length} bytes came, which is too long"),
            Self::Code => f.write_str("a frame came that was changed on the way"),
        }
    }
}

/// Writes the frames of one direction.
pub(crate) struct Sealer {
    key: Hmac<Sha256>,
    count: u64,
}

impl Sealer {
    pub(super) fn new(key: Hmac<Sha256>) -> Self {
        Self { key, count: 0 }
    }

    /// Appends a frame to `out`, whose body `write` appends.
    ///
    /// # Panics
    ///
    /// Panics if the body has 4 GiB or more. Callers bound it.
    pub(crate) fn seal(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        write(out);
        let length = u32::try_from(out.len() - start - HEADER).expect("a bounded body");
        let length = length.to_be_bytes();
        let (header, body) = out[start..].split_at_mut(HEADER);
        let code = code(&self.key, self.count, length, body);
        header[..LENGTH].copy_from_slice(&length);
        header[LENGTH..].copy_from_slice(&code.finalize().into_bytes()[..CODE]);
        self.count += 1;
    }
}

/// Reads the frames of one direction.
pub(crate) struct Opener {
    key: Hmac<Sha256>,
    count: u64,
    max: usize,
    /// All of its length is initialized. The bytes that have come and were not taken are from
    /// `start` to `end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    broken: Option<Broken>,
}

impl Opener {
    pub(super) fn new(key: Hmac<Sha256>, max: usize) -> Self {
        Self {
            key,
            count: 0,
            max,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            broken: None,
        }
    }

    /// Sets the maximum length of the bodies of later frames.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Returns the space into which the next bytes are read, which is never empty. The caller has
    /// taken all complete frames before.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > 4 * BUFFER {
                self.buffer = Vec::new();
            }
        }
        if self.buffer.is_empty() {
            self.buffer.resize(BUFFER, 0);
        }
        if self.end == self.buffer.len() {
            self.make_room();
        }
        &mut self.buffer[self.end..]
    }

    /// Notes that `count` bytes were read into the space.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.buffer.len());
    }

    /// Returns the body of the next frame; `None` if it has not come as a whole.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let bytes = &self.buffer[self.start..self.end];
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
            // The length may have come without the code: it is checked with it.
            return Ok(None);
        };
        let (length, expected) = header.split_at(LENGTH);
        let length = [length[0], length[1], length[2], length[3]];
        // Invariant 5.
        let count = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if count > self.max {
            return Err(self.end_with(Broken::TooLong(count)));
        }
        let Some(body) = rest.get(..count) else {
            return Ok(None);
        };
        let code = code(&self.key, self.count, length, body);
        // Invariant 6.
        if code.verify_truncated_left(expected).is_err() {
            return Err(self.end_with(Broken::Code));
        }
        self.count += 1;
        let from = self.start + HEADER;
        self.start = from + count;
        Ok(Some(&self.buffer[from..from + count]))
    }

    /// Returns whether a part of a frame has come.
    pub(crate) fn is_in_frame(&self) -> bool {
        self.start != self.end
    }

    /// Returns how many bytes are allocated.
    pub(crate) fn allocated(&self) -> usize {
        self.buffer.capacity()
    }

    /// Makes room behind the bytes that have come, for at most twice as many.
    #[cold]
    fn make_room(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        if self.start < self.buffer.len() / 2 {
            let length = self.buffer.len();
            self.buffer.reserve_exact(length);
            self.buffer.resize(2 * length, 0);
        }
        self.end -= self.start;
        self.start = 0;
    }

    #[cold]
    fn end_with(&mut self, broken: Broken) -> Broken {
        self.broken = Some(broken);
        self.buffer = Vec::new();
        (self.start, self.end) = (0, 0);
        broken
    }
}

fn code(key: &Hmac<Sha256>, count: u64, length: [u8; LENGTH], body: &[u8]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(&count.to_be_bytes());
    mac.update(&length);
    mac.update(body);
    mac
}
