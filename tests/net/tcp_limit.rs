//! A limit on the number of open connections. Runs under Miri.

use std::cell::Cell;
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use coreloop::net::tcp::LimitedListener;
use coreloop::net::{ConnectionLimit, TcpListener, TcpStream};
use coreloop::{Runtime, block_on, spawn, task::yield_now};
use coreloop_test_support::turns::turn_until_idle;
use futures_lite::future::poll_once;
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};

async fn limited(limit: impl Into<ConnectionLimit>) -> (LimitedListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    (listener.limit(limit), address)
}

#[test]
fn the_connection_above_the_limit_waits_until_one_is_closed() {
    block_on(async {
        let (listener, address) = limited(2).await;
        let _clients = [
            TcpStream::connect(address).await.unwrap(),
            TcpStream::connect(address).await.unwrap(),
            TcpStream::connect(address).await.unwrap(),
        ];
        let (first, _) = listener.accept().await.unwrap();
        let (_second, _) = listener.accept().await.unwrap();
        assert!(poll_once(listener.accept()).await.is_none());
        assert_eq!(listener.connection_limit().active(), 2);

        let third = spawn(async move { listener.accept().await.unwrap() });
        yield_now().await;
        assert!(!third.is_finished());
        drop(first);
        let (third, _) = third.await.unwrap();
        assert!(third.peer_addr().is_ok(), "it behaves like the stream");
    });
}

/// The descriptor is free before the next connection is accepted.
#[test]
fn a_connection_is_closed_before_its_permit_is_free() {
    block_on(async {
        let (listener, address) = limited(1).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let (stream, permit) = server.into_parts();
        drop(stream);
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(listener.connection_limit().active(), 1);
        assert!(listener.connection_limit().try_acquire().is_none());
        drop(permit);
        assert_eq!(listener.connection_limit().active(), 0);
    });
}

#[test]
fn a_dropped_accept_keeps_no_permit() {
    block_on(async {
        let (listener, address) = limited(1).await;
        for _ in 0..3 {
            assert!(poll_once(listener.accept()).await.is_none());
            assert_eq!(listener.connection_limit().active(), 0);
        }
        let _client = TcpStream::connect(address).await.unwrap();
        let server = listener.accept().await.unwrap();
        // A waiting future that is woken and then dropped wakes the next one.
        let limit = listener.connection_limit();
        let mut first = Box::pin(limit.acquire());
        assert!(poll_once(&mut first).await.is_none());
        let second = spawn({
            let limit = limit.clone();
            async move { drop(limit.acquire().await) }
        });
        yield_now().await;
        drop(server);
        drop(first);
        second.await.unwrap();
    });
}

#[test]
#[cfg_attr(miri, ignore = "counts many connections, in safe code")]
fn many_acceptors_never_have_more_open_than_the_limit() {
    const MOST: usize = 3;
    let connections = if cfg!(miri) { 10 } else { 200 };
    block_on(async {
        let (listener, address) = limited(MOST).await;
        let listener = Rc::new(listener);
        let (open, peak) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        for _ in 0..5 {
            let listener = Rc::clone(&listener);
            let (open, peak) = (Rc::clone(&open), Rc::clone(&peak));
            spawn(async move {
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    open.set(open.get() + 1);
                    peak.set(peak.get().max(open.get()));
                    let open = Rc::clone(&open);
                    spawn(async move {
                        let mut byte = [0; 1];
                        stream.read_exact(&mut byte).await.unwrap();
                        stream.write_all(&byte).await.unwrap();
                        open.set(open.get() - 1);
                    });
                }
            });
        }
        let clients: Vec<_> = (0..connections)
            .map(|_| {
                spawn(async move {
                    let mut client = TcpStream::connect(address).await.unwrap();
                    client.write_all(b"?").await.unwrap();
                    client.read_exact(&mut [0; 1]).await.unwrap();
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        assert!((1..=MOST).contains(&peak.get()), "{} at once", peak.get());
    });
}

#[test]
fn listeners_share_a_limit() {
    block_on(async {
        let limit = ConnectionLimit::new(1);
        let (first, first_address) = limited(limit.clone()).await;
        let (second, second_address) = limited(limit.clone()).await;
        let _clients = [
            TcpStream::connect(first_address).await.unwrap(),
            TcpStream::connect(second_address).await.unwrap(),
        ];
        let accepted = first.accept().await.unwrap();
        assert!(poll_once(second.accept()).await.is_none());
        drop(accepted);
        second.accept().await.unwrap();
        assert_eq!((limit.max(), limit.active()), (1, 0));
    });
}

#[test]
fn batches_and_streams_keep_to_the_limit() {
    block_on(async {
        let (listener, address) = limited(3).await;
        let mut clients = Vec::new();
        for _ in 0..6 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let mut connections = Vec::new();
        let count = listener.accept_many(&mut connections, 2).await.unwrap();
        assert_eq!(count, 2);
        let count = listener.accept_many(&mut connections, 64).await.unwrap();
        assert_eq!(count, 1);
        let mut incoming = listener.incoming();
        assert!(poll_once(incoming.next()).await.is_none());
        connections.clear();
        let stream = incoming.next().await.unwrap().unwrap();
        drop(incoming);
        assert_eq!(listener.connection_limit().active(), 1);

        let limit = listener.connection_limit().clone();
        let mut incoming = listener.into_incoming();
        let next = incoming.next().await.unwrap().unwrap();
        assert_eq!(limit.active(), 2);
        drop((stream, next, incoming));
        assert_eq!(limit.active(), 0);
    });
}

#[test]
fn limited_streams_read_and_write_by_the_traits() {
    async fn echo(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) {
        let mut buffer = [0; 4];
        stream.read_exact(&mut buffer).await.unwrap();
        stream.write_all(&buffer).await.unwrap();
        stream.flush().await.unwrap();
        stream.close().await.unwrap();
    }
    block_on(async {
        let (listener, address) = limited(1).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let echo = spawn(echo(server));
        client.write_all(b"echo").await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"echo");
        echo.await.unwrap();
        assert_eq!(listener.connection_limit().active(), 0);
        assert!(listener.get_ref().local_addr().is_ok());
        assert!(listener.into_inner().local_addr().is_ok());
    });
}

#[test]
#[should_panic(expected = "give 1 or more")]
fn a_limit_of_zero_panics() {
    let _ = ConnectionLimit::new(0);
}

/// Acceptors that waited behind a waker that panicked used to be forgotten.
#[test]
fn a_waker_that_panics_does_not_cost_the_others_their_wake() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }
    #[derive(Default)]
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let limit = ConnectionLimit::new(1);
    let permit = limit.try_acquire().unwrap();
    let panics = Waker::from(Arc::new(Panics));
    let mut first = pin!(limit.acquire());
    assert!(
        first
            .as_mut()
            .poll(&mut Context::from_waker(&panics))
            .is_pending()
    );
    let woken = Arc::new(Woken::default());
    let notes = Waker::from(Arc::clone(&woken));
    let mut second = pin!(limit.acquire());
    assert!(
        second
            .as_mut()
            .poll(&mut Context::from_waker(&notes))
            .is_pending()
    );

    let dropped = panic::catch_unwind(AssertUnwindSafe(|| drop(permit)));
    dropped.expect_err("the panic is passed on");
    assert!(woken.0.load(Ordering::Relaxed));
    assert_eq!(limit.active(), 0);
}

/// A full listener used to be woken for each connection, and its siblings were not.
#[test]
#[cfg_attr(miri, ignore = "Miri has no exclusive registrations")]
fn a_full_exclusive_listener_is_not_woken() {
    let runtime = Runtime::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connect = || std::net::TcpStream::connect(address).unwrap();
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std_exclusive(listener).unwrap().limit(1)
    };
    let listener = Rc::new(listener);
    let accepting = || {
        let listener = Rc::clone(&listener);
        runtime.spawn(async move { listener.accept().await.unwrap() })
    };
    // One task waits for a connection, the other for the permit of the first; both have
    // to finish in the end.
    let (first, second) = (accepting(), accepting());
    turn_until_idle(&runtime);
    let _clients = [connect(), connect()];
    let first = runtime.block_on(first).unwrap();
    turn_until_idle(&runtime);
    let third = accepting();
    turn_until_idle(&runtime);
    let before = runtime.metrics().io_events();
    for _ in 0..5 {
        let _client = connect();
        turn_until_idle(&runtime);
    }
    if cfg!(any(target_os = "linux", target_os = "android")) {
        assert_eq!(runtime.metrics().io_events(), before);
    }
    assert!(!second.is_finished() && !third.is_finished());
    drop(first);
    let second = runtime.block_on(second).unwrap();
    drop(second);
    runtime.block_on(third).unwrap();
}
