//! [`Out`], the frames that are written to a worker next.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use coreloop_sync::OwnedSemaphorePermit;

use super::job::Body;
use crate::frame::Header;

/// The maximum number of pieces in one write.
const PIECES: usize = 16;

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
}

enum Piece {
    /// Frames, one after the other.
    Frames(Vec<u8>),
    /// The body of a frame.
    Body(Rc<Vec<u8>>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Frames(bytes) => bytes,
            Self::Body(bytes) => bytes,
        }
    }
}

impl Out {
    pub(crate) fn push(&mut self, header: Header, body: &Body) {
        let spare = &mut self.spare;
        if !matches!(self.pieces.back(), Some(Piece::Frames(_))) {
            self.pieces.push_back(Piece::Frames(std::mem::take(spare)));
        }
        if let Some(Piece::Frames(bytes)) = self.pieces.back_mut() {
            bytes.extend_from_slice(&header.to_bytes());
            if body.large().is_none() {
                bytes.extend_from_slice(body);
            }
        }
        if let Some(body) = body.large() {
            self.pieces.push_back(Piece::Body(Rc::clone(body)));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The number of bytes of the next write.
    pub(super) fn length(&self) -> usize {
        let pieces = self.pieces.iter().take(PIECES);
        pieces.map(|piece| piece.bytes().len()).sum::<usize>() - self.written
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
                rustix::io::writev(socket, &slices[..self.pieces.len().min(PIECES)])
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
