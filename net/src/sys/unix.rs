//! System calls for Unix sockets.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{self, SocketAddr};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketAddrUnix};
use socket2::{Domain, SockAddr, SockRef, Type};

use super::{
    NO_SIGPIPE, abstract_address, abstract_name, abstract_sender, abstract_target,
    accept as accept_any, socket as new_socket,
};

/// How many connections the kernel queues until they are accepted. The kernel reduces this
/// to its own limit (`somaxconn` on Linux).
const BACKLOG: i32 = 1024;

/// The length of an address that consists of a family only.
const UNNAMED: u32 = 2;

/// Returns a new socket.
pub(crate) fn socket(kind: Type) -> io::Result<OwnedFd> {
    new_socket(Domain::UNIX, kind, None).map(OwnedFd::from)
}

/// Returns a socket that listens on `address`.
pub(crate) fn listen(address: &SocketAddrUnix) -> io::Result<net::UnixListener> {
    let socket = socket(Type::STREAM)?;
    rustix::net::bind(&socket, address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Takes one connection off the queue of `listener`.
pub(crate) fn accept(listener: &net::UnixListener) -> io::Result<(OwnedFd, SocketAddr)> {
    let (stream, peer) = accept_any(listener)?;
    if peer.is_none_or(|peer| peer.addr_len() <= UNNAMED) {
        return Ok((stream, unnamed()?));
    }
    // A peer with a name is rare. The name may be longer than rustix supports.
    let stream = net::UnixStream::from(stream);
    let peer = match stream.peer_addr() {
        Ok(peer) => peer,
        Err(_) => unnamed()?,
    };
    Ok((stream.into(), peer))
}

/// The outcome of a call of `connect`.
pub(crate) enum Connecting {
    Done,
    /// The kernel continues in the background.
    InProgress,
    /// The queue of the listener is full. No event reports when it has room again.
    QueueFull,
}

/// Connects, or starts to connect.
pub(crate) fn connect(socket: &OwnedFd, to: &SocketAddrUnix) -> io::Result<Connecting> {
    match rustix::net::connect(socket, to) {
        Ok(()) => Ok(Connecting::Done),
        Err(Errno::AGAIN) => Ok(Connecting::QueueFull),
        // According to POSIX, a connect that was interrupted continues like any other.
        Err(Errno::INPROGRESS | Errno::INTR) => Ok(Connecting::InProgress),
        Err(error) => Err(error.into()),
    }
}

/// Returns the outcome of a connect in the background, or `WouldBlock` if it has not
/// finished.
pub(crate) fn finish_connect(socket: &OwnedFd) -> io::Result<()> {
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

/// Returns the address that a socket is bound to.
pub(crate) fn local_addr(socket: impl AsFd) -> io::Result<SocketAddr> {
    from_system(&SockRef::from(&socket).local_addr()?)
}

/// Returns the address that a socket is connected to.
pub(crate) fn peer_addr(socket: impl AsFd) -> io::Result<SocketAddr> {
    from_system(&SockRef::from(&socket).peer_addr()?)
}

fn from_system(address: &SockAddr) -> io::Result<SocketAddr> {
    if let Some(path) = address.as_pathname() {
        return SocketAddr::from_pathname(path);
    }
    match address.as_abstract_namespace() {
        Some(name) => abstract_address(name),
        None => unnamed(),
    }
}

/// Returns the address of the sender of a message, as `recvmsg` has returned it.
pub(crate) fn sender(from: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
    let Some(from) = from.and_then(|from| SocketAddrUnix::try_from(from).ok()) else {
        return unnamed();
    };
    if let Some(name) = abstract_sender(&from) {
        return abstract_address(name);
    }
    match from.path_bytes() {
        // A path of the maximum length is rare, and longer than std supports.
        Some(path) => SocketAddr::from_pathname(OsStr::from_bytes(path)).or_else(|_| unnamed()),
        None => unnamed(),
    }
}

/// Returns `address` in the form that system calls take.
pub(crate) fn to_system(address: &SocketAddr) -> io::Result<SocketAddrUnix> {
    if let Some(path) = address.as_pathname() {
        return Ok(SocketAddrUnix::new(path)?);
    }
    if let Some(name) = abstract_name(address) {
        return abstract_target(name);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "an unnamed Unix socket has no address to bind or connect to",
    ))
}

/// Returns the address of a socket without a name. The standard library makes one only from
/// an empty path.
fn unnamed() -> io::Result<SocketAddr> {
    SocketAddr::from_pathname("")
}

/// Sends one datagram.
pub(crate) fn send_to(socket: impl AsFd, bytes: &[u8], to: &SocketAddrUnix) -> io::Result<usize> {
    Ok(rustix::net::sendto(socket, bytes, NO_SIGPIPE, to)?)
}

/// Sends one datagram like [`send_to`], or returns `None` like [`unless_full`].
pub(crate) fn send_unless_full(
    socket: impl AsFd,
    bytes: &[u8],
    to: &SocketAddrUnix,
) -> io::Result<Option<usize>> {
    unless_full(&socket, || send_to(&socket, bytes, to))
}

/// Calls `send`, which sends one datagram, or returns `None` if the receiver has no room
/// although this socket has: no event reports when the receiver has room again.
pub(crate) fn unless_full(
    socket: impl AsFd,
    send: impl FnOnce() -> io::Result<usize>,
) -> io::Result<Option<usize>> {
    match send() {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && has_room(&socket)? => Ok(None),
        Err(error) => Err(error),
    }
}

fn has_room(socket: &impl AsFd) -> io::Result<bool> {
    let mut polled = [PollFd::new(socket, PollFlags::OUT)];
    rustix::event::poll(&mut polled, Some(&Timespec::default()))?;
    Ok(polled[0].revents().contains(PollFlags::OUT))
}
