//! A manager with TLS.

use std::sync::Arc;
use std::time::Duration;

use coreloop::io::copy_bidirectional;
use coreloop::jobs::{Client, ClientBuilder, Error, Key, Manager, ManagerBuilder};
use coreloop::net::{TcpListener, TcpStream};
use coreloop::spawn;
use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::ServerConfig;
use futures_rustls::{TlsAcceptor, TlsConnector};

use super::certificates::{self, Clients, Identity, VERSIONS};

fn key() -> Key {
    Key::new("the key of the tests of TLS").unwrap()
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

fn builder(config: Arc<ServerConfig>) -> ManagerBuilder {
    // Failures are answered at the deadline.
    Manager::bind("127.0.0.1:0")
        .key(&key())
        .queue("tasks", 4)
        .handshake_timeout(Duration::from_millis(200))
        .tls(config)
}

fn client(address: &str, trusted: &Identity) -> ClientBuilder {
    let config = certificates::client(trusted, None, &VERSIONS);
    Client::builder(address, &key())
        .connect_timeout(Duration::ZERO)
        .tls(config, localhost())
}

/// Puts an item and gets it.
async fn use_queue(client: &Client) {
    let tasks = client.queue::<String>("tasks");
    let item = "x".repeat(100_000);
    tasks.put(&item).await.unwrap();
    assert_eq!(tasks.get().await.unwrap(), item);
}

#[coreloop::test]
async fn a_manager_with_tls_serves_its_clients() {
    let identity = Identity::of("localhost");
    let config = certificates::server(&identity, Clients::All);
    let manager = builder(config).start().await.unwrap();
    let address = manager.address().to_string();
    let client = client(&address, &identity).connect().await.unwrap();
    use_queue(&client).await;
    client.close().await;
}

/// The manager started, and no client could connect.
#[coreloop::test]
async fn tls_on_a_unix_socket_is_a_mistake() {
    let identity = Identity::of("localhost");
    let config = certificates::server(&identity, Clients::All);
    let path = "unix:/nowhere/manager";
    let error = Manager::bind(path).key(&key()).tls(config).start().await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("is a Unix socket"), "{error}");
    let error = client(path, &identity).connect().await.unwrap_err();
    assert!(error.to_string().contains("is a Unix socket"), "{error}");
}

#[coreloop::test]
async fn tls_does_not_replace_the_key() {
    let identity = Identity::of("localhost");
    let config = certificates::server(&identity, Clients::All);
    let manager = builder(config).start().await.unwrap();
    let other = Key::new("another key of the tests").unwrap();
    let config = certificates::client(&identity, None, &VERSIONS);
    let error = Client::builder(manager.address(), &other)
        .connect_timeout(Duration::ZERO)
        .tls(config, localhost())
        .connect()
        .await
        .unwrap_err();
    assert!(error.is_refused(), "{error}");
}

#[coreloop::test]
async fn a_certificate_that_is_not_trusted_ends_the_connection() {
    let identity = Identity::of("localhost");
    let config = certificates::server(&identity, Clients::All);
    let manager = builder(config).start().await.unwrap();
    let address = manager.address().to_string();
    let stranger = Identity::of("localhost");
    let error = client(&address, &stranger).connect().await.unwrap_err();
    assert!(error.to_string().starts_with("TLS with"), "{error}");
    // A client without TLS is refused as well.
    let plain = Client::builder(address.as_str(), &key()).connect_timeout(Duration::ZERO);
    assert!(plain.connect().await.is_err());
    let client = client(&address, &identity).connect().await.unwrap();
    use_queue(&client).await;
}

#[coreloop::test]
async fn tls_1_2_is_refused() {
    let identity = Identity::of("localhost");
    let config = certificates::server(&identity, Clients::All);
    let manager = builder(config).start().await.unwrap();
    let config = certificates::client(&identity, None, &VERSIONS[..1]);
    let error = Client::builder(manager.address(), &key())
        .connect_timeout(Duration::ZERO)
        .tls(config, localhost())
        .connect()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("needs TLS 1.3"), "{error}");
}

/// Someone between the two whose certificate the client trusts, but who does not have the key. He
/// passes on what he decrypts.
#[coreloop::test]
async fn a_relay_between_two_tls_sessions_is_refused() {
    let identity = Identity::of("localhost");
    let config = certificates::server(&identity, Clients::All);
    let manager = builder(config).start().await.unwrap();
    let relay = Identity::of("localhost");
    let acceptor = TlsAcceptor::from(certificates::server(&relay, Clients::All));
    let connector = TlsConnector::from(certificates::client(&identity, None, &VERSIONS));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let target = manager.address().to_string();
    let task = spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let mut near = acceptor.accept(near).await.unwrap();
        let far = TcpStream::connect(target).await.unwrap();
        let mut far = connector.connect(localhost(), far).await.unwrap();
        let _ = copy_bidirectional(&mut near, &mut far).await;
    });
    let error: Error = client(&address, &relay).connect().await.unwrap_err();
    assert!(error.is_refused(), "{error}");
    task.abort();
}

#[coreloop::test]
async fn tls_allows_addresses_of_a_network() {
    let identity = Identity::of("localhost");
    let config = certificates::server(&identity, Clients::All);
    let manager = Manager::bind("0.0.0.0:0").key(&key()).tls(config);
    assert!(manager.start().await.is_ok());
}
