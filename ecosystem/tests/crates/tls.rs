//! TLS with rustls, through both of its async crates: futures-rustls on the traits
//! of futures-io, and tokio-rustls on tokio's traits.

use std::io;
use std::sync::Arc;

use super::certificates::{self, Clients, Identity, VERSIONS};
use coreloop::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use coreloop::net::TcpStream;
use coreloop::{block_on, join, spawn};
use coreloop_test_support::pair::pair;
use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_util::compat::TokioAsyncReadCompatExt;

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// The crate that an end of a connection uses.
#[derive(Clone, Copy, Debug)]
enum By {
    Futures,
    Tokio,
}

const ALL: [(By, By); 4] = [
    (By::Futures, By::Futures),
    (By::Tokio, By::Tokio),
    (By::Futures, By::Tokio),
    (By::Tokio, By::Futures),
];

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

async fn connect(
    by: By,
    stream: TcpStream,
    config: Arc<ClientConfig>,
) -> io::Result<Box<dyn Stream>> {
    Ok(match by {
        By::Futures => {
            let connector = futures_rustls::TlsConnector::from(config);
            Box::new(connector.connect(localhost(), stream).await?)
        }
        By::Tokio => {
            let connector = tokio_rustls::TlsConnector::from(config);
            Box::new(connector.connect(localhost(), stream).await?.compat())
        }
    })
}

async fn accept(
    by: By,
    stream: TcpStream,
    config: Arc<ServerConfig>,
) -> io::Result<Box<dyn Stream>> {
    Ok(match by {
        By::Futures => Box::new(
            futures_rustls::TlsAcceptor::from(config)
                .accept(stream)
                .await?,
        ),
        By::Tokio => {
            let acceptor = tokio_rustls::TlsAcceptor::from(config);
            Box::new(acceptor.accept(stream).await?.compat())
        }
    })
}

/// Returns the results of a handshake at both ends of a new connection.
async fn shake_hands(
    (client, server): (By, By),
    client_config: Arc<ClientConfig>,
    server_config: Arc<ServerConfig>,
) -> (io::Result<Box<dyn Stream>>, io::Result<Box<dyn Stream>>) {
    let (near, far) = pair().await;
    let server = spawn(accept(server, far, server_config));
    let client = connect(client, near, client_config).await;
    (client, server.await.unwrap())
}

/// Returns both ends of a connection whose client trusts its server.
async fn trusted(by: (By, By)) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let identity = Identity::of("localhost");
    let client = certificates::client(&identity, None, &VERSIONS);
    let server = certificates::server(&identity, Clients::All);
    let (client, server) = shake_hands(by, client, server).await;
    (client.unwrap(), server.unwrap())
}

fn bytes(count: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(count as u64);
    let mut bytes = vec![0; count];
    random.fill(&mut bytes);
    bytes
}

#[test]
fn echoes_64_kib_in_both_versions_by_either_crate() {
    let sent = bytes(64 << 10);
    for version in VERSIONS {
        for by in ALL {
            block_on(async {
                let identity = Identity::of("localhost");
                let client = certificates::client(&identity, None, &[version]);
                let server = certificates::server(&identity, Clients::All);
                let (client, server) = shake_hands(by, client, server).await;
                let (mut client, mut server) = (client.unwrap(), server.unwrap());
                let echo = spawn(async move {
                    let mut buffer = vec![0; 64 << 10];
                    for _ in 0..3 {
                        server.read_exact(&mut buffer).await.unwrap();
                        server.write_all(&buffer).await.unwrap();
                        server.flush().await.unwrap();
                    }
                });
                let mut seen = vec![0; sent.len()];
                for _ in 0..3 {
                    client.write_all(&sent).await.unwrap();
                    client.flush().await.unwrap();
                    client.read_exact(&mut seen).await.unwrap();
                    assert!(seen == sent, "{by:?} {version:?}");
                }
                echo.await.unwrap();
            });
        }
    }
}

#[test]
fn large_transfers_run_in_both_directions_at_once() {
    let (up, down) = (bytes(2 << 20), bytes((3 << 20) + 1));
    for by in ALL {
        block_on(async {
            let (client, server) = trusted(by).await;
            let (mut from_server, mut to_server) = split(client);
            let (mut from_client, mut to_client) = split(server);
            let (mut seen_up, mut seen_down) = (Vec::new(), Vec::new());
            let (asked, answered, received, got) = join!(
                async {
                    to_server.write_all(&up).await?;
                    to_server.close().await
                },
                async {
                    to_client.write_all(&down).await?;
                    to_client.close().await
                },
                from_client.read_to_end(&mut seen_up),
                from_server.read_to_end(&mut seen_down),
            );
            asked.unwrap();
            answered.unwrap();
            received.unwrap();
            got.unwrap();
            assert!(seen_up == up && seen_down == down, "{by:?}");
        });
    }
}

#[test]
fn a_close_ends_one_direction_and_the_other_continues() {
    for by in ALL {
        block_on(async {
            let (mut client, mut server) = trusted(by).await;
            client.write_all(b"a question").await.unwrap();
            client.close().await.unwrap();
            let mut question = String::new();
            server.read_to_string(&mut question).await.unwrap();
            assert_eq!(question, "a question");

            server.write_all(b"an answer").await.unwrap();
            server.close().await.unwrap();
            drop(server);
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "an answer", "{by:?}");
        });
    }
}

/// An attacker who cuts the connection must not be able to fake the end of the data.
#[test]
fn a_connection_that_is_cut_is_an_error_and_not_an_end() {
    for by in ALL {
        block_on(async {
            let (mut client, mut server) = trusted(by).await;
            server.write_all(b"pay 100 to Al").await.unwrap();
            server.flush().await.unwrap();
            // The drop sends no close alert.
            drop(server);
            let mut seen = Vec::new();
            let error = client.read_to_end(&mut seen).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{by:?}");
            assert_eq!(seen, b"pay 100 to Al");
        });
    }
}

#[test]
fn a_certificate_that_is_not_trusted_is_refused() {
    for by in ALL {
        block_on(async {
            let (server, other) = (Identity::of("localhost"), Identity::of("localhost"));
            let client = certificates::client(&other, None, &VERSIONS);
            let server = certificates::server(&server, Clients::All);
            let (client, server) = shake_hands(by, client, server).await;
            let error = client.err().expect("it is not trusted");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{by:?}");
            server.err().expect("the server gets an alert");
        });
    }
}

#[test]
fn a_certificate_of_another_name_is_refused() {
    for by in ALL {
        block_on(async {
            let identity = Identity::of("example.org");
            let client = certificates::client(&identity, None, &VERSIONS);
            let server = certificates::server(&identity, Clients::All);
            let (client, _) = shake_hands(by, client, server).await;
            let error = client.err().expect("the name is wrong");
            assert!(error.to_string().contains("not valid for name"), "{error}");
        });
    }
}

#[test]
fn clients_present_a_certificate_if_the_server_requests_one() {
    for by in ALL {
        let (server, known, unknown) = (
            Identity::of("localhost"),
            Identity::of("known"),
            Identity::of("unknown"),
        );
        for (clients, client, lets_in) in [
            (Clients::All, None, true),
            (Clients::All, Some(&unknown), true),
            (Clients::AllBut(&known), None, true),
            (Clients::AllBut(&known), Some(&known), true),
            (Clients::AllBut(&known), Some(&unknown), false),
            (Clients::Only(&known), None, false),
            (Clients::Only(&known), Some(&known), true),
            (Clients::Only(&known), Some(&unknown), false),
        ] {
            block_on(async {
                let client = certificates::client(&server, client, &VERSIONS);
                let server = certificates::server(&server, clients);
                let (client, server) = shake_hands(by, client, server).await;
                assert_eq!(server.is_ok(), lets_in, "{by:?}");
                // In TLS 1.3 the client's handshake ends before the server decides.
                let mut client = client.unwrap();
                let mut greeting = String::new();
                let read = match server {
                    Ok(mut server) => {
                        server.write_all(b"welcome").await.unwrap();
                        server.close().await.unwrap();
                        client.read_to_string(&mut greeting).await
                    }
                    Err(_) => client.read_to_string(&mut greeting).await,
                };
                assert_eq!(read.is_ok(), lets_in);
                assert_eq!(greeting == "welcome", lets_in);
            });
        }
    }
}

#[test]
fn bytes_that_are_no_handshake_cause_an_error() {
    for by in [By::Futures, By::Tokio] {
        block_on(async {
            let (mut client, server) = pair().await;
            let config = certificates::server(&Identity::of("localhost"), Clients::All);
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let error = accept(by, server, config)
                .await
                .err()
                .expect("no handshake");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            // The server sends an alert, a record of type 21.
            let mut alert = Vec::new();
            client.read_to_end(&mut alert).await.unwrap();
            assert_eq!(alert[0], 21);
        });
    }
}
