//! [`Out`], the frames that are written to a worker next.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use coreloop_sync::OwnedSemaphorePermit;
use rustix::io::Errno;

use super::attached::Attached;
use super::job::Body;
use crate::frame::Header;
use crate::ipc::wire;
use crate::sys;

/// The maximum number of pieces in one write.
const PIECES: usize = 16;

/// The frames that are written next.
///
/// **Invariant:** a frame with descriptors begins a piece, which has them, and a system call.
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
    /// A frame with descriptors, and frames after it; or the header of such a frame.
    Attached(Vec<u8>, Attached),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Frames(bytes) | Self::Attached(bytes, _) => bytes,
            Self::Body(bytes) => bytes,
        }
    }
}

impl Out {
    pub(crate) fn push(&mut self, header: Header, body: &Body, attached: &Attached) {
        let spare = &mut self.spare;
        if !attached.is_empty() {
            let piece = Piece::Attached(std::mem::take(spare), attached.clone());
            self.pieces.push_back(piece);
            self.attached += 1;
        } else if matches!(self.pieces.back(), None | Some(Piece::Body(_))) {
            self.pieces.push_back(Piece::Frames(std::mem::take(spare)));
        }
        if let Some(Piece::Frames(bytes) | Piece::Attached(bytes, _)) = self.pieces.back_mut() {
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

    /// The number of pieces of the next write, which ends before the next descriptors.
    fn count(&self) -> usize {
        if self.attached == 0 {
            return self.pieces.len().min(PIECES);
        }
        let is_attached = |piece: &Piece| matches!(piece, Piece::Attached(..));
        let later = self.pieces.iter().skip(1).position(is_attached);
        later
            .map_or(self.pieces.len(), |later| later + 1)
            .min(PIECES)
    }

    /// The number of bytes of the next write.
    pub(super) fn length(&self) -> usize {
        let pieces = self.pieces.iter().take(self.count());
        pieces.map(|piece| piece.bytes().len()).sum::<usize>() - self.written
    }

    pub(super) fn write(&mut self, socket: &OwnedFd) -> io::Result<usize> {
        if self.attached > 0 {
            return self.write_attached(socket);
        }
        let written = match &self.pieces.front() {
            Some(first) if self.pieces.len() == 1 => {
                rustix::io::write(socket, &first.bytes()[self.written..])
            }
            _ => {
                let (slices, count) = self.slices();
                rustix::io::writev(socket, &slices[..count])
            }
        };
        Ok(written?)
    }

    fn slices(&self) -> ([IoSlice<'_>; PIECES], usize) {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut skip = self.written;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(&piece.bytes()[skip..]);
            skip = 0;
        }
        (slices, self.count())
    }

    /// Writes, and sends the descriptors of the first piece with its first byte.
    #[cold]
    fn write_attached(&mut self, socket: &OwnedFd) -> io::Result<usize> {
        let (slices, count) = self.slices();
        let slices = &slices[..count];
        let attached = match self.pieces.front() {
            Some(Piece::Attached(_, attached)) if self.written == 0 => attached,
            _ => return Ok(rustix::io::writev(socket, slices)?),
        };
        match wire::send_slices(
            socket.as_fd(),
            slices,
            attached.as_slice(),
            sys::send_flags(),
        ) {
            // The kernel refuses to send more descriptors until others were received.
            Err(Errno::TOOMANYREFS) => {
                if let Some(Piece::Attached(bytes, _)) = self.pieces.front_mut() {
                    Header::lose_descriptors(bytes);
                }
                let (slices, count) = self.slices();
                Ok(rustix::io::writev(socket, &slices[..count])?)
            }
            sent => Ok(sent?),
        }
    }

    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        while let Some(first) = self.pieces.front() {
            let length = first.bytes().len();
            if self.written < length {
                return;
            }
            self.written -= length;
            match self.pieces.pop_front() {
                Some(Piece::Frames(mut bytes)) => {
                    bytes.clear();
                    self.spare = bytes;
                }
                // Its descriptors are closed, unless the job still has them.
                Some(Piece::Attached(..)) => self.attached -= 1,
                Some(Piece::Body(_)) | None => {}
            }
        }
    }
}
