//! [`SocketOptions`], the options of the sockets that a supervisor binds.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, Socket, TcpKeepalive, Type};

use crate::account::Account;
use crate::sys;

/// How many connections the kernel queues until they are accepted, if no number is set. The
/// kernel lowers this to its own limit, `somaxconn` on Linux. A worker that is replaced leaves
/// its queue to its successor, so the queue is longer than a single listener needs.
const BACKLOG: i32 = 4096;

/// The longest time that Linux waits before it probes an idle connection, in seconds.
const LONGEST_KEEPALIVE: u64 = 32_767;

/// Options of the sockets of one `bind` call, for [`bind_with`], [`bind_every`],
/// [`bind_udp_with`] and [`bind_unix_with`].
///
/// Each socket of the call has them, also the sockets of workers that are added later. After an
/// upgrade, the new program's options apply to the sockets that it inherits, except
/// [`only_v6`](Self::only_v6), [`mode`](Self::mode) and [`owner`](Self::owner): what was
/// decided when the socket was bound stays until the program is stopped and started.
///
/// [`bind_with`]: crate::Supervisor::bind_with
/// [`bind_every`]: crate::Supervisor::bind_every
/// [`bind_udp_with`]: crate::Supervisor::bind_udp_with
/// [`bind_unix_with`]: crate::Supervisor::bind_unix_with
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use coreloop::process::{SocketOptions, Supervisor};
///
/// # fn main() -> std::io::Result<()> {
/// let public = SocketOptions::new().keepalive(Duration::from_secs(60));
/// let local = SocketOptions::new().mode(0o660).owner("root", "www-data");
/// let supervisor = Supervisor::new()
///     .bind_with("0.0.0.0:7777", public)?
///     .bind_unix_with("/run/echo.sock", local)?;
/// # let _ = supervisor;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct SocketOptions {
    backlog: Option<u32>,
    keepalive: Option<Duration>,
    defer_accept: Option<Duration>,
    only_v6: Option<bool>,
    mode: Option<u32>,
    owner: Option<(Account, Account)>,
}

/// The kind of a socket, for which some of the options have no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Tcp,
    Udp,
    Unix,
}

impl SocketOptions {
    /// Creates the options that [`bind`](crate::Supervisor::bind) and the similar methods
    /// use.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many connections the kernel queues for a worker until it accepts them; 4096
    /// by default. The kernel lowers this to its own limit, on Linux
    /// `/proc/sys/net/core/somaxconn`. For TCP and Unix sockets.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = Some(connections);
        self
    }

    /// Sets after how much time without a packet the kernel begins to probe a connection of
    /// a peer that may have disappeared. For TCP: each accepted connection inherits it.
    ///
    /// By default the kernel does not probe. The time is rounded up to seconds, and is at
    /// most some nine hours. How often the kernel probes, until it ends the connection, are
    /// its own settings.
    pub fn keepalive(mut self, idle: Duration) -> Self {
        self.keepalive = Some(idle);
        self
    }

    /// Sets that a connection is accepted only once its peer has sent data, or after this
    /// time, rounded up to seconds. For TCP, on Linux; elsewhere it has no effect.
    ///
    /// Until then the connection is a handshake that has not ended. So when the number of
    /// workers is lowered, the connections that have sent nothing within three seconds may
    /// be lost, as with other handshakes.
    pub fn defer_accept(mut self, time: Duration) -> Self {
        self.defer_accept = Some(time);
        self
    }

    /// Sets whether an IPv6 socket gets packets of IPv6 only. By default, the system
    /// decides; Linux then sends a socket at `[::]` packets of IPv4 too. Beside an IPv4 address
    /// of the same [`bind_every`](crate::Supervisor::bind_every) call, it gets packets of IPv6
    /// only. For TCP and UDP.
    pub fn only_v6(mut self, only: bool) -> Self {
        self.only_v6 = Some(only);
        self
    }

    /// Sets the permissions of the file of a Unix socket, such as `0o660`. To connect, a
    /// process needs the permission to write. By default the umask of the process decides.
    ///
    /// No process can connect before the file has its permissions and its
    /// [owner](Self::owner).
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Sets the user and the group that the file of a Unix socket belongs to. Only root can
    /// give a file to another user.
    pub fn owner(mut self, user: impl Into<Account>, group: impl Into<Account>) -> Self {
        self.owner = Some((user.into(), group.into()));
        self
    }

    /// Returns an error if an option has no meaning for this kind of socket, or no valid
    /// value.
    pub(crate) fn check(&self, purpose: Purpose) -> io::Result<()> {
        let (is_tcp, is_unix) = (purpose == Purpose::Tcp, purpose == Purpose::Unix);
        let options = [
            ("backlog", self.backlog.is_some(), is_tcp || is_unix),
            ("keepalive", self.keepalive.is_some(), is_tcp),
            ("defer_accept", self.defer_accept.is_some(), is_tcp),
            ("only_v6", self.only_v6.is_some(), !is_unix),
            ("mode", self.mode.is_some(), is_unix),
            ("owner", self.owner.is_some(), is_unix),
        ];
        for (name, is_set, is_known) in options {
            if is_set && !is_known {
                let kind = match purpose {
                    Purpose::Tcp => "TCP",
                    Purpose::Udp => "UDP",
                    Purpose::Unix => "Unix",
                };
                return Err(invalid(format!("{kind} sockets have no option `{name}`")));
            }
        }
        match self.mode {
            Some(mode) if mode > 0o777 => Err(invalid(format!(
                "the mode {mode:#o} of a Unix socket has bits that are no permissions"
            ))),
            _ => Ok(()),
        }
    }

    /// Returns the options for sockets of which some may be for IPv4: the others are for IPv6
    /// only then, unless that was set.
    pub(super) fn beside_ipv4(self, has_ipv4: bool) -> Self {
        Self {
            only_v6: self.only_v6.or(has_ipv4.then_some(true)),
            ..self
        }
    }

    /// Sets the options that a socket must have before it is bound.
    pub(super) fn prepare(&self, socket: &Socket, domain: Domain) -> io::Result<()> {
        match self.only_v6 {
            Some(only) if domain == Domain::IPV6 => socket.set_only_v6(only),
            _ => Ok(()),
        }
    }

    /// Makes a TCP or Unix socket listen, also one that listens already; does nothing for a
    /// UDP socket.
    pub(super) fn listen(&self, socket: &Socket) -> io::Result<()> {
        if socket.r#type()? != Type::STREAM {
            return Ok(());
        }
        if socket.local_addr()?.as_socket().is_some() {
            match self.keepalive {
                Some(time) => {
                    let seconds = seconds(time).clamp(1, LONGEST_KEEPALIVE);
                    let time = Duration::from_secs(seconds);
                    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time))?;
                }
                None => socket.set_keepalive(false)?,
            }
            let deferral = self.defer_accept.map_or(0, |time| seconds(time).max(1));
            sys::defer_accept(socket, i32::try_from(deferral).unwrap_or(i32::MAX))?;
        }
        let backlog = self.backlog.map_or(BACKLOG, |connections| {
            i32::try_from(connections).unwrap_or(i32::MAX)
        });
        socket.listen(backlog)
    }

    /// Sets the permissions and the owner of a socket's file. Until the socket listens, no
    /// process can connect to it.
    pub(super) fn protect(&self, path: &Path) -> io::Result<()> {
        // The owner last, as the new owner could put a link in place of the file.
        if let Some(mode) = self.mode {
            fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        if let Some((user, group)) = &self.owner {
            lchown(path, Some(user.user_id()?), Some(group.group_id()?))?;
        }
        Ok(())
    }

    /// Returns whether the options require a file.
    pub(super) fn is_for_a_file(&self) -> bool {
        self.mode.is_some() || self.owner.is_some()
    }
}

/// Rounds up to seconds.
fn seconds(time: Duration) -> u64 {
    let part = u64::from(time.subsec_nanos() > 0);
    time.as_secs().saturating_add(part)
}

fn invalid(message: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, message)
}
