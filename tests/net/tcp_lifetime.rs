//! Sockets that outlive their runtime, or never had one. Runs under Miri.

use std::io::ErrorKind;

use coreloop::Runtime;
use coreloop::net::{TcpListener, TcpStream};
use coreloop_test_support::pair::pair;
use futures_lite::future::poll_once;

#[test]
fn sockets_may_be_dropped_after_their_runtime() {
    let runtime = Runtime::new().unwrap();
    let sockets = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(poll_once(listener.accept()).await.is_none());
        let (mut client, server) = pair().await;
        // One socket is registered with the kernel, the other is not.
        assert!(poll_once(client.read(&mut [0; 1])).await.is_none());
        (listener, client, server.into_split())
    });
    drop(runtime);
    drop(sockets);
}

#[test]
fn operations_that_would_wait_fail_after_the_runtime() {
    let runtime = Runtime::new().unwrap();
    let (listener, mut client, mut server) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mut client, server) = pair().await;
        assert!(poll_once(client.read(&mut [0; 1])).await.is_none());
        (listener, client, server)
    });
    drop(runtime);
    // Another runtime does not take them over.
    coreloop::block_on(async {
        let error = client.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
        assert!(server.read(&mut [0; 1]).await.is_err());
        assert!(server.readable().await.is_err());
        assert!(listener.accept().await.is_err());
    });
}

#[test]
fn operations_that_need_not_wait_work_after_the_runtime() {
    let runtime = Runtime::new().unwrap();
    let (mut client, mut server) = runtime.block_on(pair());
    drop(runtime);
    coreloop::block_on(async {
        client.write_all(b"will").await.unwrap();
        drop(client);
        assert_eq!(server.try_read(&mut [0; 4]).unwrap(), 4);
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 0);
        let server = server.into_std().unwrap();
        assert!(server.local_addr().is_ok());
    });
}

#[test]
fn a_task_with_a_socket_is_dropped_with_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let mut peer = runtime.block_on(async {
        let (client, mut server) = pair().await;
        coreloop::spawn(async move {
            server.read(&mut [0; 8]).await.unwrap();
        });
        coreloop::task::yield_now().await;
        client
    });
    drop(runtime);
    coreloop::block_on(async {
        // The task's socket was closed with it, and this read need not wait for the end.
        assert_eq!(peer.read(&mut [0; 1]).await.unwrap(), 0);
    });
}

#[test]
fn a_socket_needs_a_runtime() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stream = std::net::TcpStream::connect(address).unwrap();
    assert!(TcpListener::from_std(listener).is_err());
    assert!(TcpStream::from_std(stream).is_err());
    let outside = futures_lite::future::block_on(TcpListener::bind("127.0.0.1:0"));
    assert!(outside.is_err());
}

#[test]
fn an_entered_runtime_is_enough() {
    let runtime = Runtime::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener).unwrap()
    };
    runtime.block_on(async {
        let address = listener.local_addr().unwrap();
        let _client = TcpStream::connect(address).await.unwrap();
        listener.accept().await.unwrap();
    });
}
