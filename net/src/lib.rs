//! Sockets, name lookup and I/O utilities for coreloop.
//!
//! Use this crate through the facade: the root of the crate is `coreloop::net`, [`io`] is
//! `coreloop::io`, and `hyper` is `coreloop::hyper`.
//!
//! - [`TcpListener`] accepts connections; [`TcpStream`] is one; [`TcpSocket`] becomes either,
//!   and is for options that must be set before.
//! - [`UnixListener`] and [`UnixStream`] connect processes of one machine.
//! - [`UdpSocket`] and [`UnixDatagram`] send and receive datagrams.
//! - [`UnixStream`] and [`UnixDatagram`] also send and receive descriptors.
//! - [`lookup_host`] resolves a name.
//!
//! Every socket belongs to the loop of the thread that created it, and is `!Send`. Reads and
//! writes borrow their buffer, try the system call first, and wait on the loop only if the
//! system call would block. So a socket that is always ready is never registered with the
//! poller.

mod accept;
mod accept_policy;
mod addr;
mod datagram;
mod forward;
#[cfg(feature = "hyper")]
pub mod hyper;
mod incoming;
pub mod io;
mod limit;
mod stream;
mod sys;
pub mod tcp;
mod udp;
pub mod unix;

pub use accept::Accept;
#[doc(hidden)]
pub use accept_policy::AcceptBackoff;
#[doc(hidden)]
#[expect(deprecated, reason = "the old name remains for one release")]
pub use accept_policy::AcceptPause;
pub use addr::{Resolve, Resolving, SystemResolver, ToSocketAddrs, lookup_host};
pub use incoming::Incoming;
pub use limit::{ConnectionLimit, ConnectionPermit, Limited};
pub use tcp::{Connector, TcpListener, TcpSocket, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixListener, UnixStream};
