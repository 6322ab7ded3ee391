//! The contract of [`broker`](super) on Linux.

use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::task::{Context, Poll};

use coreloop_runtime::io::Async;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How many names are tried. A second one is needed only if another program has guessed the
/// first.
const ATTEMPTS: u32 = 16;

/// The abstract name of a socket. The kernel removes it with the socket.
#[derive(Debug)]
pub(crate) struct Place;

impl Place {
    #[expect(clippy::unused_self, reason = "other systems have a directory")]
    pub(crate) fn remove(&self) {}
}

pub(crate) fn listen() -> io::Result<(UnixListener, Vec<u8>, Place)> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let name = format!("coreloop-ipc-{}", super::random_name());
        match UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?) {
            Ok(socket) => return Ok((socket, name.into_bytes(), Place)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempt < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn connect(address: &[u8]) -> io::Result<UnixStream> {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(address)?)
}

/// A pidfd on the loop.
#[derive(Debug)]
pub(crate) struct Death {
    pidfd: Async<OwnedFd>,
    pid: u32,
}

impl Death {
    pub(crate) fn of(pid: Option<u32>) -> io::Result<Self> {
        let invisible = || {
            let text = "the process is not visible in the PID namespace of the broker";
            io::Error::new(io::ErrorKind::PermissionDenied, text)
        };
        let pid = pid.ok_or_else(invisible)?;
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pidfd = pidfd_open(raw.ok_or(Errno::SRCH)?, PidfdFlags::empty())?;
        // It is never read, so it does not have to be non-blocking.
        let pidfd = Async::from_owned(pidfd)?;
        Ok(Self { pidfd, pid })
    }

    /// The kernel has said which process it is.
    pub(crate) fn claim(&mut self, _pid: u32) {}

    #[expect(
        clippy::unnecessary_wraps,
        reason = "other systems do not know it at first"
    )]
    pub(crate) fn pid(&self) -> Option<u32> {
        Some(self.pid)
    }

    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>, _has_socket: bool) -> Poll<()> {
        match self.pidfd.poll_readable(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            // The loop has ended, and drops the task next.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}
