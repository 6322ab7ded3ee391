//! A bare TCP connection: a blocking parent and a blocking child, like the bare Unix sockets.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use crate::{MESSAGE, bare};

/// A child that answers each message. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
    child: Child,
}

impl Peer {
    pub(crate) fn start() -> io::Result<Peer> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        let (theirs, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        theirs.set_nodelay(true)?;
        // The child of the Unix sockets uses its standard input, whatever kind of socket it is.
        let child = Command::new(std::env::current_exe()?)
            .args([bare::WORD, &MESSAGE.to_string()])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        Ok(Peer { stream, child })
    }

    /// Sends a message, and waits for the answer.
    pub(crate) fn call(&mut self) -> io::Result<()> {
        let mut message = [b'x'; MESSAGE];
        self.stream.write_all(&message)?;
        self.stream.read_exact(&mut message)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // These return errors if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
