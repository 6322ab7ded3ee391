//! Abstract names of Unix sockets.

use std::io;
#[cfg(target_os = "android")]
use std::os::android::net::SocketAddrExt;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net;

use rustix::net::SocketAddrUnix;

pub(crate) const HAS_ABSTRACT_NAMES: bool = true;

pub(crate) fn abstract_address(name: &[u8]) -> io::Result<net::SocketAddr> {
    net::SocketAddr::from_abstract_name(name)
}

/// Returns the same address as a target of system calls.
pub(crate) fn abstract_target(name: &[u8]) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new_abstract_name(name)?)
}

/// Returns the name in an address that a system call has returned.
pub(crate) fn abstract_sender(from: &SocketAddrUnix) -> Option<&[u8]> {
    from.abstract_name()
}

pub(crate) fn abstract_name(address: &net::SocketAddr) -> Option<&[u8]> {
    address.as_abstract_name()
}
