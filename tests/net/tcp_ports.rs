//! The local port of a connection: no port is free, or it is the port of the peer.
#![cfg(all(target_os = "linux", not(miri)))]

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use coreloop::block_on;
use coreloop::net::{Connector, TcpListener, TcpSocket, TcpStream};

/// Connects from one port, as if that were the only one left. For port 0, the system
/// chooses one.
async fn connect_from(local: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(local)?;
    socket.connect(to).await
}

#[test]
fn connecting_without_a_free_port_is_an_error_and_recovers() {
    block_on(async {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listener = TcpListener::bind(any).await.unwrap();
        let to = listener.local_addr().unwrap();
        let first = connect_from(any, to).await.unwrap();
        let local = first.local_addr().unwrap();
        for _ in 0..3 {
            let error = connect_from(local, to).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{error}");
        }

        // For another address the port is free, so the attempt at the next one succeeds.
        let other = TcpListener::bind(any).await.unwrap();
        let addresses = [to, other.local_addr().unwrap()];
        let stream = Connector::new()
            .bind_to(local)
            .configure(|socket| socket.set_reuseaddr(true))
            .connect(&addresses[..])
            .await
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);

        // After a reset the port is free at once, and not after a minute in TIME_WAIT.
        first.set_zero_linger().unwrap();
        drop(first);
        connect_from(local, to).await.unwrap();
    });
}

/// Connects a socket to its own port, which the system chose: as can happen to a client of
/// a port at which nothing listens.
async fn connect_to_itself() -> (SocketAddr, io::Result<TcpStream>) {
    // An address that no other test uses, so that none takes the port.
    connect_by(TcpSocket::new_v4().unwrap(), "127.0.0.77:0").await
}

async fn connect_by(socket: TcpSocket, local: &str) -> (SocketAddr, io::Result<TcpStream>) {
    socket.bind(local.parse().unwrap()).unwrap();
    let local = socket.local_addr().unwrap();
    (local, socket.connect(local).await)
}

#[test]
fn a_connection_of_a_socket_to_itself_is_refused() {
    block_on(async {
        let mut refused = Vec::new();
        if let Ok(socket) = TcpSocket::new_v6()
            && std::net::TcpListener::bind("[::1]:0").is_ok()
        {
            refused.push(connect_by(socket, "[::1]:0").await);
        }
        // The unspecified address stands for this machine.
        refused.push(connect_by(TcpSocket::new_v4().unwrap(), "0.0.0.0:0").await);
        refused.push(connect_to_itself().await);
        let mut local = None;
        for (address, connected) in refused {
            let error = connected.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
            local = Some(address);
        }
        let local = local.unwrap();
        // The port is free at once, and not after a minute in TIME_WAIT.
        let server = TcpSocket::new_v4().unwrap();
        server.bind(local).unwrap();
        let server = server.listen(1).unwrap();
        let client = TcpStream::connect(local).await.unwrap();
        assert_eq!(
            server.accept().await.unwrap().1,
            client.local_addr().unwrap()
        );
    });
}

/// A socket that was bound to the port on purpose talks to itself, as in Go.
#[test]
fn a_socket_may_be_connected_to_the_port_that_it_was_bound_to() {
    block_on(async {
        let bound = |local| {
            let socket = TcpSocket::new_v4()?;
            socket.bind(local)?;
            io::Result::Ok(socket)
        };
        let (local, _) = connect_to_itself().await;
        let mut stream = bound(local).unwrap().connect(local).await.unwrap();
        assert_eq!(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        stream.write_all(b"hello").await.unwrap();
        let mut buffer = [0; 5];
        stream.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"hello");
        stream.set_zero_linger().unwrap();
        drop(stream);

        // The same for a socket that other code has bound.
        let foreign: OwnedFd = bound(local).unwrap().into();
        let stream = TcpSocket::from(foreign).connect(local).await.unwrap();
        stream.set_zero_linger().unwrap();
        drop(stream);
        let stream = Connector::new()
            .bind_to(local)
            .connect(local)
            .await
            .unwrap();
        assert_eq!(stream.local_addr().unwrap(), local);
    });
}
