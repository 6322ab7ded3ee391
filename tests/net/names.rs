//! Addresses as users write them, through the facade. Each form has its test in
//! `tests/net/to_socket_addrs.rs`.
#![cfg(not(miri))] // These tests are about the system's answers.

use std::net::Ipv4Addr;

use coreloop::net::{TcpListener, TcpStream, lookup_host};
use coreloop::{block_on, spawn};

#[test]
fn a_client_connects_by_the_name_of_the_server() {
    block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        let client = spawn(async move { TcpStream::connect(&address).await.unwrap() });
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.await.unwrap().local_addr().unwrap());
    });
}

/// The answer comes from another thread while the loop sleeps in the kernel.
#[test]
fn a_lookup_wakes_a_sleeping_loop() {
    for _ in 0..50 {
        block_on(async {
            let mut addresses = lookup_host(("localhost", 1)).await.unwrap();
            assert!(addresses.next().unwrap().ip().is_loopback());
        });
    }
}
