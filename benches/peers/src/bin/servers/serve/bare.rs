//! The lower limit: an edge-triggered epoll loop that receives and sends, and does no other
//! work.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv, send};

use super::{Options, Service};
use crate::bulk;

/// The token of the listener.
const LISTENER: u64 = u64::MAX;

pub(super) fn serve(options: &Options) -> io::Result<()> {
    match options.service {
        Service::Echo => each(|stream| Ok(Connection::echo(stream))),
        Service::Proxy => each(|near| {
            let far = TcpStream::connect(options.upstream())?;
            far.set_nonblocking(true)?;
            Ok(Connection::proxy(near, far))
        }),
        _ => Err(super::not_here(options)),
    }
}

/// Serves connections until the process exits.
fn each(open: impl Fn(TcpStream) -> io::Result<Connection>) -> io::Result<()> {
    let listener = TcpListener::bind(super::ANY_PORT)?;
    super::announce(listener.local_addr()?)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = [EpollEvent::empty(); 1024];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            if event.data() == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                let connection = open(stream)?;
                connection.register(&epoll, connections.len())?;
                connections.push(Some(connection));
                continue;
            }
            // The lowest bit says which end of the connection it is.
            let token = usize::try_from(event.data()).map_err(io::Error::other)?;
            let (place, end) = (token / 2, token % 2);
            if let Some(connection) = &mut connections[place] {
                connection.ends[end].take_event(event.events());
                if !connection.pump()? {
                    connections[place] = None;
                    super::closed();
                }
            }
        }
    }
}

/// One end that echoes, or two ends whose bytes are passed to each other.
struct Connection {
    ends: Vec<End>,
    links: Vec<Link>,
}

/// A socket, and its readiness.
struct End {
    stream: TcpStream,
    readable: bool,
    writable: bool,
    /// Whether no further event will announce the bytes that are left to read.
    ending: bool,
}

/// The bytes on their way from one end to another, or back to the same end.
struct Link {
    from: usize,
    to: usize,
    buffer: Vec<u8>,
    /// The part of the buffer that is still to be sent.
    start: usize,
    end: usize,
    ended: bool,
}

impl Connection {
    fn echo(stream: TcpStream) -> Connection {
        Connection {
            ends: vec![End::new(stream)],
            links: vec![Link::new(0, 0, bulk::MESSAGE)],
        }
    }

    fn proxy(near: TcpStream, far: TcpStream) -> Connection {
        Connection {
            ends: vec![End::new(near), End::new(far)],
            links: vec![
                Link::new(0, 1, bulk::PROXY_BUFFER),
                Link::new(1, 0, bulk::PROXY_BUFFER),
            ],
        }
    }

    fn register(&self, epoll: &Epoll, place: usize) -> io::Result<()> {
        let interest = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        for (number, end) in self.ends.iter().enumerate() {
            let token = (2 * place + number) as u64;
            epoll.add(&end.stream, EpollEvent::new(interest, token))?;
        }
        Ok(())
    }

    /// Moves the available bytes; returns false when there will be no more.
    fn pump(&mut self) -> io::Result<bool> {
        let mut open = false;
        for link in &mut self.links {
            link.pump(&mut self.ends)?;
            open |= !link.ended;
        }
        Ok(open)
    }
}

impl End {
    fn new(stream: TcpStream) -> End {
        End {
            stream,
            readable: false,
            writable: false,
            ending: false,
        }
    }

    fn take_event(&mut self, events: EpollFlags) {
        self.readable |= events.contains(EpollFlags::EPOLLIN);
        self.writable |= events.contains(EpollFlags::EPOLLOUT);
        let ending = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        if events.intersects(ending) {
            self.ending = true;
            self.readable = true;
            self.writable = true;
        }
    }
}

impl Link {
    fn new(from: usize, to: usize, size: usize) -> Link {
        Link {
            from,
            to,
            buffer: vec![0; size],
            start: 0,
            end: 0,
            ended: false,
        }
    }

    fn pump(&mut self, ends: &mut [End]) -> io::Result<()> {
        while !self.ended {
            if self.start == self.end && !self.fill(&mut ends[self.from])? {
                break;
            }
            let to = &mut ends[self.to];
            if self.ended {
                // An echoing end is not shut down, but closed.
                if self.from != self.to {
                    to.stream.shutdown(Shutdown::Write)?;
                }
            } else if !self.drain(to)? {
                break;
            }
        }
        Ok(())
    }

    /// Receives once, or records the end; returns false if nothing arrived.
    fn fill(&mut self, from: &mut End) -> io::Result<bool> {
        if !from.readable {
            return Ok(false);
        }
        match recv(from.stream.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
            Ok(0) => self.ended = true,
            Ok(count) => {
                (self.start, self.end) = (0, count);
                from.readable = count == self.buffer.len() || from.ending;
            }
            Err(Errno::EAGAIN) => {
                from.readable = false;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Sends once; returns false if bytes are left.
    fn drain(&mut self, to: &mut End) -> io::Result<bool> {
        if !to.writable {
            return Ok(false);
        }
        let bytes = &self.buffer[self.start..self.end];
        match send(to.stream.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
            Ok(count) => self.start += count,
            Err(Errno::EAGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        to.writable = self.start == self.end;
        Ok(to.writable)
    }
}
