//! `UdpSocket`: datagrams to one and to many, lengths, refusals, readiness.
#![cfg(not(miri))] // Miri has no UDP.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;

use coreloop::io::Interest;
use coreloop::net::UdpSocket;
use coreloop::task::yield_now;
use coreloop::{Runtime, block_on, spawn};
use futures_lite::future::poll_once;

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

/// Returns two sockets that are connected to each other.
async fn pair() -> (UdpSocket, UdpSocket) {
    let (one, other) = (socket().await, socket().await);
    one.connect(other.local_addr().unwrap()).await.unwrap();
    other.connect(one.local_addr().unwrap()).await.unwrap();
    (one, other)
}

/// Returns an address at which there is no socket.
async fn unused_address() -> SocketAddr {
    socket().await.local_addr().unwrap()
}

#[test]
fn connected_sockets_talk() {
    block_on(async {
        let (one, other) = pair().await;
        assert_eq!(one.peer_addr().unwrap(), other.local_addr().unwrap());
        assert_eq!(one.send(b"hello").await.unwrap(), 5);
        assert_eq!(one.send(b"").await.unwrap(), 0);
        let mut buffer = [0; 64];
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 5);
        assert_eq!(&buffer[..5], b"hello");
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 0);
        assert!(poll_once(other.recv(&mut buffer)).await.is_none());
        poll_fn(|cx| one.poll_send(cx, b"polled")).await.unwrap();
        assert_eq!(
            poll_fn(|cx| other.poll_recv(cx, &mut buffer))
                .await
                .unwrap(),
            6
        );
    });
}

#[test]
fn one_socket_answers_many() {
    block_on(async {
        let server = socket().await;
        let address = server.local_addr().unwrap();
        let clients = [socket().await, socket().await, socket().await];
        for client in &clients {
            client.send_to(b"ping", address).await.unwrap();
        }
        let mut buffer = [0; 64];
        for _ in &clients {
            let (count, from) = server.recv_from(&mut buffer).await.unwrap();
            server.send_to(&buffer[..count], from).await.unwrap();
        }
        for client in &clients {
            let (count, from) = client.recv_from(&mut buffer).await.unwrap();
            assert_eq!((count, from), (4, address));
        }
        let error = socket().await.send(b"nowhere").await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(89), "{error}"); // EDESTADDRREQ
    });
}

/// The rest of a datagram longer than the buffer is gone, and the next is whole.
#[test]
fn a_datagram_longer_than_the_buffer_is_cut_off() {
    block_on(async {
        let (one, other) = pair().await;
        assert!(poll_once(other.recv(&mut [0; 4])).await.is_none());
        one.send(b"too long").await.unwrap();
        one.send(b"next").await.unwrap();
        let mut buffer = [0; 5];
        assert_eq!(other.peek(&mut buffer).await.unwrap(), 5);
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 5);
        assert_eq!(&buffer, b"too l");
        assert_eq!(other.recv_from(&mut buffer).await.unwrap().0, 4);
        assert!(poll_once(other.recv(&mut buffer)).await.is_none());
    });
}

/// A short datagram does not empty the socket: no event comes for those behind it.
#[test]
fn a_short_datagram_hides_no_later_one() {
    block_on(async {
        let (one, other) = pair().await;
        assert!(poll_once(other.recv(&mut [0; 64])).await.is_none());
        for number in 0..10_u8 {
            one.send(&[number]).await.unwrap();
        }
        let mut buffer = [0; 64];
        for number in 0..10_u8 {
            assert_eq!(other.recv(&mut buffer).await.unwrap(), 1);
            assert_eq!(buffer[0], number);
        }
    });
}

#[test]
fn a_datagram_that_is_too_long_is_not_sent() {
    block_on(async {
        let (one, other) = pair().await;
        let error = one.send(&[0; 70_000]).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(90), "{error}"); // EMSGSIZE
        one.send(b"short").await.unwrap();
        assert_eq!(other.recv(&mut [0; 8]).await.unwrap(), 5);
    });
}

/// The refusal wakes the receiving task, and is returned once.
#[test]
fn a_refusal_is_returned_and_the_socket_still_works() {
    block_on(async {
        let one = socket().await;
        let gone = unused_address().await;
        one.connect(gone).await.unwrap();
        let one = Rc::new(one);
        for _ in 0..3 {
            let receiver = spawn({
                let one = Rc::clone(&one);
                async move { one.recv(&mut [0; 8]).await }
            });
            yield_now().await;
            one.send(b"anybody?").await.unwrap();
            let error = receiver.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            assert!(poll_once(one.recv(&mut [0; 8])).await.is_none());
        }
        let other = UdpSocket::bind(gone).await.unwrap();
        other.connect(one.local_addr().unwrap()).await.unwrap();
        one.send(b"now").await.unwrap();
        assert_eq!(other.recv(&mut [0; 8]).await.unwrap(), 3);
        other.send(b"yes").await.unwrap();
        assert_eq!(one.recv(&mut [0; 8]).await.unwrap(), 3);
    });
}

#[test]
fn a_refusal_can_be_waited_for_and_taken() {
    block_on(async {
        let one = socket().await;
        one.connect(unused_address().await).await.unwrap();
        one.send(b"anybody?").await.unwrap();
        let ready = one.ready(Interest::ERROR).await.unwrap();
        assert!(ready.is_error(), "{ready:?}");
        let error = one.take_error().unwrap().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(one.take_error().unwrap().is_none());
        let error = one.try_recv(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

/// The system reports no refusals to a socket that is not connected.
#[test]
fn a_refusal_does_not_disturb_an_unconnected_socket() {
    block_on(async {
        let (server, client) = (socket().await, socket().await);
        server
            .send_to(b"lost", unused_address().await)
            .await
            .unwrap();
        client
            .send_to(b"found", server.local_addr().unwrap())
            .await
            .unwrap();
        assert_eq!(server.recv(&mut [0; 8]).await.unwrap(), 5);
    });
}

#[test]
fn peeks_take_nothing() {
    block_on(async {
        let (one, other) = pair().await;
        let from = one.local_addr().unwrap();
        assert!(poll_once(other.peek_sender()).await.is_none());
        one.send(b"seen").await.unwrap();
        let mut buffer = [0; 8];
        assert_eq!(other.peek_sender().await.unwrap(), from);
        assert_eq!(other.peek(&mut buffer).await.unwrap(), 4);
        assert_eq!(other.peek_from(&mut buffer).await.unwrap(), (4, from));
        assert_eq!(other.try_peek(&mut buffer).unwrap(), 4);
        assert_eq!(other.try_peek_from(&mut buffer).unwrap(), (4, from));
        assert_eq!(other.try_peek_sender().unwrap(), from);
        assert_eq!(
            poll_fn(|cx| other.poll_peek(cx, &mut buffer))
                .await
                .unwrap(),
            4
        );
        assert_eq!(
            poll_fn(|cx| other.poll_peek_sender(cx)).await.unwrap(),
            from
        );
        assert_eq!(other.try_recv_from(&mut buffer).unwrap(), (4, from));
        let error = other.try_peek_sender().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn each_of_several_receivers_gets_a_datagram() {
    block_on(async {
        let (one, other) = pair().await;
        let other = Rc::new(other);
        let receivers: Vec<_> = (0..5)
            .map(|_| {
                let other = Rc::clone(&other);
                spawn(async move { other.recv(&mut [0; 8]).await })
            })
            .collect();
        yield_now().await;
        // The receivers that are dropped take no datagram with them.
        receivers[0].abort();
        receivers[3].abort();
        for _ in 0..3 {
            one.send(b"for one").await.unwrap();
        }
        let mut count = 0;
        for receiver in receivers {
            count += usize::from(receiver.await.is_ok_and(|result| result.unwrap() == 7));
        }
        assert_eq!(count, 3);
    });
}

#[test]
fn readiness_agrees_with_try() {
    block_on(async {
        let (one, other) = pair().await;
        let mut buffer = [0; 8];
        let ready = other.ready(Interest::READABLE | Interest::WRITABLE).await;
        assert!(ready.is_ok_and(|ready| ready.is_writable() && !ready.is_readable()));
        let error = other.try_recv(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(poll_once(other.readable()).await.is_none());
        one.writable().await.unwrap();
        one.try_send(b"one").unwrap();
        one.try_send(b"two").unwrap();
        other.readable().await.unwrap();
        poll_fn(|cx| other.poll_recv_ready(cx)).await.unwrap();
        assert_eq!(other.try_recv(&mut buffer).unwrap(), 3);
        other.readable().await.unwrap();
        assert_eq!(other.try_recv(&mut buffer).unwrap(), 3);
        let error = other.try_recv(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(poll_once(other.readable()).await.is_none());
        let to = other.local_addr().unwrap();
        let third = socket().await;
        assert_eq!(third.try_send_to(b"x", to).unwrap(), 1);
    });
}

#[test]
fn an_address_in_use_is_refused_and_several_are_tried() {
    block_on(async {
        let one = socket().await;
        let taken = one.local_addr().unwrap();
        let error = UdpSocket::bind(taken).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let two = UdpSocket::bind(&[taken, free][..]).await.unwrap();
        assert_ne!(two.local_addr().unwrap(), taken);
        let none: &[SocketAddr] = &[];
        let error = UdpSocket::bind(none).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = two.send_to(b"x", none).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn sockets_convert_from_and_into_std_and_outlive_their_runtime() {
    let runtime = Runtime::new().unwrap();
    let (one, other) = runtime.block_on(async {
        let (one, other) = pair().await;
        let one = one.into_std().unwrap();
        let one = UdpSocket::from_std(one).unwrap();
        one.send(b"x").await.unwrap();
        assert_eq!(other.recv(&mut [0; 8]).await.unwrap(), 1);
        assert!(poll_once(one.recv(&mut [0; 8])).await.is_none());
        (one, other)
    });
    drop(runtime);
    block_on(async {
        other.send(b"later").await.unwrap();
        assert_eq!(one.recv(&mut [0; 8]).await.unwrap(), 5);
        assert!(one.recv(&mut [0; 8]).await.is_err());
        assert!(one.readable().await.is_err());
    });
    let error = UdpSocket::from_std(other.into_std().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
}
