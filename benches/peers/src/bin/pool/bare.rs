//! The bare socket: a blocking parent and a blocking child, which is this program again.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use crate::MESSAGE;

/// The first argument of the child.
pub(crate) const WORD: &str = "bare-child";

/// A child that answers each message with one of [`MESSAGE`] bytes. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Peer {
    socket: UnixStream,
    child: Child,
}

impl Peer {
    /// Starts a child that reads messages of `length` bytes.
    pub(crate) fn start(length: usize) -> io::Result<Peer> {
        let (socket, theirs) = UnixStream::pair()?;
        let child = Command::new(std::env::current_exe()?)
            .args([WORD, &length.to_string()])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        Ok(Peer { socket, child })
    }

    /// Sends a message, and waits for the answer.
    pub(crate) fn call(&mut self, message: &[u8]) -> io::Result<()> {
        self.socket.write_all(message)?;
        let mut answer = [0; MESSAGE];
        self.socket.read_exact(&mut answer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // These return errors if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the child: reads messages of `length` bytes, adds the bytes up, and answers each.
pub(crate) fn answer(length: usize) -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let mut socket = UnixStream::from(socket);
    let mut message = vec![0; length];
    let mut answer = [0; MESSAGE];
    while socket.read_exact(&mut message).is_ok() {
        answer[..8].copy_from_slice(&crate::sum_of(&message).to_le_bytes());
        socket.write_all(&answer)?;
    }
    Ok(())
}
