//! The connection of a client and a manager: sockets, the handshake on them, and the frames.

mod address;
mod handshake;
#[cfg(not(feature = "tls"))]
mod no_tls;
mod pipe;
mod socket;
mod socket_file;
#[cfg(feature = "tls")]
mod tls;

pub use address::Address;
pub(crate) use handshake::{Failed, accept, connect};
#[cfg(not(feature = "tls"))]
use no_tls as tls;
pub(crate) use pipe::Pipe;
pub(crate) use socket::{Listener, Socket, Source};
pub(crate) use tls::{Acceptor, Connector};
