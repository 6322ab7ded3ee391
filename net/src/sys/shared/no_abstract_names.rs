//! Platforms on which every address of a Unix socket is a path, or nothing.

use std::io;
use std::os::unix::net;

use rustix::net::SocketAddrUnix;

pub(crate) const HAS_ABSTRACT_NAMES: bool = false;

pub(crate) fn abstract_address(_: &[u8]) -> io::Result<net::SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn abstract_target(_: &[u8]) -> io::Result<SocketAddrUnix> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn abstract_sender(_: &SocketAddrUnix) -> Option<&[u8]> {
    None
}

pub(crate) fn abstract_name(_: &net::SocketAddr) -> Option<&[u8]> {
    None
}
