//! [`Output`], what a worker writes to its master.

use std::io;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::frame::{HEADER, Header, Kind, LOST, Ticket, side};
use crate::job::encoded::Encoded;
use crate::sys;

/// The capacity that is kept between frames. A larger buffer is freed after its frame.
const KEPT: usize = 4 << 20;

/// The sockets to the master.
pub(crate) struct Sockets {
    pub(crate) frames: OwnedFd,
    /// The socket for descriptors.
    pub(crate) side: OwnedFd,
}

/// The writing side of the sockets. Writing blocks until the master has read.
pub(crate) struct Output {
    sockets: Rc<Sockets>,
    /// The frame that is written next: room for its header, then its body.
    frame: Encoded,
}

impl Output {
    pub(crate) fn new(sockets: Rc<Sockets>) -> Self {
        Self {
            sockets,
            frame: Encoded::default(),
        }
    }

    /// Returns an empty frame with room for its header, to which the body is appended.
    #[inline]
    pub(crate) fn begin(&mut self) -> &mut Encoded {
        self.frame.clear();
        self.frame.bytes.resize(HEADER, 0);
        &mut self.frame
    }

    /// Writes the frame.
    ///
    /// # Errors
    ///
    /// Returns an error if the master has closed its end.
    pub(crate) fn send(&mut self, kind: Kind, ticket: Ticket, job: u64) -> io::Result<()> {
        let length = u32::try_from(self.frame.bytes.len() - HEADER)
            .map_err(|_| crate::frame::garbled("a frame is too long"))?;
        let mut header = Header {
            length,
            kind,
            descriptors: 0,
            function: 0,
            ticket,
            job,
        };
        if !self.frame.descriptors.is_empty() {
            header.descriptors = self.send_descriptors()?;
        }
        self.frame.bytes[..HEADER].copy_from_slice(&header.to_bytes());
        write_all(&self.sockets.frames, &self.frame.bytes)?;
        if self.frame.bytes.capacity() > KEPT {
            self.frame = Encoded::default();
        }
        Ok(())
    }

    /// Writes a frame with this body.
    pub(crate) fn send_text(&mut self, kind: Kind, ticket: Ticket, text: &str) -> io::Result<()> {
        self.begin().bytes.extend_from_slice(text.as_bytes());
        self.send(kind, ticket, 0)
    }

    /// Sends the descriptors of the frame, and closes them. Returns their number for the header.
    #[cold]
    fn send_descriptors(&mut self) -> io::Result<u8> {
        let descriptors = mem::take(&mut self.frame.descriptors).into_vec();
        let flags = sys::send_flags().difference(SendFlags::DONTWAIT);
        let send = || side::send(self.sockets.side.as_fd(), &descriptors, flags);
        match rustix::io::retry_on_intr(send) {
            // The kernel sends no more descriptors before others were received.
            Err(Errno::TOOMANYREFS) => return Ok(LOST),
            sent => sent?,
        }
        u8::try_from(descriptors.len())
            .map_err(|_| crate::frame::garbled("a frame has too many descriptors"))
    }
}

fn write_all(socket: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(socket, bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}
