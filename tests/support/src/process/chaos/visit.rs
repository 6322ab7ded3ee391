//! One visit of a client: it connects, reads the worker's line, asks once more and reads that
//! answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Pid;
use socket2::SockRef;

use crate::program::PATIENCE;

/// A socket of the program.
#[derive(Clone, Debug)]
pub enum Target {
    Tcp(SocketAddr),
    Udp(SocketAddr),
    Unix(PathBuf),
}

/// The worker that has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    pub pid: Pid,
    pub slot: u64,
    pub generation: u64,
}

/// A visit that failed. `examples/storm` explains how these are told apart.
#[derive(Debug)]
pub enum Failure {
    /// Nothing listened, or the queue was closed with the connection in it, or no worker came.
    Lost(io::Error),
    /// A worker had accepted the connection, and not greeted. A worker that is killed has at most
    /// one such connection of each socket.
    Unannounced,
    /// The worker had greeted, and ended before the answer.
    Cut(Server, io::Error),
    /// A datagram was not answered. A worker that is killed has read at most one.
    Unanswered,
}

impl Target {
    /// Returns whether all workers accept from one socket.
    pub fn is_shared(&self) -> bool {
        matches!(self, Target::Unix(_))
    }

    pub(super) fn is_tcp(&self) -> bool {
        matches!(self, Target::Tcp(_))
    }

    pub(super) fn is_udp(&self) -> bool {
        matches!(self, Target::Udp(_))
    }

    /// Visits the program once.
    pub fn visit(&self) -> Result<Server, Failure> {
        match self {
            Target::Tcp(address) => {
                let mut stream = TcpStream::connect(address).map_err(Failure::Lost)?;
                let server = converse(&mut stream, |stream, patience| {
                    stream.set_read_timeout(patience)
                })?;
                // The exchange is complete. Closing with a reset frees the port.
                SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .map_err(Failure::Lost)?;
                Ok(server)
            }
            Target::Unix(path) => {
                let mut stream = UnixStream::connect(path).map_err(Failure::Lost)?;
                converse(&mut stream, |stream, patience| {
                    stream.set_read_timeout(patience)
                })
            }
            Target::Udp(address) => ask_for_datagram(*address),
        }
    }
}

/// Connects to a TCP socket, and waits for the worker's line.
pub(super) fn greeted(address: SocketAddr) -> io::Result<(TcpStream, Server)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let server = read_line(&mut stream)?;
    Ok((stream, server))
}

fn converse<S: Read + Write>(
    stream: &mut S,
    patience: impl FnOnce(&S, Option<Duration>) -> io::Result<()>,
) -> Result<Server, Failure> {
    patience(stream, Some(PATIENCE)).map_err(Failure::Lost)?;
    let server = match read_line(stream) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            return Err(Failure::Unannounced);
        }
        server => server.map_err(Failure::Lost)?,
    };
    let asked = stream.write_all(b"p").and_then(|()| read_line(stream));
    let again = asked.map_err(|error| Failure::Cut(server, error))?;
    assert_eq!(again, server);
    Ok(server)
}

/// Sends a datagram from a new port.
fn ask_for_datagram(address: SocketAddr) -> Result<Server, Failure> {
    let ask = || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(address)?;
        socket.send(b"p")?;
        let mut line = [0; 64];
        let length = uninterrupted(|| socket.recv(&mut line))?;
        parse(&line[..length])
    };
    ask().map_err(|error: io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Failure::Unanswered,
        _ => Failure::Lost(error),
    })
}

fn read_line(stream: &mut impl Read) -> io::Result<Server> {
    let mut line = [0; 64];
    let mut length = 0;
    while !line[..length].ends_with(b"\n") {
        match uninterrupted(|| stream.read(&mut line[length..]))? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => length += count,
        }
    }
    parse(&line[..length])
}

fn parse(line: &[u8]) -> io::Result<Server> {
    let numbers = || {
        let line = str::from_utf8(line).ok()?;
        let mut words = line.split_ascii_whitespace();
        Some(Server {
            pid: Pid::from_raw(words.next()?.parse().ok()?)?,
            slot: words.next()?.parse().ok()?,
            generation: words.next()?.parse().ok()?,
        })
    };
    numbers().ok_or_else(|| io::Error::other(format!("not a line of the program: {line:?}")))
}

/// Repeats a call that a signal has interrupted: other tests of the process install handlers, and
/// the kernel does not restart calls that have a timeout.
fn uninterrupted<R>(mut call: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
