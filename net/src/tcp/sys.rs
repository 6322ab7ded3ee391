//! The system calls of TCP, each platform's way.
//!
//! Contract: every socket that leaves this module is non-blocking and is closed
//! on `exec`, and no write through it raises `SIGPIPE`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

/// How many finished connections the kernel keeps until they are accepted. It
/// cuts this to its own limit (`somaxconn` on Linux).
const BACKLOG: i32 = 1024;

/// A new socket of `address`'s family.
pub(super) fn socket(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    #[cfg(any(
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "linux",
        target_os = "netbsd",
        target_os = "openbsd",
    ))]
    {
        Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))
    }
    #[cfg(not(any(
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "linux",
        target_os = "netbsd",
        target_os = "openbsd",
    )))]
    {
        // socket2 also sets SO_NOSIGPIPE here, where there is one.
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

/// A socket that listens on `address`.
pub(super) fn listen(address: SocketAddr) -> io::Result<net::TcpListener> {
    let socket = socket(address)?;
    // A restarted server may bind while connections of the last one linger in
    // TIME_WAIT. Elsewhere than on Unix the option means something else: that
    // a second server may steal the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes one connection off `listener`'s queue, in one system call.
#[cfg(any(
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "illumos",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
))]
pub(super) fn accept(listener: &net::TcpListener) -> io::Result<(OwnedFd, SocketAddr)> {
    use rustix::net::{SocketFlags, acceptfrom_with};

    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (stream, peer) = acceptfrom_with(listener, flags)?;
    // Some kernels give no address for a peer that has left already.
    let peer = peer.ok_or(Errno::CONNABORTED)?;
    Ok((stream, peer.try_into()?))
}

/// Takes one connection off `listener`'s queue.
#[cfg(not(any(
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "illumos",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
)))]
pub(super) fn accept(listener: &net::TcpListener) -> io::Result<(OwnedFd, SocketAddr)> {
    // There is no accept4 here, and socket2 sets SO_NOSIGPIPE.
    let (stream, peer) = SockRef::from(listener).accept()?;
    stream.set_nonblocking(true)?;
    let peer = peer.as_socket().ok_or(Errno::CONNABORTED)?;
    Ok((stream.into(), peer))
}

/// Starts to connect. `WouldBlock` says that it goes on in the background.
pub(super) fn start_connect(stream: &OwnedFd, to: SocketAddr) -> io::Result<()> {
    match SockRef::from(stream).connect(&to.into()) {
        // An interrupted connect goes on like any other, says POSIX.
        Err(error)
            if matches!(
                Errno::from_io_error(&error),
                Some(Errno::INPROGRESS | Errno::INTR)
            ) =>
        {
            Err(io::ErrorKind::WouldBlock.into())
        }
        result => result,
    }
}

/// How a connect that was started has ended. `WouldBlock` if it has not.
///
/// Readiness alone proves nothing: it may be left from before.
pub(super) fn finish_connect(stream: &OwnedFd) -> io::Result<()> {
    let stream = SockRef::from(stream);
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(error) => Err(error),
    }
}

/// Reads some bytes; with `PEEK`, without taking them.
///
/// rustix makes the system call in place. What std does around libc costs some 25
/// instructions more, which is a tenth of what a whole echo does.
#[inline]
pub(super) fn receive(stream: &OwnedFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let (_, count) = recv(stream, buffer, flags)?;
    Ok(count)
}

/// Writes some bytes.
#[inline]
pub(super) fn send(stream: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(stream, bytes, QUIET)?)
}

/// Reads into several buffers in turn.
pub(super) fn receive_vectored(
    stream: &OwnedFd,
    buffers: &mut [IoSliceMut<'_>],
) -> io::Result<usize> {
    Ok(rustix::io::readv(stream, buffers)?)
}

/// Writes from several buffers in turn.
///
/// What is short, such as a head of HTTP with a small body, is put together
/// first: to take in a list of buffers costs the kernel some 100 ns more than one
/// buffer, and to copy a kilobyte some 20.
pub(super) fn send_vectored(stream: &OwnedFd, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut room = [0; SHORT];
    match gather(buffers, &mut room) {
        Some(bytes) => send(stream, bytes),
        None => send_list(stream, buffers),
    }
}

/// The most that is put together.
const SHORT: usize = 1024;

/// Puts the bytes of several buffers together, if there is room for them.
fn gather<'r>(buffers: &[IoSlice<'_>], room: &'r mut [u8; SHORT]) -> Option<&'r [u8]> {
    let mut length = 0;
    for buffer in buffers {
        let end = length + buffer.len();
        room.get_mut(length..end)?.copy_from_slice(buffer);
        length = end;
    }
    Some(&room[..length])
}

/// Writes a list of buffers. `writev` takes no flags.
#[cfg(not(miri))]
fn send_list(stream: &OwnedFd, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, sendmsg};

    let mut control = SendAncillaryBuffer::default();
    Ok(sendmsg(stream, buffers, &mut control, QUIET)?)
}

/// Writes a list of buffers. Miri has no `sendmsg`.
#[cfg(miri)]
fn send_list(stream: &OwnedFd, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(rustix::io::writev(stream, buffers)?)
}

/// Stops `SIGPIPE`. Apple's systems do it by an option of the socket.
#[cfg(not(target_vendor = "apple"))]
const QUIET: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const QUIET: SendFlags = SendFlags::empty();

/// As much of a buffer's `length` as one call takes: Apple's systems refuse more
/// than an `int` holds.
#[inline]
pub(super) fn at_once(length: usize) -> usize {
    if cfg!(target_vendor = "apple") {
        length.min(0x7fff_ffff)
    } else {
        length
    }
}

/// The most buffers for one call: `UIO_MAXIOV`.
pub(super) const MOST_BUFFERS: usize = 1024;

/// The addresses of the two ends.
pub(super) fn local_addr(stream: impl AsFd) -> io::Result<SocketAddr> {
    internet(&SockRef::from(&stream).local_addr()?)
}

pub(super) fn peer_addr(stream: impl AsFd) -> io::Result<SocketAddr> {
    internet(&SockRef::from(&stream).peer_addr()?)
}

fn internet(address: &SockAddr) -> io::Result<SocketAddr> {
    let not_internet = || io::Error::new(io::ErrorKind::InvalidInput, "not an internet address");
    address.as_socket().ok_or_else(not_internet)
}
