//! Creates TCP and UDP sockets.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use socket2::{Domain, SockAddr, Socket, Type};

use super::options::SocketOptions;
use crate::sys;

/// Binds a socket to the first of the addresses of `address` that can be bound.
pub(super) fn first(address: &str, kind: Type, options: &SocketOptions) -> io::Result<Socket> {
    let mut last_error = None;
    for address in address.to_socket_addrs()? {
        match alone(address, kind, options) {
            Ok(socket) => return Ok(socket),
            Err(error) => last_error = Some(error),
        }
    }
    Err(last_error
        .unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "there is no such address")))
}

/// Binds a socket that has its port for itself. Others may join it afterwards.
pub(super) fn alone(
    address: SocketAddr,
    kind: Type,
    options: &SocketOptions,
) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = new(domain, kind)?;
    options.prepare(&socket, domain)?;
    open(&socket, &address.into(), options)?;
    sys::share_port(&socket)?;
    Ok(socket)
}

/// Binds one more socket to the address of `other`.
pub(super) fn join(other: &Socket, options: &SocketOptions) -> io::Result<Socket> {
    join_after(other, options, |_| Ok(()))
}

/// Like [`join`], but the kernel drops all packets that come to the new socket, until
/// [`sys::receive_packets`].
pub(super) fn join_deaf(other: &Socket, options: &SocketOptions) -> io::Result<Socket> {
    join_after(other, options, sys::drop_packets)
}

fn join_after(
    other: &Socket,
    options: &SocketOptions,
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
    open(&socket, &address, options)?;
    Ok(socket)
}

fn new(domain: Domain, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn open(socket: &Socket, address: &SockAddr, options: &SocketOptions) -> io::Result<()> {
    if socket.r#type()? == Type::STREAM {
        // So that a restarted server can bind while connections of its predecessor are in
        // TIME_WAIT. For UDP this option would let other processes bind the port too.
        socket.set_reuse_address(true)?;
    }
    socket.bind(address)?;
    options.listen(socket)
}
