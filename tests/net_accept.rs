//! Accepting: several tasks at one listener, floods, and what a flood leaves to
//! the other tasks. Running out of descriptors is in `net/tests/emfile.rs`.

use std::cell::Cell;
use std::rc::Rc;

use coreloop::net::{TcpListener, TcpStream};
use coreloop::{block_on, spawn, task::yield_now};

#[test]
fn each_of_several_acceptors_gets_its_connection() {
    block_on(async {
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        let acceptors: Vec<_> = (0..5)
            .map(|_| {
                let listener = listener.clone();
                spawn(async move { listener.accept().await.unwrap().1 })
            })
            .collect();
        yield_now().await;
        let mut clients = Vec::new();
        for _ in 0..acceptors.len() {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut accepted = Vec::new();
        for acceptor in acceptors {
            accepted.push(acceptor.await.unwrap());
        }
        let mut expected: Vec<_> = clients.iter().map(|it| it.local_addr().unwrap()).collect();
        accepted.sort();
        expected.sort();
        assert_eq!(accepted, expected);
    });
}

/// The waiter that an edge woke may be dropped before it runs; the connection
/// must not wait for the next edge.
#[test]
fn an_aborted_acceptor_passes_the_connection_on() {
    block_on(async {
        for _ in 0..10 {
            let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
            let address = listener.local_addr().unwrap();
            let accept = || {
                let listener = listener.clone();
                spawn(async move { listener.accept().await.unwrap().1 })
            };
            let (first, second) = (accept(), accept());
            yield_now().await;
            let client = TcpStream::connect(address).await.unwrap();
            first.abort();
            let peer = match first.await {
                // It was faster than the abort.
                Ok(peer) => peer,
                Err(error) => {
                    assert!(error.is_cancelled());
                    second.await.unwrap()
                }
            };
            assert_eq!(peer, client.local_addr().unwrap());
        }
    });
}

/// A full queue spends the acceptor's budget, so the others run.
#[test]
fn a_flood_of_connections_starves_nobody() {
    let flood = if cfg!(miri) { 10 } else { 400 };
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..flood {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let accepted = Rc::new(Cell::new(0));
        spawn({
            let accepted = accepted.clone();
            async move {
                loop {
                    drop(listener.accept().await.unwrap());
                    accepted.set(accepted.get() + 1);
                }
            }
        });
        yield_now().await;
        let soon = accepted.get();
        assert!(cfg!(miri) || soon < flood, "all {soon} in one turn");
        for mut client in clients {
            assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        }
        assert_eq!(accepted.get(), flood);
    });
}
