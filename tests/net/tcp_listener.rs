//! `TcpListener`: binding, and accepting in one task and in several. The tests without free
//! descriptors are in `net_descriptor_limit`.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::rc::Rc;

use coreloop::net::{AcceptBackoff, TcpListener, TcpStream};
use coreloop::{block_on, spawn, task::yield_now};
use futures_lite::future::{poll_fn, poll_once};

#[test]
fn accept_waits_for_a_connection() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = spawn(async move { listener.accept().await.unwrap() });
        yield_now().await;
        assert!(!accepted.is_finished());
        let client = TcpStream::connect(address).await.unwrap();
        let (server, peer) = accepted.await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(server.peer_addr().unwrap(), peer);
    });
}

/// One event may report many connections, and a waiter may have been dropped by then.
#[test]
#[cfg_attr(miri, ignore = "counts many connections, in safe code")]
fn several_tasks_accept_from_one_listener() {
    let connections = if cfg!(miri) { 12 } else { 300 };
    block_on(async {
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        let served = Rc::new(Cell::new(0));
        let acceptors: Vec<_> = (0..4)
            .map(|number| {
                let (listener, served) = (listener.clone(), served.clone());
                let mut pause = AcceptBackoff::default();
                spawn(async move {
                    loop {
                        let accepted = if number < 2 {
                            listener.accept().await
                        } else {
                            poll_fn(|cx| listener.poll_accept_shared(&mut pause, cx)).await
                        };
                        let (mut stream, _) = accepted.unwrap();
                        served.set(served.get() + 1);
                        stream.write_all(b"!").await.unwrap();
                    }
                })
            })
            .collect();
        let clients: Vec<_> = (0..connections)
            .map(|_| {
                spawn(async move {
                    let mut client = TcpStream::connect(address).await.unwrap();
                    client.read_exact(&mut [0; 1]).await.unwrap();
                })
            })
            .collect();
        acceptors[0].abort();
        acceptors[3].abort();
        for client in clients {
            client.await.unwrap();
        }
        assert_eq!(served.get(), connections);
        for acceptor in acceptors {
            acceptor.abort();
        }
    });
}

#[test]
fn a_dropped_accept_loses_no_connection() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(poll_once(listener.accept()).await.is_none());
        let first = TcpStream::connect(address).await.unwrap();
        let second = TcpStream::connect(address).await.unwrap();
        for client in [first, second] {
            let (_, peer) = listener.accept().await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
    });
}

#[test]
fn poll_accept_accepts() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = spawn(async move { TcpStream::connect(address).await.unwrap() });
        let (_, peer) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        assert_eq!(peer, client.await.unwrap().local_addr().unwrap());
    });
}

#[test]
fn binding_tries_each_address() {
    block_on(async {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = first.local_addr().unwrap();
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let second = TcpListener::bind(&[taken, free][..]).await.unwrap();
        assert_ne!(second.local_addr().unwrap(), taken);
    });
}

#[test]
fn binding_a_port_in_use_fails() {
    block_on(async {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = TcpListener::bind(first.local_addr().unwrap())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn binding_no_address_fails() {
    block_on(async {
        let error = TcpListener::bind::<&[SocketAddr]>(&[]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), "could not resolve to any addresses");
    });
}

#[test]
fn listeners_convert_from_and_into_std() {
    block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        // A blocking accept would stop the loop here.
        assert!(poll_once(listener.accept()).await.is_none());
        let listener = TcpListener::try_from(listener.into_std().unwrap()).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert!(format!("{listener:?}").contains("127.0.0.1"));
        let _: std::os::fd::BorrowedFd<'_> = listener.as_fd();
    });
}

#[test]
fn ttl_is_set_and_read() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.set_ttl(44).unwrap();
        assert_eq!(listener.ttl().unwrap(), 44);
    });
}

#[test]
fn ipv6_works_on_machines_that_have_it() {
    block_on(async {
        let Ok(listener) = TcpListener::bind("[::1]:0").await else {
            return;
        };
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_ipv6());
        client.write_all(b"six").await.unwrap();
        assert_eq!(server.read_exact(&mut [0; 3]).await.unwrap(), 3);
    });
}

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

/// The waiter that an event woke may be dropped before it runs; the connection
/// must not wait for the next event.
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
                // The acceptor was faster than the abort.
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

/// Accepting from a full queue spends the acceptor's budget, so that other tasks run.
#[test]
fn a_flood_of_connections_starves_no_other_task() {
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
