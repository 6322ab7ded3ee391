//! Every form of `ToSocketAddrs`, and host names. Runs under Miri.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::pin::pin;
use std::sync::mpsc::{Sender, channel};

use coreloop::net::{TcpListener, TcpStream, ToSocketAddrs, lookup_host};
use coreloop::runtime::Builder;
use coreloop::{Runtime, block_on, spawn};
use futures_lite::future::poll_once;

async fn resolved<A: ToSocketAddrs>(address: A) -> Vec<SocketAddr> {
    lookup_host(address).await.expect("resolves").collect()
}

/// Like `resolved`, for addresses that must be known without waiting.
async fn known<A: ToSocketAddrs>(address: A) -> Vec<SocketAddr> {
    let answer = poll_once(lookup_host(address)).await;
    answer.expect("no wait").expect("resolves").collect()
}

#[test]
fn every_numeric_form_is_known_at_once() {
    block_on(async {
        let four = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 80);
        let six = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 80, 0, 0);
        assert_eq!(known(SocketAddr::V4(four)).await, [four.into()]);
        assert_eq!(known(four).await, [four.into()]);
        assert_eq!(known(six).await, [six.into()]);
        assert_eq!(known((IpAddr::V4(*four.ip()), 80)).await, [four.into()]);
        assert_eq!(known((*four.ip(), 80)).await, [four.into()]);
        assert_eq!(known((*six.ip(), 80)).await, [six.into()]);
        assert_eq!(known(("127.0.0.1", 80)).await, [four.into()]);
        assert_eq!(known(("::1".to_owned(), 80)).await, [six.into()]);
        assert_eq!(known("127.0.0.1:80").await, [four.into()]);
        assert_eq!(known("[::1]:80".to_owned()).await, [six.into()]);
        assert_eq!(known(&"127.0.0.1:80".to_owned()).await, [four.into()]);
        assert_eq!(known(&&four).await, [four.into()]);
        let both = [SocketAddr::V4(four), SocketAddr::V6(six)];
        assert_eq!(known(&both[..]).await, both);
    });
}

#[test]
fn every_type_that_std_accepts_is_accepted() {
    fn is_accepted<A: ToSocketAddrs + std::net::ToSocketAddrs + ?Sized>() {}

    is_accepted::<SocketAddr>();
    is_accepted::<SocketAddrV4>();
    is_accepted::<SocketAddrV6>();
    is_accepted::<(IpAddr, u16)>();
    is_accepted::<(Ipv4Addr, u16)>();
    is_accepted::<(Ipv6Addr, u16)>();
    is_accepted::<(&str, u16)>();
    is_accepted::<(String, u16)>();
    is_accepted::<str>();
    is_accepted::<&str>();
    is_accepted::<String>();
    is_accepted::<&[SocketAddr]>();
    is_accepted::<&String>();
}

#[test]
fn names_are_looked_up() {
    block_on(async {
        for addresses in [
            resolved("localhost:80").await,
            resolved(("localhost", 80)).await,
            resolved(("localhost".to_owned(), 80)).await,
        ] {
            assert!(!addresses.is_empty());
            for address in addresses {
                assert!(address.ip().is_loopback());
                assert_eq!(address.port(), 80);
            }
        }
    });
}

#[test]
fn other_tasks_run_during_a_lookup() {
    block_on(async {
        let lookup = spawn(resolved("localhost:80"));
        let other = spawn(async { 5 });
        assert_eq!(other.await.unwrap(), 5);
        assert!(!lookup.await.unwrap().is_empty());
    });
}

#[test]
fn a_lookup_may_be_dropped() {
    block_on(async {
        for _ in 0..4 {
            drop(poll_once(lookup_host("localhost:80")).await);
        }
        assert!(!resolved("localhost:80").await.is_empty());
    });
}

/// Returns a runtime whose only blocking thread is busy until the sender is dropped.
fn with_busy_pool() -> (Runtime, Sender<()>) {
    let runtime = Builder::new()
        .max_blocking_threads(1)
        .build()
        .expect("a runtime");
    let (begin, begun) = channel();
    let (end, ended) = channel::<()>();
    drop(runtime.spawn_blocking(move || {
        begin.send(()).expect("the receiver waits");
        assert!(ended.recv().is_err());
    }));
    begun.recv().expect("the job begins");
    (runtime, end)
}

#[test]
fn lookups_wait_for_a_thread_of_the_pool() {
    let (runtime, end) = with_busy_pool();
    runtime.block_on(async {
        let mut waits = pin!(resolved("localhost:80"));
        assert!(poll_once(&mut waits).await.is_none());
        drop(poll_once(lookup_host("localhost:81")).await);
        drop(end);
        assert!(!waits.await.is_empty());
    });
}

#[test]
fn a_lookup_whose_runtime_is_gone_is_an_error() {
    let (runtime, end) = with_busy_pool();
    let mut lookup = pin!(lookup_host("localhost:80"));
    assert!(runtime.block_on(poll_once(&mut lookup)).is_none());
    drop(runtime);
    let Err(error) = futures_lite::future::block_on(lookup) else {
        panic!("the lookup never ran");
    };
    assert_eq!(error.kind(), ErrorKind::Other);
    drop(end);
}

#[test]
fn names_are_looked_up_without_a_runtime() {
    let addresses = futures_lite::future::block_on(resolved("localhost:80"));
    assert!(!addresses.is_empty());
}

/// The thread's wake may come when its task is gone.
#[test]
fn a_lookup_may_outlive_its_runtime() {
    block_on(async {
        spawn(resolved("localhost:80"));
        coreloop::task::yield_now().await;
    });
}

#[test]
fn a_stream_connects_by_name() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // If the name also stands for ::1, that address refuses and the next is tried.
        let client = TcpStream::connect(("localhost", port)).await.unwrap();
        assert_eq!(client.peer_addr().unwrap().port(), port);
    });
}

#[test]
fn bad_strings_are_invalid_input() {
    block_on(async {
        for text in [
            "",
            "127.0.0.1",
            "localhost",
            "127.0.0.1:",
            "127.0.0.1:65536",
            "a:b",
        ] {
            let Err(error) = lookup_host(text).await else {
                panic!("{text:?} resolved");
            };
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text:?}");
        }
    });
}

#[test]
#[cfg_attr(miri, ignore = "asks a name server")]
fn an_unknown_name_is_an_error() {
    block_on(async {
        // RFC 6761 promises that this name never exists.
        assert!(lookup_host("name.invalid:80").await.is_err());
        assert!(TcpStream::connect("name.invalid:80").await.is_err());
        assert!(lookup_host("nul\0byte:80").await.is_err());
    });
}
