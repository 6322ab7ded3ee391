//! The echo examples over TLS and WebSocket, run as a user would run them.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_tungstenite::client_async;
use async_tungstenite::tungstenite::Message;
use coreloop::block_on;
use coreloop::io::{AsyncReadExt, AsyncWriteExt};
use coreloop::net::TcpStream;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::program::Server;
use futures_rustls::client::TlsStream;
use futures_rustls::pki_types::{CertificateDer, ServerName};
use futures_rustls::rustls::{ClientConfig, RootCertStore};
use futures_util::StreamExt;

async fn connect(
    address: SocketAddr,
    trusted: CertificateDer<'static>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    futures_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

#[test]
fn tls_echoes_with_a_given_certificate_and_clients_refuse_another_one() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = Folder::new();
    let (cert, key) = (folder.path("cert.pem"), folder.path("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let arguments = ["--addr", "127.0.0.1:0", "--cert", cert, "--key", key];
    let mut given = Server::start("tls_echo", &arguments);
    let mut itself = Server::start("tls_echo", &["--addr", "127.0.0.1:0"]);
    let (given_at, itself_at) = (given.read_address(), itself.read_address());
    drop(folder);

    block_on(async {
        let trusted = made.cert.der();
        let mut stream = connect(given_at, trusted.clone()).await.unwrap();
        let sent = vec![7; 64 << 10];
        for _ in 0..3 {
            stream.write_all(&sent).await.unwrap();
            stream.flush().await.unwrap();
            let mut seen = vec![0; sent.len()];
            stream.read_exact(&mut seen).await.unwrap();
            assert!(seen == sent);
        }
        stream.close().await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);

        let refused = connect(itself_at, trusted.clone()).await;
        assert_eq!(refused.err().unwrap().kind(), io::ErrorKind::InvalidData);
        // The server still accepts connections.
        TcpStream::connect(itself_at).await.unwrap();
    });
}

#[test]
fn websocket_echoes_and_closes() {
    let mut server = Server::start("websocket_echo", &["--addr", "127.0.0.1:0"]);
    let address = server.read_address();
    block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut socket, _) = client_async(format!("ws://{address}"), stream)
            .await
            .unwrap();
        for message in [Message::text("hello"), Message::binary(vec![7; 100_000])] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
        socket.close(None).await.unwrap();
        while let Some(message) = socket.next().await {
            assert!(message.unwrap().is_close());
        }
    });
}
