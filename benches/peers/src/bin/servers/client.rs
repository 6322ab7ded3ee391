//! The client. It uses plain sockets, so that it costs less than the measured servers.
//!
//! Replies are counted but not read: the kernel discards their bytes instead of copying
//! them.

use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc::linger;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::sockopt::Linger;
use nix::sys::socket::{MsgFlags, recv, setsockopt};

use crate::contest::Drive;

/// A request, and the expected reply.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    /// The length of the reply.
    pub(crate) reply: usize,
    /// Whether the server closes after its reply, so that each request needs a new
    /// connection.
    pub(crate) closes: bool,
}

/// A number of connections, with at most one request in flight on each.
#[derive(Debug)]
struct Client {
    port: u16,
    exchange: Exchange,
    epoll: Epoll,
    connections: Vec<Option<Connection>>,
    /// A buffer as large as the longest piece that the kernel is asked to discard.
    room: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// How many bytes of the reply are missing.
    missing: usize,
}

impl Client {
    fn new(port: u16, connections: usize, exchange: Exchange) -> io::Result<Client> {
        Ok(Client {
            port,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            connections: (0..connections).map(|_| None).collect(),
            room: vec![0; exchange.reply + 1],
            exchange,
        })
    }

    /// Sends a number of requests: the next request follows each reply at once.
    fn stream(&mut self, requests: u64) -> io::Result<u64> {
        let mut unsent = requests;
        let mut awaited = requests;
        for token in 0..self.connections.len() {
            if unsent > 0 {
                unsent -= 1;
                self.send(token)?;
            }
        }
        let mut events = [EpollEvent::empty(); 1024];
        while awaited > 0 {
            let count = self.epoll.wait(&mut events, EpollTimeout::NONE)?;
            for event in &events[..count] {
                let token = usize::try_from(event.data()).map_err(io::Error::other)?;
                if !self.receive(token)? {
                    continue;
                }
                awaited -= 1;
                if unsent > 0 {
                    unsent -= 1;
                    self.send(token)?;
                }
            }
        }
        Ok(requests)
    }

    /// Sends a number of requests: one on every connection, then awaits their replies, and
    /// so on. A server with a lower priority than this client gets equal batches, however
    /// fast it is.
    fn rounds(&mut self, requests: u64) -> io::Result<u64> {
        let mut left = requests;
        while left > 0 {
            left -= self.stream(left.min(self.connections.len() as u64))?;
        }
        Ok(requests)
    }

    fn send(&mut self, token: usize) -> io::Result<()> {
        let missing = self.exchange.reply;
        let connection = match &mut self.connections[token] {
            Some(connection) => {
                connection.missing = missing;
                connection
            }
            vacant => {
                let stream = connect(self.port)?;
                let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
                self.epoll
                    .add(&stream, EpollEvent::new(interest, token as u64))?;
                vacant.insert(Connection { stream, missing })
            }
        };
        connection.stream.write_all(&self.exchange.request)
    }

    /// Receives the available bytes; returns whether the exchange has ended.
    fn receive(&mut self, token: usize) -> io::Result<bool> {
        let Some(connection) = &mut self.connections[token] else {
            return Ok(false);
        };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        while connection.missing > 0 || self.exchange.closes {
            let count = match recv(connection.stream.as_raw_fd(), &mut self.room, flags) {
                Ok(count) => count,
                Err(Errno::EAGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            match connection.missing.checked_sub(count) {
                None => {
                    return Err(io::Error::new(
                        ErrorKind::InvalidData,
                        "the reply is too long",
                    ));
                }
                Some(0) if count == 0 => {
                    reset(&connection.stream)?;
                    self.connections[token] = None;
                    return Ok(true);
                }
                Some(_) if count == 0 => return Err(ErrorKind::UnexpectedEof.into()),
                Some(missing) => connection.missing = missing,
            }
        }
        Ok(true)
    }
}

/// Returns a contestant's client: in rounds if instructions are counted, otherwise without
/// a pause.
pub(crate) fn drive(
    port: u16,
    connections: usize,
    exchange: Exchange,
    in_rounds: bool,
) -> io::Result<Drive> {
    let mut client = Client::new(port, connections, exchange)?;
    Ok(Box::new(move |requests| {
        if in_rounds {
            client.rounds(requests)
        } else {
            client.stream(requests)
        }
    }))
}

/// Opens a connection to a port of this machine.
pub(crate) fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sets a connection to be reset when it is closed. Otherwise the server's side, which
/// closed first, would linger for a minute, and there would be tens of thousands of them.
fn reset(stream: &TcpStream) -> io::Result<()> {
    let at_once = linger {
        l_onoff: 1,
        l_linger: 0,
    };
    Ok(setsockopt(stream, Linger, &at_once)?)
}
