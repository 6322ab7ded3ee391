//! `UnixDatagram::send_to` with a receiver whose queue other sockets have filled: the system
//! does not report room in it to a sender that is not connected.
#![cfg(not(miri))] // Miri has socket pairs of streams only.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use coreloop::net::UnixDatagram;
use coreloop::time::timeout;
use coreloop::{Runtime, block_on};
use coreloop_test_support::folder::Folder;

/// Each failed attempt used to cause an event, and the event the next attempt, so that the
/// loop never slept while the receiver was full.
#[test]
fn a_full_receiver_does_not_keep_the_loop_busy() {
    let folder = Folder::new();
    block_on(async {
        let receiver = UnixDatagram::bind(folder.path("receiver")).unwrap();
        let filled = fill(&folder);

        let sender = UnixDatagram::unbound().unwrap();
        let mut send = pin!(sender.send_to(b"late", folder.path("receiver")));
        let mut polls = 0;
        let counted = poll_fn(|cx| {
            polls += 1;
            send.as_mut().poll(cx)
        });
        assert!(timeout(Duration::from_millis(50), counted).await.is_err());
        assert!(polls < 30, "polled {polls} times");

        empty(&receiver, filled).await;
        assert_eq!(send.await.unwrap(), 4);
        assert_eq!(receiver.recv(&mut [0; 8]).await.unwrap(), 4);
    });
}

#[test]
fn polling_a_full_receiver_does_not_keep_the_loop_busy() {
    let folder = Folder::new();
    block_on(async {
        let receiver = UnixDatagram::bind(folder.path("receiver")).unwrap();
        let filled = fill(&folder);

        let sender = UnixDatagram::unbound().unwrap();
        let path = folder.path("receiver");
        let mut polls = 0;
        let counted = poll_fn(|cx| {
            polls += 1;
            sender.poll_send_to(cx, b"late", &path)
        });
        assert!(timeout(Duration::from_millis(50), counted).await.is_err());
        assert!(polls < 30, "polled {polls} times");

        empty(&receiver, filled).await;
        let sent = poll_fn(|cx| sender.poll_send_to(cx, b"late", &path)).await;
        assert_eq!(sent.unwrap(), 4);
        assert_eq!(receiver.recv(&mut [0; 8]).await.unwrap(), 4);
    });
}

/// Without a loop, nothing would end the pause between two attempts.
#[test]
fn a_full_receiver_is_an_error_when_the_runtime_is_gone() {
    let folder = Folder::new();
    let path = folder.path("receiver");
    let runtime = Runtime::new().unwrap();
    let [sender, other] =
        runtime.block_on(async { [(); 2].map(|()| UnixDatagram::unbound().unwrap()) });
    drop(runtime);
    block_on(async {
        let _receiver = UnixDatagram::bind(&path).unwrap();
        fill(&folder);
        sender.send_to(b"late", &path).await.unwrap_err();
        let polled = poll_fn(|cx| other.poll_send_to(cx, b"late", &path)).await;
        polled.unwrap_err();
    });
}

/// The system reports room in the queue to a connected sender.
#[test]
fn a_connected_sender_is_woken_when_others_made_the_queue_full() {
    let folder = Folder::new();
    block_on(async {
        let receiver = UnixDatagram::bind(folder.path("receiver")).unwrap();
        let filled = fill(&folder);

        let sender = UnixDatagram::unbound().unwrap();
        sender.connect(folder.path("receiver")).unwrap();
        let late = coreloop::spawn(async move { sender.send(b"late").await });
        empty(&receiver, filled).await;
        assert_eq!(late.await.unwrap().unwrap(), 4);
    });
}

/// Fills the receiver's queue, and returns the number of datagrams. The buffer of one socket is
/// smaller than a long queue, to which systemd sets `net.unix.max_dgram_qlen`.
fn fill(folder: &Folder) -> usize {
    let mut sent = 0;
    loop {
        let other = UnixDatagram::unbound().expect("a socket");
        let send = || other.try_send_to(b"early", folder.path("receiver"));
        match std::iter::from_fn(|| send().ok()).count() {
            0 => return sent,
            count => sent += count,
        }
    }
}

async fn empty(receiver: &UnixDatagram, filled: usize) {
    assert!(filled > 0);
    for _ in 0..filled {
        assert_eq!(receiver.recv(&mut [0; 8]).await.expect("a datagram"), 5);
    }
}
