//! Connections that are not accepted yet: in the accept queue, or in a handshake.

use std::collections::HashSet;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::sys;

/// Returns the length of the accept queue of `socket`. Where it is not known, returns 1 if
/// any connections, or datagrams, wait.
pub(super) fn length(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut asked = [PollFd::new(&socket, PollFlags::IN)];
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut asked, Some(&Timespec::default())))?;
    if !asked[0].revents().contains(PollFlags::IN) {
        return Ok(0);
    }
    // The queue may be empty by now, but it was not a moment before.
    Ok(sys::queued_connections(socket).map_or(1, |count| count.max(1)))
}

/// The peers that were in the middle of a handshake with a port.
#[derive(Debug)]
pub(crate) struct Handshakes {
    port: u16,
    peers: HashSet<String>,
    /// Whether all of them have been found to have ended.
    ended: bool,
}

impl Handshakes {
    pub(super) fn none() -> Self {
        Self {
            port: 0,
            peers: HashSet::new(),
            ended: true,
        }
    }

    pub(super) fn at(port: u16) -> io::Result<Self> {
        // Packets that the kernel handles now may still be steered by the old program.
        sys::let_packets_pass();
        Ok(Self {
            port,
            peers: sys::handshakes(port)?,
            ended: false,
        })
    }

    /// Returns whether each handshake has ended, with a connection or without. The
    /// connections are in their queues then.
    pub(crate) fn have_ended(&mut self) -> io::Result<bool> {
        if !self.peers.is_empty() {
            let now = sys::handshakes(self.port)?;
            self.peers.retain(|peer| now.contains(peer));
        }
        if self.peers.is_empty() && !self.ended {
            // The last connection may be on its way from the table to the queue.
            sys::let_packets_pass();
            self.ended = true;
        }
        Ok(self.ended)
    }
}
