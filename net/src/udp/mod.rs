//! UDP: a socket, its options, and batches of datagrams.

mod socket;

mod batch;
mod connected;
mod multicast;
mod options;
mod ready;

pub use socket::UdpSocket;
