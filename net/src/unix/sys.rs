//! The system calls that only Unix sockets need; see [`crate::sys`] for the others.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;
use socket2::{Domain, SockRef, Type};

use super::SocketAddr;
use crate::sys;

/// How many connections the kernel keeps until they are accepted. It cuts this to
/// its own limit (`somaxconn` on Linux).
const BACKLOG: i32 = 1024;

/// The length of an address that is a family only.
const UNNAMED: u32 = 2;

/// A new socket.
pub(super) fn socket(kind: Type) -> io::Result<OwnedFd> {
    sys::socket(Domain::UNIX, kind, None).map(OwnedFd::from)
}

/// A socket that listens at `address`.
pub(super) fn listen(address: &SocketAddr) -> io::Result<net::UnixListener> {
    let socket = socket(Type::STREAM)?;
    rustix::net::bind(&socket, &address.to_system()?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Takes one connection off `listener`'s queue.
pub(super) fn accept(listener: &net::UnixListener) -> io::Result<(OwnedFd, SocketAddr)> {
    let (stream, peer) = sys::accept(listener)?;
    if peer.is_none_or(|peer| peer.addr_len() <= UNNAMED) {
        return Ok((stream, SocketAddr::unnamed()?));
    }
    // It has a name, which is rare, and may be longer than rustix can bear.
    let stream = net::UnixStream::from(stream);
    let peer = match stream.peer_addr() {
        Ok(peer) => peer.into(),
        Err(_) => SocketAddr::unnamed()?,
    };
    Ok((stream.into(), peer))
}

/// What came of connecting.
pub(super) enum Connect {
    Done,
    /// It goes on in the background.
    Started,
    /// The listener's queue is full. Nothing will tell when it no longer is.
    Full,
}

/// Connects, or starts to.
pub(super) fn connect(socket: &OwnedFd, to: &SocketAddrUnix) -> io::Result<Connect> {
    match rustix::net::connect(socket, to) {
        Ok(()) => Ok(Connect::Done),
        Err(Errno::AGAIN) => Ok(Connect::Full),
        // An interrupted connect goes on like any other, says POSIX.
        Err(Errno::INPROGRESS | Errno::INTR) => Ok(Connect::Started),
        Err(error) => Err(error.into()),
    }
}

/// How a connect that was started has ended. `WouldBlock` if it has not.
pub(super) fn finish_connect(socket: &OwnedFd) -> io::Result<()> {
    if let Some(error) = SockRef::from(socket).take_error()? {
        return Err(error);
    }
    match SockRef::from(socket).peer_addr() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(error) => Err(error),
    }
}

/// The addresses of the two ends.
pub(super) fn local_addr(socket: impl AsFd) -> io::Result<SocketAddr> {
    SocketAddr::of_system(&SockRef::from(&socket).local_addr()?)
}

pub(super) fn peer_addr(socket: impl AsFd) -> io::Result<SocketAddr> {
    SocketAddr::of_system(&SockRef::from(&socket).peer_addr()?)
}

/// Sends one datagram.
pub(super) fn send_to(socket: impl AsFd, bytes: &[u8], to: &SocketAddrUnix) -> io::Result<usize> {
    Ok(rustix::net::sendto(socket, bytes, sys::QUIET, to)?)
}

/// As [`send_to`]; `None` if the receiver has no room though this socket has, of which
/// no event tells.
pub(super) fn send_unless_full(
    socket: impl AsFd,
    bytes: &[u8],
    to: &SocketAddrUnix,
) -> io::Result<Option<usize>> {
    match rustix::net::sendto(&socket, bytes, sys::QUIET, to) {
        Ok(count) => Ok(Some(count)),
        Err(Errno::AGAIN) if has_room(&socket)? => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn has_room(socket: &impl AsFd) -> io::Result<bool> {
    let mut asked = [PollFd::new(socket, PollFlags::OUT)];
    rustix::event::poll(&mut asked, Some(&Timespec::default()))?;
    Ok(asked[0].revents().contains(PollFlags::OUT))
}
