//! A peer that resets the connection, at every stage of it. Each test ends by the
//! reset, so that a lost wake makes the test hang.
#![cfg(not(miri))]

use std::io::ErrorKind::{self, BrokenPipe, ConnectionReset};

use coreloop::net::{TcpListener, TcpStream};
use coreloop::{block_on, spawn, task::yield_now};
use coreloop_test_support::pair::pair;
use futures_lite::StreamExt;
use futures_lite::future::{poll_once, zip};

/// Resets the connection.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().expect("linger");
    drop(stream);
}

/// A write to a connection that was reset returns one of two errors.
fn is_reset(kind: ErrorKind) -> bool {
    matches!(kind, BrokenPipe | ConnectionReset)
}

/// Clients that are gone before they are accepted cost the others nothing,
/// whichever way the server accepts.
#[test]
fn clients_that_reset_before_accept_do_no_harm() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limited = TcpListener::bind("127.0.0.1:0").await.unwrap().limit(2);
        let limited_address = limited.get_ref().local_addr().unwrap();
        for way in 0..4 {
            let to = if way < 3 { address } else { limited_address };
            for _ in 0..5 {
                reset(TcpStream::connect(to).await.unwrap());
            }
            let client = TcpStream::connect(to).await.unwrap();
            let from = client.local_addr().unwrap();
            // Linux hands over dead connections too; other systems skip them.
            let mut accepted = Vec::new();
            while accepted.last() != Some(&from) {
                match way {
                    0 => accepted.push(listener.accept().await.unwrap().1),
                    1 => {
                        let mut batch = Vec::new();
                        listener.accept_many(&mut batch, 8).await.unwrap();
                        accepted.extend(batch.iter().map(|&(_, peer)| peer));
                    }
                    2 => {
                        let stream = listener.incoming().next().await.unwrap().unwrap();
                        accepted.extend(stream.peer_addr().ok());
                    }
                    _ => accepted.push(limited.accept().await.unwrap().1),
                }
            }
        }
        assert_eq!(limited.connection_limit().active(), 0);
    });
}

/// The queue of the listener still holds a connection.
#[test]
fn closing_a_listener_resets_connections_that_were_not_accepted() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (read, ()) = zip(client.read(&mut [0; 1]), async { drop(listener) }).await;
        assert_eq!(read.unwrap_err().kind(), ConnectionReset);
    });
}

#[test]
fn a_reset_right_after_accept_is_returned_once() {
    block_on(async {
        let (client, mut server) = pair().await;
        reset(client);
        server.readable().await.unwrap();
        let error = server.peek(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ConnectionReset);
        // The error is returned once. After it the stream is at its end.
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
        let error = server.write(b"late").await.unwrap_err();
        assert_eq!(error.kind(), BrokenPipe);
        assert!(server.peer_addr().is_err());
        server.shutdown().await.unwrap();
    });
}

#[test]
fn a_reset_ends_a_read() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        let reader = spawn(async move {
            let mut buffer = [0; 64];
            let error = server.read_exact(&mut buffer).await.unwrap_err();
            (error.kind(), buffer[0])
        });
        client.write_all(&[7; 16]).await.unwrap();
        yield_now().await;
        assert!(!reader.is_finished());
        reset(client);
        assert_eq!(reader.await.unwrap().0, ConnectionReset);
    });
}

/// The peer closes without a linger option, but has not read all bytes.
#[test]
fn a_peer_that_closes_without_reading_resets_the_connection() {
    block_on(async {
        let (mut client, server) = pair().await;
        client.write_all(b"a request").await.unwrap();
        server.readable().await.unwrap();
        drop(server);
        let error = client.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ConnectionReset);
    });
}

#[test]
fn a_reset_ends_a_write() {
    block_on(async {
        let (mut client, server) = pair().await;
        let writer = spawn(async move {
            let error = client.write_all(&vec![1; 64 << 20]).await.unwrap_err();
            let next = client.write(b"after").await.unwrap_err();
            (error.kind(), next.kind())
        });
        server.readable().await.unwrap();
        assert!(!writer.is_finished());
        reset(server);
        let (error, next) = writer.await.unwrap();
        assert!(is_reset(error), "{error}");
        assert_eq!(next, BrokenPipe);
    });
}

/// The reset ends both directions, whichever tasks use them.
#[test]
fn a_reset_wakes_a_reader_and_a_writer() {
    block_on(async {
        let (client, server) = pair().await;
        let (mut read_half, mut write_half) = client.into_split();
        let reader = spawn(async move { read_half.read(&mut [0; 8]).await.unwrap_err().kind() });
        let writer = spawn(async move {
            let bytes = vec![1; 64 << 20];
            write_half.write_all(&bytes).await.unwrap_err().kind()
        });
        server.readable().await.unwrap();
        yield_now().await;
        assert!(!reader.is_finished() && !writer.is_finished());
        reset(server);
        // The kernel returns its error to one task; the other finds a broken stream.
        let kinds = [reader.await, writer.await].map(Result::unwrap);
        assert!(kinds.into_iter().all(is_reset), "{kinds:?}");
    });
}

#[test]
fn a_reset_wakes_all_waiting_tasks() {
    block_on(async {
        let (client, server) = pair().await;
        let client = std::rc::Rc::new(client);
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let client = std::rc::Rc::clone(&client);
                spawn(async move { client.readable().await })
            })
            .collect();
        yield_now().await;
        reset(server);
        for waiter in waiting {
            waiter.await.unwrap().unwrap();
        }
        let error = client.try_read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), ConnectionReset);
    });
}

/// The client has sent its whole request, and waits for the answer.
#[test]
fn a_reset_wakes_a_client_that_waits_for_the_answer() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        client.write_all(b"a request").await.unwrap();
        client.shutdown().await.unwrap();
        let reader = spawn(async move {
            let error = client.read(&mut [0; 8]).await.unwrap_err();
            client.shutdown().await.unwrap();
            error.kind()
        });
        assert_eq!(server.read(&mut [0; 64]).await.unwrap(), 9);
        assert_eq!(server.read(&mut [0; 64]).await.unwrap(), 0);
        assert!(!reader.is_finished());
        reset(server);
        assert_eq!(reader.await.unwrap(), ConnectionReset);
    });
}

/// The server is in the middle of its answer to a client that has shut down its writes.
#[test]
fn a_reset_by_a_half_closed_client_ends_the_answer() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        client.shutdown().await.unwrap();
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
        let writer = spawn(async move {
            let bytes = vec![1; 64 << 20];
            server.write_all(&bytes).await.unwrap_err().kind()
        });
        client.readable().await.unwrap();
        reset(client);
        assert!(is_reset(writer.await.unwrap()));
    });
}

/// An end that has closed is not disturbed by the reset of the other.
#[test]
fn both_ends_may_reset_at_once() {
    block_on(async {
        for _ in 0..100 {
            let (client, server) = pair().await;
            let mut other = TcpStream::from_std(server.into_std().unwrap()).unwrap();
            reset(client);
            assert!(
                poll_once(other.read(&mut [0; 1]))
                    .await
                    .is_none_or(|read| read.is_err())
            );
            reset(other);
        }
    });
}
