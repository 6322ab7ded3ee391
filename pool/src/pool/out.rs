//! [`Out`], the frames that are written to a worker next.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::Poll;

use coreloop_sync::OwnedSemaphorePermit;
use rustix::io::Errno;

use super::attached::Attached;
use super::job::Body;
use crate::frame::Header;

/// The maximum number of pieces in one write.
const PIECES: usize = 16;

/// The error of a send while too many descriptors are in messages that were not received.
const REFUSED: Errno = Errno::TOOMANYREFS;

/// The frames that are written next.
#[derive(Default)]
pub(crate) struct Out {
    pieces: VecDeque<Piece>,
    /// How much of the first piece was written.
    written: usize,
    /// An empty vector, kept for its capacity.
    spare: Vec<u8>,
    /// The permits of jobs that have left the queue, until they are returned. The vector is kept
    /// for its capacity.
    pub(super) room: Vec<OwnedSemaphorePermit>,
    /// The number of pieces with descriptors.
    attached: usize,
}

enum Piece {
    /// Frames, one after the other.
    Frames(Vec<u8>),
    /// The body of a frame.
    Body(Rc<Vec<u8>>),
    Attached(Box<Held>),
}

/// Frames of which the first one has descriptors, and is not written before these were sent.
struct Held {
    bytes: Vec<u8>,
    attached: Attached,
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Frames(bytes) => bytes,
            Self::Body(bytes) => bytes,
            Self::Attached(held) => &held.bytes,
        }
    }
}

impl Out {
    pub(crate) fn push(&mut self, header: Header, body: &Body, attached: &Attached) {
        if !attached.is_empty() {
            self.hold(attached.clone());
        }
        let spare = &mut self.spare;
        if matches!(self.pieces.back(), None | Some(Piece::Body(_))) {
            self.pieces.push_back(Piece::Frames(mem::take(spare)));
        }
        let bytes = match self.pieces.back_mut() {
            Some(Piece::Frames(bytes)) => bytes,
            Some(Piece::Attached(held)) => &mut held.bytes,
            Some(Piece::Body(_)) | None => return,
        };
        bytes.extend_from_slice(&header.to_bytes());
        match body.large() {
            None => bytes.extend_from_slice(body),
            Some(body) => self.pieces.push_back(Piece::Body(Rc::clone(body))),
        }
    }

    /// Begins a piece with descriptors.
    #[cold]
    fn hold(&mut self, attached: Attached) {
        let bytes = mem::take(&mut self.spare);
        let held = Box::new(Held { bytes, attached });
        self.pieces.push_back(Piece::Attached(held));
        self.attached += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether there are descriptors to send.
    pub(super) fn has_attached(&self) -> bool {
        self.attached > 0
    }

    /// Sends descriptors by `send`, in the order of their frames, until it is pending.
    ///
    /// # Errors
    ///
    /// Returns an error if `send` does.
    #[cold]
    pub(super) fn send_attached(
        &mut self,
        mut send: impl FnMut(&[OwnedFd]) -> Poll<io::Result<()>>,
    ) -> io::Result<()> {
        for piece in &mut self.pieces {
            let Piece::Attached(held) = piece else {
                continue;
            };
            match send(held.attached.as_slice()) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) => {}
                // The kernel sends no more descriptors before others were received.
                Poll::Ready(Err(error)) if Errno::from_io_error(&error) == Some(REFUSED) => {
                    Header::lose_descriptors(&mut held.bytes);
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
            // The descriptors are closed, unless the job still has them.
            *piece = Piece::Frames(mem::take(&mut held.bytes));
            self.attached -= 1;
        }
        Ok(())
    }

    /// The number of pieces of the next write.
    fn count(&self) -> usize {
        if self.attached == 0 {
            return self.pieces.len().min(PIECES);
        }
        let is_attached = |piece: &Piece| matches!(piece, Piece::Attached(..));
        let first = self.pieces.iter().position(is_attached);
        first.unwrap_or(self.pieces.len()).min(PIECES)
    }

    /// The number of bytes of the next write. There are none if descriptors have to be sent
    /// before it.
    pub(super) fn length(&self) -> usize {
        let pieces = self.pieces.iter().take(self.count());
        let length = pieces.map(|piece| piece.bytes().len()).sum::<usize>();
        length.saturating_sub(self.written)
    }

    pub(super) fn write(&self, socket: &OwnedFd) -> io::Result<usize> {
        let written = match &self.pieces.front() {
            Some(first) if self.pieces.len() == 1 => {
                rustix::io::write(socket, &first.bytes()[self.written..])
            }
            _ => {
                let mut slices = [IoSlice::new(&[]); PIECES];
                let mut skip = self.written;
                for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                    *slice = IoSlice::new(&piece.bytes()[skip..]);
                    skip = 0;
                }
                rustix::io::writev(socket, &slices[..self.count()])
            }
        };
        Ok(written?)
    }

    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        while let Some(first) = self.pieces.front() {
            let length = first.bytes().len();
            if self.written < length {
                return;
            }
            self.written -= length;
            if let Some(Piece::Frames(mut bytes)) = self.pieces.pop_front() {
                bytes.clear();
                self.spare = bytes;
            }
        }
    }
}
