//! [`Output`], what a worker writes to its master.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::frame::{HEADER, Header, Kind, Ticket};

/// The capacity that is kept between frames. A larger buffer is freed after its frame.
const KEPT: usize = 4 << 20;

/// The writing side of the socket. Writing blocks until the master has read.
pub(crate) struct Output {
    socket: Rc<OwnedFd>,
    /// The frame that is written next: room for its header, then its body.
    frame: Vec<u8>,
}

impl Output {
    pub(crate) fn new(socket: Rc<OwnedFd>) -> Self {
        Self {
            socket,
            frame: Vec::new(),
        }
    }

    /// Returns an empty frame with room for its header, to which the body is appended.
    pub(crate) fn begin(&mut self) -> &mut Vec<u8> {
        self.frame.clear();
        self.frame.resize(HEADER, 0);
        &mut self.frame
    }

    /// Writes the frame.
    ///
    /// # Errors
    ///
    /// Returns an error if the master has closed its end.
    pub(crate) fn send(&mut self, kind: Kind, ticket: Ticket, job: u64) -> io::Result<()> {
        let length = u32::try_from(self.frame.len() - HEADER)
            .map_err(|_| crate::frame::garbled("a frame is too long"))?;
        let header = Header {
            length,
            kind,
            descriptors: 0,
            function: 0,
            ticket,
            job,
        };
        self.frame[..HEADER].copy_from_slice(&header.to_bytes());
        write_all(&self.socket, &self.frame)?;
        if self.frame.capacity() > KEPT {
            self.frame = Vec::new();
        }
        Ok(())
    }

    /// Writes a frame with this body.
    pub(crate) fn send_text(&mut self, kind: Kind, ticket: Ticket, text: &str) -> io::Result<()> {
        self.begin().extend_from_slice(text.as_bytes());
        self.send(kind, ticket, 0)
    }
}

fn write_all(socket: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(socket, bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}
