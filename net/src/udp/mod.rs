//! UDP: a socket, its options, and batches of datagrams.

mod socket;

mod batch;
mod multicast;
mod options;

mod sys;

pub use socket::UdpSocket;
