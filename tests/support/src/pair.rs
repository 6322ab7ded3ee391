//! What the tests of sockets share.

use coreloop::net::{TcpListener, TcpStream};

/// Two ends of one connection: who connected, and who accepted.
pub async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let client = TcpStream::connect(address).await.expect("connect");
    let (server, _) = listener.accept().await.expect("accept");
    (client, server)
}
