//! The client: plain sockets on one epoll, with a given number of messages outstanding on
//! each.
//!
//! Replies are counted but not read: the kernel discards their bytes instead of copying
//! them. The time of each starts when its message was passed to the kernel, or began to
//! wait for room there.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv, send};

/// The number of connections that are opened before the client checks that the server has
/// accepted them.
const PACE: u64 = 64;

/// Connections to one server.
#[derive(Debug)]
pub(crate) struct Client {
    epoll: Epoll,
    connections: Vec<Connection>,
    size: usize,
    depth: usize,
    /// A buffer of one byte more than may be outstanding on one connection. A read that
    /// leaves some of it unused has read all that had arrived.
    room: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// When each outstanding message was sent, the oldest first.
    sent: VecDeque<Instant>,
    /// How many bytes of the oldest message's reply have arrived.
    received: usize,
    /// How many bytes the kernel had no room for yet.
    unsent: usize,
}

/// The result of a round of echoes.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) echoes: u64,
    pub(crate) elapsed: Duration,
    /// The latencies, in nanoseconds.
    pub(crate) latencies: Histogram<u64>,
}

impl Client {
    /// Opens the connections, and echoes once over some of them.
    pub(crate) fn connect(
        port: u16,
        connections: usize,
        size: usize,
        depth: usize,
    ) -> io::Result<Client> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        let mut message = vec![b'x'; size];
        let connect = |token| {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            stream.set_nodelay(true)?;
            // An echo shows that the connection, and all before it, has been accepted. So
            // the queue of the server's socket never fills, however slow the machine is.
            if token % PACE == PACE - 1 {
                (&stream).write_all(&message)?;
                (&stream).read_exact(&mut message)?;
            }
            stream.set_nonblocking(true)?;
            epoll.add(&stream, EpollEvent::new(interest, token))?;
            Ok(Connection {
                stream,
                sent: VecDeque::with_capacity(depth),
                received: 0,
                unsent: 0,
            })
        };
        let connections = (0..connections as u64)
            .map(connect)
            .collect::<io::Result<_>>()?;
        Ok(Client {
            epoll,
            connections,
            size,
            depth,
            room: vec![b'x'; size * depth + 1],
        })
    }

    /// Keeps all connections full for `time`: each reply is answered by the next message at
    /// once. Then awaits the remaining replies.
    pub(crate) fn run(&mut self, time: Duration) -> io::Result<Round> {
        let mut round = Round {
            echoes: 0,
            elapsed: Duration::ZERO,
            latencies: Histogram::new_with_bounds(1000, 60_000_000_000, 3)
                .map_err(io::Error::other)?,
        };
        let start = Instant::now();
        let deadline = start + time;
        let mut now = start;
        let mut outstanding = self.connections.len() * self.depth;
        for connection in &mut self.connections {
            connection.send(self.depth, self.size, &self.room, now)?;
            now = Instant::now();
        }
        let mut events = [EpollEvent::empty(); 1024];
        while outstanding > 0 {
            let count = self.epoll.wait(&mut events, EpollTimeout::NONE)?;
            for event in &events[..count] {
                let token = usize::try_from(event.data()).map_err(io::Error::other)?;
                let connection = &mut self.connections[token];
                if event.events().contains(EpollFlags::EPOLLOUT) {
                    connection.flush(&self.room)?;
                }
                let bytes = connection.receive(&mut self.room)?;
                now = Instant::now();
                let replies = connection.count(bytes, self.size, now, &mut round.latencies)?;
                round.echoes += replies as u64;
                if now < deadline {
                    connection.send(replies, self.size, &self.room, now)?;
                } else {
                    outstanding -= replies;
                }
            }
        }
        round.elapsed = start.elapsed();
        Ok(round)
    }
}

impl Connection {
    fn send(&mut self, messages: usize, size: usize, room: &[u8], now: Instant) -> io::Result<()> {
        if messages == 0 {
            return Ok(());
        }
        self.sent.extend((0..messages).map(|_| now));
        self.unsent += messages * size;
        self.flush(room)
    }

    /// Sends as many of the unsent bytes as the kernel has room for.
    fn flush(&mut self, room: &[u8]) -> io::Result<()> {
        while self.unsent > 0 {
            match send(
                self.stream.as_raw_fd(),
                &room[..self.unsent],
                MsgFlags::MSG_NOSIGNAL,
            ) {
                Ok(count) => self.unsent -= count,
                // An event arrives when there is room again.
                Err(Errno::EAGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Discards the bytes that have arrived, and returns their number.
    fn receive(&self, room: &mut [u8]) -> io::Result<usize> {
        match recv(self.stream.as_raw_fd(), room, MsgFlags::MSG_TRUNC) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(count),
            Err(Errno::EAGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns how many replies these bytes complete.
    fn count(
        &mut self,
        bytes: usize,
        size: usize,
        now: Instant,
        latencies: &mut Histogram<u64>,
    ) -> io::Result<usize> {
        self.received += bytes;
        let replies = self.received / size;
        self.received %= size;
        for _ in 0..replies {
            let sent = self.sent.pop_front().ok_or_else(|| {
                io::Error::new(ErrorKind::InvalidData, "more bytes arrived than were sent")
            })?;
            let latency = now.duration_since(sent).as_nanos();
            latencies.saturating_record(u64::try_from(latency).map_err(io::Error::other)?);
        }
        Ok(replies)
    }
}
