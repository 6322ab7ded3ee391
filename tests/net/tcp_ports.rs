//! No port left to connect from.
#![cfg(all(target_os = "linux", not(miri)))]

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use coreloop::block_on;
use coreloop::net::{Connector, TcpListener, TcpSocket, TcpStream};

/// Connects from one port, as if that were the only one left. Without one given,
/// the system chooses it.
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

        // To another address the port is free, so the next one is tried at once.
        let other = TcpListener::bind(any).await.unwrap();
        let addresses = [to, other.local_addr().unwrap()];
        let stream = Connector::new()
            .bind_to(local)
            .configure(|socket| socket.set_reuseaddr(true))
            .connect(&addresses[..])
            .await
            .unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);

        // With a reset it is free at once, and not after a minute in TIME_WAIT.
        first.set_zero_linger().unwrap();
        drop(first);
        connect_from(local, to).await.unwrap();
    });
}
