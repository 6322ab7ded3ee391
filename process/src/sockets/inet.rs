//! Making TCP and UDP sockets.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use socket2::{Domain, SockAddr, Socket, Type};

/// How many connections the kernel keeps until they are accepted. It cuts this to its
/// own limit, `somaxconn` on Linux. A worker that is replaced leaves its queue to the
/// next one, so it is longer than that of a lone listener.
pub(super) const BACKLOG: i32 = 4096;

/// A socket at the first of the addresses that `address` stands for.
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

/// A socket that has its port for itself, and that others may join afterwards.
fn alone(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = new(Domain::for_address(address), kind)?;
    open(&socket, &address.into(), kind)?;
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(true)?;
    Ok(socket)
}

/// One more socket where `other` is.
pub(super) fn join(other: &Socket) -> io::Result<Socket> {
    let address = other.local_addr()?;
    let kind = other.r#type()?;
    let socket = new(address.domain(), kind)?;
    if address.domain() == Domain::IPV6 {
        socket.set_only_v6(other.only_v6()?)?;
    }
    #[cfg(target_os = "linux")]
    socket.set_reuse_port(true)?;
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
        // So a restarted server may bind while connections of the last one linger in
        // TIME_WAIT. For UDP it would mean that others may have the port too.
        socket.set_reuse_address(true)?;
    }
    socket.bind(address)?;
    if kind == Type::STREAM {
        socket.listen(BACKLOG)?;
    }
    Ok(())
}
