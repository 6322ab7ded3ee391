//! The failures of TCP sockets, and the `io::Error` that each becomes.
#![cfg(not(miri))] // These tests are about the system's errors.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use coreloop::net::{TcpListener, TcpStream};
use coreloop::{block_on, spawn, task::yield_now};
use coreloop_test_support::pair::pair;
use futures_lite::future::poll_once;

/// Returns an address of this machine at which nothing listens.
async fn unused_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    listener.local_addr().expect("address")
}

#[test]
fn binding_an_address_in_use_fails() {
    block_on(async {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let again = TcpListener::bind(first.local_addr().unwrap()).await;
        assert_eq!(again.unwrap_err().kind(), ErrorKind::AddrInUse);
    });
}

/// A server that is restarted gets its port back, though connections of its first
/// life linger in the kernel.
#[test]
fn an_address_that_was_used_before_can_be_bound() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        // The end that closes first is the one that lingers.
        drop((server, listener));
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        drop(client);
        TcpListener::bind(address).await.unwrap();
    });
}

#[test]
fn a_bad_address_is_invalid_input() {
    block_on(async {
        for text in ["nowhere", "127.0.0.1:port", "127.0.0.1:99999"] {
            let error = TcpListener::bind(text).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
            let error = TcpStream::connect(text).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        }
        let error = TcpStream::connect::<&[SocketAddr]>(&[]).await.unwrap_err();
        assert_eq!(error.to_string(), "could not resolve to any addresses");
    });
}

#[test]
fn binding_an_address_of_another_machine_fails() {
    block_on(async {
        // TEST-NET-1 of RFC 5737.
        let error = TcpListener::bind("192.0.2.1:0").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn a_refused_connection_is_an_error() {
    block_on(async {
        let error = TcpStream::connect(unused_address().await)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn connecting_tries_each_address_and_reports_the_last_error() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = listener.local_addr().unwrap();
        let unused = unused_address().await;
        let stream = TcpStream::connect(&[unused, live][..]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), live);
        let error = TcpStream::connect(&[unused, unused][..]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_dropped_connect_leaves_nothing() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let given_up = poll_once(TcpStream::connect(address)).await;
        drop(given_up);
        // The next connection is not mixed up with the one that was dropped.
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"!").await.unwrap();
        loop {
            let (mut stream, peer) = listener.accept().await.unwrap();
            if peer == client.local_addr().unwrap() {
                stream.read_exact(&mut [0; 1]).await.unwrap();
                break;
            }
        }
    });
}

#[test]
fn a_reset_wakes_a_writer_in_mid_write() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        let writer = spawn(async move {
            let bytes = vec![1; 64 << 20];
            let error = client.write_all(&bytes).await.unwrap_err();
            let next = client.write(b"after").await.unwrap_err();
            (error.kind(), next.kind())
        });
        server.read(&mut [0; 4096]).await.unwrap();
        assert!(!writer.is_finished());
        server.set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        let (error, next) = writer.await.unwrap();
        assert!(
            matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
            "{error}"
        );
        assert_eq!(next, ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_reset_wakes_a_reader() {
    block_on(async {
        let (mut client, server) = pair().await;
        let reader = spawn(async move { client.read(&mut [0; 8]).await });
        yield_now().await;
        server.set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        let error = reader.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_reset_after_bytes_is_reported_after_them_or_instead() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        assert!(poll_once(client.read(&mut [0; 8])).await.is_none());
        server.write_all(b"last").await.unwrap();
        client.readable().await.unwrap();
        server.set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        let mut end = client.read(&mut [0; 8]).await;
        if let Ok(count) = end {
            assert_eq!(count, 4);
            end = client.read(&mut [0; 8]).await;
        }
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_connection_reset_before_it_is_accepted_harms_no_other() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gone = TcpStream::connect(address).await.unwrap();
        gone.set_linger(Some(Duration::ZERO)).unwrap();
        let gone_addr = gone.local_addr().unwrap();
        drop(gone);
        let mut client = TcpStream::connect(address).await.unwrap();
        loop {
            // Linux hands over the dead connection too; other systems skip it.
            let (mut stream, peer) = listener.accept().await.unwrap();
            if peer == gone_addr {
                let error = stream.read(&mut [0; 1]).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                continue;
            }
            stream.write_all(b"fine").await.unwrap();
            break;
        }
        client.read_exact(&mut [0; 4]).await.unwrap();
    });
}

#[test]
fn writing_to_a_closed_peer_ends_in_broken_pipe() {
    block_on(async {
        let (mut client, server) = pair().await;
        drop(server);
        // The first write may succeed: the kernel learns of the end by the peer's answer.
        let error = loop {
            if let Err(error) = client.write_all(b"anyone?").await {
                break error;
            }
        };
        assert!(matches!(
            error.kind(),
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
        ));
    });
}

#[test]
fn outside_a_runtime_a_socket_is_an_error_not_a_panic() {
    let error = futures_lite::future::block_on(TcpListener::bind("127.0.0.1:0")).unwrap_err();
    assert!(!error.to_string().is_empty());
    let address = block_on(unused_address());
    assert!(futures_lite::future::block_on(TcpStream::connect(address)).is_err());
}
