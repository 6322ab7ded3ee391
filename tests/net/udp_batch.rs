//! Many datagrams at once.
#![cfg(not(miri))] // Miri has no UDP.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;

use coreloop::block_on;
use coreloop::net::UdpSocket;
use futures_lite::future::poll_once;

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

/// Returns `count` datagrams, each with its number.
fn numbered(count: u32, to: SocketAddr) -> Vec<([u8; 4], SocketAddr)> {
    (0..count)
        .map(|number| (number.to_be_bytes(), to))
        .collect()
}

#[test]
fn batches_arrive_as_they_were_sent() {
    block_on(async {
        let (one, other) = (socket().await, socket().await);
        let messages = numbered(100, other.local_addr().unwrap());
        let mut sent = 0;
        let mut got = 0;
        let mut buffers = vec![[0; 8]; 7];
        let mut received = Vec::new();
        assert!(
            poll_once(other.recv_many(&mut buffers, &mut received))
                .await
                .is_none()
        );
        while sent < messages.len() {
            sent += one.send_many(&messages[sent..]).await.unwrap();
            while got < sent {
                let count = other.recv_many(&mut buffers, &mut received).await.unwrap();
                assert!((1..=7).contains(&count) && count == received.len());
                for (buffer, (length, from)) in buffers.iter().zip(&received) {
                    assert_eq!((*length, *from), (4, one.local_addr().unwrap()));
                    assert_eq!(buffer[..4], messages[got].0);
                    got += 1;
                }
            }
        }
        let nothing = other.try_recv_many(&mut buffers, &mut received);
        assert_eq!(nothing.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(received.is_empty());
    });
}

#[test]
fn empty_batches_do_not_wait() {
    block_on(async {
        let one = socket().await;
        let none: &[(&[u8], SocketAddr)] = &[];
        assert_eq!(one.send_many(none).await.unwrap(), 0);
        assert_eq!(one.try_send_many(none).unwrap(), 0);
        let mut received = Vec::new();
        let no_buffers: &mut [[u8; 8]] = &mut [];
        assert_eq!(one.recv_many(no_buffers, &mut received).await.unwrap(), 0);
    });
}

#[test]
fn datagrams_of_a_batch_are_cut_off_one_by_one() {
    block_on(async {
        let (one, other) = (socket().await, socket().await);
        let to = other.local_addr().unwrap();
        let messages = [(&b"too long"[..], to), (b"", to), (b"ok", to)];
        assert_eq!(one.try_send_many(&messages).unwrap(), 3);
        let mut buffers = vec![[0; 3]; 8];
        let mut received = Vec::new();
        let count = poll_fn(|cx| other.poll_recv_many(cx, &mut buffers, &mut received)).await;
        assert_eq!(count.unwrap(), 3);
        let lengths: Vec<usize> = received.iter().map(|(length, _)| *length).collect();
        assert_eq!(lengths, [3, 0, 2]);
        assert_eq!(&buffers[0], b"too");
    });
}

/// An error of the first message is returned. At an error of a later message sending
/// stops, and the error is returned when that message is the first.
#[test]
fn a_batch_stops_at_an_error() {
    block_on(async {
        let (one, other) = (socket().await, socket().await);
        let to = other.local_addr().unwrap();
        let long = vec![0; 70_000];
        let messages = [(&b"fine"[..], to), (&long, to), (b"never", to)];
        let count = poll_fn(|cx| one.poll_send_many(cx, &messages))
            .await
            .unwrap();
        assert_eq!(count, 1);
        let error = one.send_many(&messages[1..]).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(90), "{error}"); // EMSGSIZE
        assert_eq!(other.recv(&mut [0; 8]).await.unwrap(), 4);
        assert!(poll_once(other.recv(&mut [0; 8])).await.is_none());
    });
}

/// A refusal that comes after a datagram is returned by the next call.
#[test]
fn a_late_refusal_is_kept() {
    block_on(async {
        let (one, other) = (socket().await, socket().await);
        one.connect(other.local_addr().unwrap()).await.unwrap();
        other
            .send_to(b"before", one.local_addr().unwrap())
            .await
            .unwrap();
        one.readable().await.unwrap();
        drop(other);
        one.send(b"anybody?").await.unwrap();
        let mut buffers = [[0; 8]; 4];
        let mut received = Vec::new();
        let (mut refused, mut datagrams) = (0, 0);
        while refused + datagrams < 2 {
            match one.recv_many(&mut buffers, &mut received).await {
                Ok(count) => datagrams += count,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                    refused += 1;
                }
            }
        }
        assert_eq!((refused, datagrams), (1, 1));
        assert!(
            poll_once(one.recv_many(&mut buffers, &mut received))
                .await
                .is_none()
        );
    });
}
