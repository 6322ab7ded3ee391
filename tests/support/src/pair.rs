//! Helpers for tests of sockets.

use std::net::SocketAddr;

use coreloop::net::{TcpListener, TcpStream};

/// Listens at a free port of this machine, and returns the listener with its address.
pub async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    (listener, address)
}

/// Returns the two ends of one connection: the connecting and the accepting end.
pub async fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listener().await;
    let client = TcpStream::connect(address).await.expect("connect");
    let (server, _) = listener.accept().await.expect("accept");
    (client, server)
}
