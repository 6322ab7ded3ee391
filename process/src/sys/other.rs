//! The contract of [`sys`](super) on systems other than Linux: macOS and FreeBSD, for which
//! the crate is type-checked.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::task::{Context, Poll};

use rustix::process::{Pid, Signal};
use socket2::Socket;

use super::Flows;

/// macOS does not balance connections between sockets. FreeBSD does, but cannot take a
/// socket out of a group without a loss.
pub(crate) const SOCKET_PER_SLOT: bool = false;

pub(crate) const SOCKET_PAIR_NAMES_ITS_CREATOR: bool = cfg!(target_os = "android");

/// These systems have no pidfds.
#[derive(Debug)]
pub(crate) enum Pidfd {}

impl Pidfd {
    pub(crate) fn open(_pid: Pid) -> io::Result<Option<Self>> {
        Ok(None)
    }

    pub(crate) fn poll_ended(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }

    pub(crate) fn poll_collect<R>(
        &self,
        _cx: &mut Context<'_>,
        _collect: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        match *self {}
    }

    pub(crate) fn signal(&self, _signal: Signal) -> io::Result<()> {
        match *self {}
    }
}

/// Does nothing, as the number of threads is not known here.
///
/// # Safety
///
/// There is no condition here; Linux has one.
#[expect(unsafe_code, reason = "the contract has a condition")]
pub(crate) unsafe fn fork() -> io::Result<Option<Pid>> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn thread_count() -> io::Result<Option<usize>> {
    Ok(None)
}

pub(crate) fn executable() -> Option<&'static Path> {
    None
}

/// Returns `None`, as there is no file that says it.
#[must_use]
pub fn resident(_pid: u32) -> Option<u64> {
    None
}

pub(crate) fn allowed_cores() -> Vec<u32> {
    Vec::new()
}

#[cfg(any(target_os = "android", target_os = "freebsd"))]
pub(crate) fn pin_thread(core: u32) {
    use rustix::thread::{CpuSet, sched_setaffinity};

    let core = usize::try_from(core).ok();
    if let Some(core) = core.filter(|&core| core < CpuSet::MAX_CPU) {
        let mut cores = CpuSet::new();
        cores.set(core);
        let _ = sched_setaffinity(None, &cores);
    }
}

#[cfg(not(any(target_os = "android", target_os = "freebsd")))]
pub(crate) fn pin_thread(_core: u32) {}

#[cfg(target_os = "android")]
pub(crate) fn name_thread(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
}

#[cfg(not(target_os = "android"))]
pub(crate) fn name_thread(_name: &str) {}

pub(crate) fn set_identity(_user: u32, _group: u32, _groups: &[u32]) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "only on Linux can this program change its user",
    ))
}

#[cfg(any(target_os = "android", target_os = "freebsd"))]
pub(crate) fn end_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(
        Signal::KILL,
    ))?)
}

/// A worker's loop notices the end of the master.
#[cfg(not(any(target_os = "android", target_os = "freebsd")))]
pub(crate) fn end_with_parent() -> io::Result<()> {
    Ok(())
}

pub(crate) fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = UnixStream::pair()?;
    Ok((one.into(), other.into()))
}

pub(crate) fn descriptor_path(descriptor: RawFd) -> String {
    format!("/dev/fd/{descriptor}")
}

pub(crate) fn abstract_address(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "only Linux has abstract names for Unix sockets",
    ))
}

/// There are no groups.
pub(crate) fn share_port(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

pub(crate) fn defer_accept(_socket: &Socket, _seconds: i32) -> io::Result<()> {
    Ok(())
}

/// Only groups of sockets need it.
pub(crate) fn drop_packets(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

pub(crate) fn receive_packets(_socket: &Socket) -> io::Result<()> {
    Ok(())
}

pub(crate) fn steer(_socket: &Socket, _flows: Flows, _slots: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_vendor = "apple"))]
pub(crate) fn is_listening(socket: impl AsFd) -> io::Result<bool> {
    Ok(rustix::net::sockopt::socket_acceptconn(socket)?)
}

/// macOS does not say; a socket that does not listen fails to accept.
#[cfg(target_vendor = "apple")]
pub(crate) fn is_listening(_socket: impl AsFd) -> io::Result<bool> {
    Ok(true)
}

pub(crate) fn queued_connections(_socket: BorrowedFd<'_>) -> Option<u32> {
    None
}

/// Only groups of sockets need to know.
pub(crate) fn handshakes(_port: u16) -> io::Result<HashSet<String>> {
    Ok(HashSet::new())
}

pub(crate) fn let_packets_pass() {}
