//! Accepting many connections: as a stream, and several at once. Runs under Miri.

use std::rc::Rc;

use coreloop::net::TcpStream;
use coreloop::sync::mpsc;
use coreloop::{Runtime, block_on, spawn, task::yield_now};
use coreloop_test_support::pair::listener;
use futures_lite::StreamExt;
use futures_lite::future::{poll_once, zip};

#[test]
fn a_listener_is_a_stream_of_connections() {
    block_on(async {
        let (listener, address) = listener().await;
        let mut incoming = listener.incoming();
        assert!(poll_once(incoming.next()).await.is_none());
        for _ in 0..3 {
            let client = spawn(TcpStream::connect(address));
            let server = incoming.next().await.unwrap().unwrap();
            let client = client.await.unwrap().unwrap();
            assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
        }
    });
}

#[test]
fn a_stream_may_own_its_listener() {
    block_on(async {
        let (listener, address) = listener().await;
        let server = spawn(async move {
            let mut first_two = listener.into_incoming().take(2);
            while let Some(stream) = first_two.next().await {
                stream.unwrap().write_all(b"!").await.unwrap();
            }
        });
        for _ in 0..2 {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.read_exact(&mut [0; 1]).await.unwrap();
        }
        server.await.unwrap();
        // The listener was dropped with its stream.
        assert!(TcpStream::connect(address).await.is_err());
    });
}

/// If the streams shared the place of one waker, only the last would be woken.
#[test]
fn several_streams_of_one_listener_are_all_woken() {
    block_on(async {
        let (listener, address) = listener().await;
        let listener = Rc::new(listener);
        let (serve, mut served) = mpsc::channel(3);
        for _ in 0..3 {
            let (listener, serve) = (Rc::clone(&listener), serve.clone());
            drop(spawn(async move {
                // Each stream takes one connection, so that the next goes to another.
                let stream = listener.incoming().next().await.unwrap().unwrap();
                serve.send(stream).await.unwrap();
            }));
        }
        yield_now().await;
        for _ in 0..3 {
            // This hangs if the stream that should take the connection is not woken.
            let client = TcpStream::connect(address).await.unwrap();
            let server = served.recv().await.unwrap();
            assert_eq!(server.peer_addr().unwrap(), client.local_addr().unwrap());
        }
    });
}

#[test]
fn a_dropped_stream_loses_no_connection() {
    block_on(async {
        let (listener, address) = listener().await;
        for _ in 0..3 {
            let mut incoming = listener.incoming();
            assert!(poll_once(incoming.next()).await.is_none());
            let client = TcpStream::connect(address).await.unwrap();
            drop(incoming);
            let (_, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
    });
}

#[test]
fn a_stream_without_its_runtime_gives_errors() {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(async { listener().await.0 });
    let mut incoming = listener.into_incoming();
    runtime.block_on(async { assert!(poll_once(incoming.next()).await.is_none()) });
    drop(runtime);
    for _ in 0..2 {
        let item = futures_lite::future::block_on(incoming.next());
        assert!(item.unwrap().is_err());
    }
}

#[test]
fn accept_many_takes_what_is_queued() {
    block_on(async {
        let (listener, address) = listener().await;
        let mut clients = Vec::new();
        for _ in 0..7 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut connections = Vec::new();
        assert_eq!(listener.accept_many(&mut connections, 3).await.unwrap(), 3);
        assert_eq!(listener.accept_many(&mut connections, 1).await.unwrap(), 1);
        let mut rest = listener.accept_many(&mut connections, 64).await.unwrap();
        while rest < 3 {
            // On systems other than Linux, a connection may be queued a little later.
            rest += listener.accept_many(&mut connections, 64).await.unwrap();
        }
        assert_eq!(rest, 3);
        let peers: Vec<_> = connections.iter().map(|&(_, peer)| peer).collect();
        let locals: Vec<_> = clients
            .iter()
            .map(|client| client.local_addr().unwrap())
            .collect();
        assert_eq!(peers, locals);
    });
}

#[test]
fn accept_many_waits_for_the_first() {
    block_on(async {
        let (listener, address) = listener().await;
        let mut connections = Vec::new();
        assert!(
            poll_once(listener.accept_many(&mut connections, 8))
                .await
                .is_none()
        );
        assert!(connections.is_empty());
        let (count, client) = zip(
            listener.accept_many(&mut connections, 8),
            TcpStream::connect(address),
        )
        .await;
        assert_eq!(count.unwrap(), 1);
        assert_eq!(connections[0].1, client.unwrap().local_addr().unwrap());
        // The queue was found empty in the end; the next connection is still noticed.
        let client = TcpStream::connect(address).await.unwrap();
        listener.accept_many(&mut connections, 8).await.unwrap();
        assert_eq!(connections[1].1, client.local_addr().unwrap());
    });
}

#[test]
#[should_panic(expected = "room for a connection")]
fn accept_many_needs_room() {
    block_on(async {
        let (listener, _) = listener().await;
        let _ = listener.accept_many(&mut Vec::new(), 0).await;
    });
}
