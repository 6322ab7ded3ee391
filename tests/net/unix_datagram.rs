//! `UnixDatagram`: pairs, paths, lengths, waiting for room.
#![cfg(not(miri))] // Miri has socket pairs of streams only.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::rc::Rc;

use coreloop::io::Interest;
use coreloop::net::UnixDatagram;
use coreloop::net::unix::SocketAddr;
use coreloop::task::yield_now;
use coreloop::{Runtime, block_on, spawn};
use coreloop_test_support::folder::Folder;
use futures_lite::future::poll_once;

#[test]
fn messages_arrive_whole_and_in_order() {
    block_on(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        for message in ["first", "", "third"] {
            assert_eq!(one.send(message.as_bytes()).await.unwrap(), message.len());
        }
        let mut buffer = [0; 64];
        for message in ["first", "", "third"] {
            let count = other.recv(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..count], message.as_bytes());
        }
        assert!(poll_once(other.recv(&mut buffer)).await.is_none());
    });
}

#[test]
fn a_message_longer_than_the_buffer_is_cut_off() {
    block_on(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        // A short datagram does not mean that no other follows.
        assert!(poll_once(other.recv(&mut [0; 4])).await.is_none());
        one.send(b"too long").await.unwrap();
        one.send(b"next").await.unwrap();
        let mut buffer = [0; 5];
        assert_eq!(other.peek(&mut buffer).await.unwrap(), 5);
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 5);
        assert_eq!(&buffer, b"too l");
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
    });
}

#[test]
fn a_socket_can_answer_the_sender_of_a_message() {
    let folder = Folder::new();
    block_on(async {
        let server = UnixDatagram::bind(folder.path("server")).unwrap();
        let client = UnixDatagram::bind(folder.path("client")).unwrap();
        client
            .send_to(b"ping", folder.path("server"))
            .await
            .unwrap();
        let mut buffer = [0; 8];
        let (count, from) = server.recv_from(&mut buffer).await.unwrap();
        assert_eq!(
            (count, from.as_pathname()),
            (4, Some(folder.path("client").as_path()))
        );
        server.send_to_addr(b"pong", &from).await.unwrap();
        let (count, from) = poll_fn(|cx| client.poll_recv_from(cx, &mut buffer))
            .await
            .unwrap();
        assert_eq!(
            (count, from.as_pathname()),
            (4, Some(folder.path("server").as_path()))
        );
        // A socket that is not bound has no name.
        let stranger = UnixDatagram::unbound().unwrap();
        stranger.connect(folder.path("server")).unwrap();
        stranger.send(b"who").await.unwrap();
        let (_, from) = server.recv_from(&mut buffer).await.unwrap();
        assert!(from.is_unnamed());
        let peer = stranger.peer_addr().unwrap();
        assert_eq!(peer.as_pathname(), Some(folder.path("server").as_path()));
        let error = stranger
            .try_send_to(b"x", folder.path("missing"))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = UnixDatagram::bind(folder.path("server")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn sockets_have_abstract_names() {
    block_on(async {
        let name = format!("coreloop datagram {}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let server = UnixDatagram::bind_addr(&address).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        client.connect_addr(&address).unwrap();
        client.send(b"here").await.unwrap();
        assert_eq!(server.recv(&mut [0; 8]).await.unwrap(), 4);
    });
}

#[test]
fn a_sender_waits_for_room() {
    block_on(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let mut sent = 0_u32;
        while one.try_send(&sent.to_be_bytes()).is_ok() {
            sent += 1;
        }
        assert!(sent > 0);
        let late = spawn(async move {
            one.send(&sent.to_be_bytes()).await.unwrap();
            let ready = one.ready(Interest::WRITABLE | Interest::READABLE).await;
            assert!(ready.unwrap().is_writable());
        });
        yield_now().await;
        assert!(!late.is_finished());
        let mut buffer = [0; 8];
        for number in 0..=sent {
            assert_eq!(other.recv(&mut buffer).await.unwrap(), 4);
            assert_eq!(buffer[..4], number.to_be_bytes());
        }
        late.await.unwrap();
    });
}

#[test]
fn each_of_several_receivers_gets_a_message() {
    block_on(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let other = Rc::new(other);
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let other = Rc::clone(&other);
                spawn(async move { other.recv(&mut [0; 8]).await })
            })
            .collect();
        yield_now().await;
        receivers[0].abort();
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
fn sends_fail_after_a_shutdown_and_to_a_closed_peer() {
    block_on(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        let error = one.send(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert!(other.take_error().unwrap().is_none());
        drop(one);
        let error = other.send(b"x").await.unwrap_err();
        assert!(
            matches!(
                error.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::BrokenPipe
            ),
            "{error}"
        );
    });
}

#[test]
fn sockets_convert_from_and_into_std_and_outlive_their_runtime() {
    let (one, other) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let runtime = Runtime::new().unwrap();
    let (one, back) = runtime.block_on(async {
        let one = UnixDatagram::from_std(one).unwrap();
        let other = UnixDatagram::from_std(other).unwrap();
        one.send(b"x").await.unwrap();
        assert_eq!(other.recv(&mut [0; 8]).await.unwrap(), 1);
        assert!(poll_once(one.recv(&mut [0; 8])).await.is_none());
        (one, other.into_std().unwrap())
    });
    drop(runtime);
    back.send(b"later").unwrap();
    block_on(async {
        // A datagram that is there can be received, though the loop had found the socket
        // empty.
        assert!(one.recv(&mut [0; 8]).await.is_ok_and(|count| count == 5));
        assert!(one.recv(&mut [0; 8]).await.is_err());
    });
}
