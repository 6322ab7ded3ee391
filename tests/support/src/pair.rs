//! What the tests of sockets share.

use std::net::SocketAddr;

use coreloop::net::{TcpListener, TcpStream};

/// A listener at a free port of this machine, and its address.
pub async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    (listener, address)
}

/// Two ends of one connection: who connected, and who accepted.
pub async fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listener().await;
    let client = TcpStream::connect(address).await.expect("connect");
    let (server, _) = listener.accept().await.expect("accept");
    (client, server)
}
