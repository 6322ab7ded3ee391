//! The lower limit: an edge-triggered epoll loop that receives and sends, stores bytes for
//! which the kernel has no room, and does no other work.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv, send};

/// The token of the listener; connections have numbers.
const LISTENER: u64 = u64::MAX;

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// The bytes that are still to be sent. Nothing is received until they have been sent.
    unsent: Vec<u8>,
}

pub(super) fn serve<const N: usize>(connections: usize) -> io::Result<()> {
    let listener = TcpListener::bind(super::ANY_PORT)?;
    listener.set_nonblocking(true)?;
    super::announce(listener.local_addr()?)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let interest =
        EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut slots = Vec::with_capacity(connections);
    let mut events = [EpollEvent::empty(); 1024];
    let mut buffer = [0; N];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            if event.data() == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                epoll.add(&stream, EpollEvent::new(interest, slots.len() as u64))?;
                let unsent = Vec::new();
                slots.push(Some(Connection { stream, unsent }));
                continue;
            }
            let token = usize::try_from(event.data()).map_err(io::Error::other)?;
            if let Some(connection) = &mut slots[token]
                && !connection.echo(&mut buffer, event.events())
            {
                slots[token] = None;
                super::closed();
            }
        }
    }
}

impl Connection {
    /// Echoes the available bytes; returns whether the connection is still open.
    fn echo(&mut self, buffer: &mut [u8], events: EpollFlags) -> bool {
        // After a short read, a separate event announces the end of the stream, unless this
        // event did.
        let ending =
            events.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        if !self.unsent.is_empty() {
            match self.send(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(_) => return false,
            }
        }
        while self.unsent.is_empty() {
            match recv(self.stream.as_raw_fd(), buffer, MsgFlags::empty()) {
                Ok(0) => return false,
                Ok(count) => {
                    match self.send(&buffer[..count]) {
                        Ok(sent) => self.unsent.extend_from_slice(&buffer[sent..count]),
                        Err(_) => return false,
                    }
                    if count < buffer.len() && !ending {
                        return true;
                    }
                }
                Err(Errno::EAGAIN) => return true,
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
        // An event arrives when there is room again.
        true
    }

    /// Sends as many bytes as there is room for.
    fn send(&self, mut bytes: &[u8]) -> nix::Result<usize> {
        let all = bytes.len();
        while !bytes.is_empty() {
            match send(self.stream.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all - bytes.len())
    }
}
