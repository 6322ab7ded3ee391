//! The contract of [`sys`](super) on Linux.

mod defer_accept;
mod fork;
mod steering;
mod tcp_table;

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::task::{Context, Poll};

use coreloop_runtime::io::Async;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{
    Gid, Pid, PidfdFlags, Signal, Uid, getegid, geteuid, getgid, getuid, pidfd_open,
    pidfd_send_signal,
};
use rustix::thread::{
    CpuSet, MembarrierCommand, membarrier, sched_getaffinity, sched_setaffinity, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid, set_thread_uid,
};
use socket2::{SockFilter, Socket};

pub(crate) use defer_accept::defer_accept;
pub(crate) use fork::fork;
pub(crate) use steering::attach as steer;
pub(crate) use tcp_table::{handshakes, queued_connections};

pub(crate) const SOCKET_PER_SLOT: bool = true;

pub(crate) const SOCKET_PAIR_NAMES_ITS_CREATOR: bool = true;

#[derive(Debug)]
pub(crate) struct Pidfd(Async<OwnedFd>);

impl Pidfd {
    /// Puts the pidfd of a child on the current loop.
    pub(crate) fn open(pid: Pid) -> io::Result<Option<Self>> {
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        // It is never read, so it does not have to be non-blocking.
        Ok(Some(Self(Async::from_owned(pidfd)?)))
    }

    /// Waits until the child has ended.
    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(cx)
    }

    /// Waits until the child has ended and `collect` returns something other than
    /// `WouldBlock`.
    pub(crate) fn poll_collect<R>(
        &self,
        cx: &mut Context<'_>,
        mut collect: impl FnMut() -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.0.poll_read_with(cx, |_| collect())
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(pidfd_send_signal(self.0.get_ref(), signal)?)
    }
}

pub(crate) fn thread_count() -> io::Result<Option<usize>> {
    let tasks = fs::read_dir("/proc/self/task").map_err(|error| {
        let what = format!("/proc/self/task: {error}");
        io::Error::new(error.kind(), what)
    })?;
    Ok(Some(tasks.count()))
}

pub(crate) fn executable() -> Option<&'static Path> {
    Some(Path::new("/proc/self/exe"))
}

/// Returns how many bytes of memory a process has; `None` if there is no such process.
#[must_use]
pub fn resident(pid: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

pub(crate) fn allowed_cores() -> Vec<u32> {
    let Ok(allowed) = sched_getaffinity(None) else {
        return Vec::new();
    };
    let cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
    cores.filter_map(|core| u32::try_from(core).ok()).collect()
}

pub(crate) fn pin_thread(core: u32) {
    let core = usize::try_from(core).ok();
    if let Some(core) = core.filter(|&core| core < CpuSet::MAX_CPU) {
        let mut cores = CpuSet::new();
        cores.set(core);
        // Where it is not allowed, the scheduler chooses the core.
        let _ = sched_setaffinity(None, &cores);
    }
}

pub(crate) fn name_thread(name: &str) {
    if let Ok(name) = CString::new(name) {
        // The name is only shown, so an error does not matter.
        let _ = rustix::thread::set_name(&name);
    }
}

/// The kernel changes the thread only, and so the process if it has no other.
pub(crate) fn set_identity(user: u32, group: u32, groups: &[u32]) -> io::Result<()> {
    let groups: Vec<_> = groups.iter().copied().map(Gid::from_raw).collect();
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    // The user last, as it has the privilege for the rest.
    set_thread_groups(&groups)?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    let is_user = [getuid(), geteuid()] == [user; 2] && [getgid(), getegid()] == [group; 2];
    let is_root_again = !user.is_root() && set_thread_uid(Uid::ROOT).is_ok();
    if is_user && !is_root_again {
        Ok(())
    } else {
        Err(io::Error::other(
            "the kernel lets this process become root again",
        ))
    }
}

pub(crate) fn end_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(
        Signal::KILL,
    ))?)
}

pub(crate) fn socket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

pub(crate) fn descriptor_path(descriptor: RawFd) -> String {
    format!("/proc/self/fd/{descriptor}")
}

pub(crate) fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(name)
}

pub(crate) fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

/// A peer sends a packet of a handshake again, but a datagram is lost.
#[expect(
    clippy::cast_possible_truncation,
    reason = "operation codes have 16 bits"
)]
pub(crate) fn drop_packets(socket: &Socket) -> io::Result<()> {
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    socket.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])
}

pub(crate) fn receive_packets(socket: &Socket) -> io::Result<()> {
    socket.detach_filter()
}

pub(crate) fn is_listening(socket: impl AsFd) -> io::Result<bool> {
    Ok(rustix::net::sockopt::socket_acceptconn(socket)?)
}

/// Takes some milliseconds: the kernel handles packets under RCU, whose grace periods this
/// call waits for. Where the call is refused, a packet has only its usual microseconds.
pub(crate) fn let_packets_pass() {
    let _ = membarrier(MembarrierCommand::Global);
}
