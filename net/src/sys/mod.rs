//! The system calls of all sockets, each platform's way.
//!
//! Contract: every socket that leaves this module is non-blocking and is closed
//! on `exec`, and no write through it raises `SIGPIPE`.

/// Where a socket can be made, and accepted, with its flags.
#[cfg(any(
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "illumos",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
))]
#[path = "sockets_with_flags.rs"]
mod sockets;

/// Where the flags are set one by one, afterwards.
#[cfg(not(any(
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "illumos",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
)))]
#[path = "sockets_in_steps.rs"]
mod sockets;

use std::io::{self, IoSlice, IoSliceMut};
#[cfg(any(feature = "hyper", feature = "tokio-io"))]
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{RecvFlags, SendFlags};
use socket2::{SockAddr, SockRef};

pub(crate) use self::sockets::{accept, pair, socket};

/// Reads some bytes; with `PEEK`, without taking them.
///
/// rustix makes the system call in place. What std does around libc costs some 25
/// instructions more, which is a tenth of what a whole echo does.
#[inline]
#[cfg(not(miri))]
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let (_, count) = rustix::net::recv(socket, buffer, flags)?;
    Ok(count)
}

/// Reads some bytes. Miri has no `recv` of a socket pair.
#[cfg(miri)]
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    if flags.is_empty() {
        return Ok(rustix::io::read(socket, buffer)?);
    }
    let (_, count) = rustix::net::recv(socket, buffer, flags)?;
    Ok(count)
}

/// Reads into memory that may hold nothing yet, and gives the part that it filled.
#[inline]
#[cfg(all(any(feature = "hyper", feature = "tokio-io"), not(miri)))]
pub(crate) fn receive_into(
    socket: impl AsFd,
    memory: &mut [MaybeUninit<u8>],
) -> io::Result<&mut [u8]> {
    let ((filled, _), _) = rustix::net::recv(socket, memory, RecvFlags::empty())?;
    Ok(filled)
}

/// Reads into memory that may hold nothing yet. Miri has no `recv` of a socket pair.
#[cfg(all(any(feature = "hyper", feature = "tokio-io"), miri))]
pub(crate) fn receive_into(
    socket: impl AsFd,
    memory: &mut [MaybeUninit<u8>],
) -> io::Result<&mut [u8]> {
    let (filled, _) = rustix::io::read(socket, memory)?;
    Ok(filled)
}

/// Writes some bytes.
#[inline]
#[cfg(not(miri))]
pub(crate) fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, QUIET)?)
}

/// Writes some bytes. Miri has no `send` to a socket pair.
#[cfg(miri)]
pub(crate) fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::write(socket, bytes)?)
}

/// Reads into several buffers in turn.
pub(crate) fn receive_vectored(
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
pub(crate) fn send_vectored(stream: &OwnedFd, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
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
pub(crate) const QUIET: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
pub(crate) const QUIET: SendFlags = SendFlags::empty();

/// As much of a buffer's `length` as one call takes: Apple's systems refuse more
/// than an `int` holds.
#[inline]
pub(crate) fn at_once(length: usize) -> usize {
    if cfg!(target_vendor = "apple") {
        length.min(0x7fff_ffff)
    } else {
        length
    }
}

/// The most buffers for one call: `UIO_MAXIOV`.
pub(crate) const MOST_BUFFERS: usize = 1024;

/// The internet addresses of the two ends.
pub(crate) fn local_addr(stream: impl AsFd) -> io::Result<SocketAddr> {
    internet(&SockRef::from(&stream).local_addr()?)
}

pub(crate) fn peer_addr(stream: impl AsFd) -> io::Result<SocketAddr> {
    internet(&SockRef::from(&stream).peer_addr()?)
}

fn internet(address: &SockAddr) -> io::Result<SocketAddr> {
    let not_internet = || io::Error::new(io::ErrorKind::InvalidInput, "not an internet address");
    address.as_socket().ok_or_else(not_internet)
}
