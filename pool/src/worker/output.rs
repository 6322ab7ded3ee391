//! [`Output`], what a worker writes to its master.

use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::frame::{HEADER, Header, Kind, Ticket};
use crate::ipc::wire::send_slices;
use crate::job::encoded::Encoded;
use crate::sys;

/// The capacity that is kept between frames. A larger buffer is freed after its frame.
const KEPT: usize = 4 << 20;

/// The writing side of the socket. Writing blocks until the master has read.
pub(crate) struct Output {
    socket: Rc<OwnedFd>,
    /// The frame that is written next: room for its header, then its body.
    frame: Encoded,
}

impl Output {
    pub(crate) fn new(socket: Rc<OwnedFd>) -> Self {
        Self {
            socket,
            frame: Encoded::default(),
        }
    }

    /// Returns an empty frame with room for its header, to which the body is appended.
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
        let header = Header {
            length,
            kind,
            descriptors: u8::try_from(self.frame.descriptors.len())
                .map_err(|_| crate::frame::garbled("a frame has too many descriptors"))?,
            function: 0,
            ticket,
            job,
        };
        self.frame.bytes[..HEADER].copy_from_slice(&header.to_bytes());
        match header.descriptors {
            0 => write_all(&self.socket, &self.frame.bytes)?,
            _ => self.send_with_descriptors()?,
        }
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

    /// Writes a frame with descriptors, and closes them.
    #[cold]
    fn send_with_descriptors(&mut self) -> io::Result<()> {
        let descriptors = mem::take(&mut self.frame.descriptors);
        let flags = sys::send_flags().difference(SendFlags::DONTWAIT);
        let bytes = &mut self.frame.bytes;
        let slices = [IoSlice::new(bytes)];
        let send = || send_slices(self.socket.as_fd(), &slices, &descriptors, flags);
        let sent = match rustix::io::retry_on_intr(send) {
            // The kernel refuses to send more descriptors until others were received.
            Err(Errno::TOOMANYREFS) => {
                Header::lose_descriptors(bytes);
                0
            }
            sent => sent?,
        };
        write_all(&self.socket, &bytes[sent..])
    }
}

fn write_all(socket: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(socket, bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}
