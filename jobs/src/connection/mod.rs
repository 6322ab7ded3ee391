//! The connection of a client and a manager: sockets, the handshake on them, and the frames.

mod address;
mod handshake;
mod pipe;
mod socket;

pub use address::Address;
pub(crate) use handshake::{Failed, accept, connect};
pub(crate) use pipe::Pipe;
pub(crate) use socket::{Listener, Socket, Source};
