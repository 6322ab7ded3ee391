//! Creates TCP and UDP sockets.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::sys;

/// How many connections the kernel queues until they are accepted. The kernel lowers this to
/// its own limit, `somaxconn` on Linux. A worker that is replaced leaves its queue to its
/// successor, so the queue is longer than a single listener needs.
pub(super) const BACKLOG: i32 = 4096;

/// Binds a socket to the first of the addresses of `address` that can be bound.
pub(super) fn first(address: &str, kind: Type) -> io::Result<Socket> {
    let mut last_error = None;
    for address in address.to_socket_addrs()? {
        match alone(address, kind) {
            Ok(socket) => return Ok(socket),
            Err(error) => last_error = Some(error),
        }
    }
    Err(last_error
        .unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "there is no such address")))
}

/// Binds a socket that has its port for itself. Others may join it afterwards.
fn alone(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = new(Domain::for_address(address), kind)?;
    open(&socket, &address.into(), kind)?;
    sys::share_port(&socket)?;
    Ok(socket)
}

/// Binds one more socket to the address of `other`.
pub(super) fn join(other: &Socket) -> io::Result<Socket> {
    join_after(other, |_| Ok(()))
}

/// Like [`join`], but the kernel drops all packets that come to the new socket, until
/// [`sys::receive_packets`].
pub(super) fn join_deaf(other: &Socket) -> io::Result<Socket> {
    join_after(other, sys::drop_packets)
}

fn join_after(
    other: &Socket,
    prepare: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    let address = other.local_addr()?;
    let kind = other.r#type()?;
    let socket = new(address.domain(), kind)?;
    if address.domain() == Domain::IPV6 {
        socket.set_only_v6(other.only_v6()?)?;
    }
    sys::share_port(&socket)?;
    prepare(&socket)?;
    open(&socket, &address, kind)?;
    Ok(socket)
}

fn new(domain: Domain, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn open(socket: &Socket, address: &SockAddr, kind: Type) -> io::Result<()> {
    if kind == Type::STREAM {
        // So that a restarted server can bind while connections of its predecessor are in
        // TIME_WAIT. For UDP this option would let other processes bind the port too.
        socket.set_reuse_address(true)?;
    }
    socket.bind(address)?;
    if kind == Type::STREAM {
        socket.listen(BACKLOG)?;
    }
    Ok(())
}
