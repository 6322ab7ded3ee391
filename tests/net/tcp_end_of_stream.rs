//! The end of a TCP stream: read with the last bytes, before and after the loop has
//! received its event, and again. The read after a short one waits for an event, so it
//! must not wait for an event that has already come.

use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::{Shutdown, TcpStream as StdStream};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use coreloop::block_on;
use coreloop::net::TcpStream;
use coreloop::task::yield_now;
use coreloop_test_support::pair::pair;
use futures_lite::AsyncRead;
use futures_lite::future::poll_once;

/// When the reader's end is registered with the kernel.
#[derive(Debug, Clone, Copy)]
enum Registered {
    Before,
    Never,
    /// Only by a wait for room to write.
    ForWrites,
}

const REGISTERED: [Registered; 3] = [Registered::Before, Registered::Never, Registered::ForWrites];

/// Returns a connection whose first end blocks, so that its operations complete at once.
async fn ends(registered: Registered) -> (StdStream, TcpStream) {
    let (client, mut server) = pair().await;
    let client = client.into_std().expect("a socket");
    client.set_nonblocking(false).expect("a blocking socket");
    match registered {
        Registered::Before => assert!(poll_once(server.read(&mut [0; 8])).await.is_none()),
        Registered::Never => {}
        Registered::ForWrites => server.writable().await.expect("room"),
    }
    (client, server)
}

/// Writes the last bytes of the client, and closes both directions or only the writing one.
fn finish(mut client: StdStream, bytes: &[u8], half: bool) -> Option<StdStream> {
    io::Write::write_all(&mut client, bytes).expect("room");
    if half {
        client.shutdown(Shutdown::Write).expect("half a close");
        return Some(client);
    }
    drop(client);
    None
}

/// Waits until the loop has polled the kernel at least once.
async fn kernel_poll() {
    for _ in 0..3 {
        coreloop::time::sleep(std::time::Duration::ZERO).await;
        yield_now().await;
    }
}

/// Checks that each further read, peek and wait finds the end.
async fn is_at_its_end(server: &mut TcpStream) {
    let mut buffer = [0; 64];
    for _ in 0..3 {
        assert_eq!(server.read(&mut buffer).await.expect("a read"), 0);
        assert_eq!(server.peek(&mut buffer).await.expect("a peek"), 0);
        server.readable().await.expect("readiness");
    }
}

#[test]
#[cfg_attr(
    miri,
    ignore = "Miri's epoll does not report an end that came before the socket was added"
)]
fn bytes_and_the_end_come_at_once() {
    block_on(async {
        for registered in REGISTERED {
            for half in [true, false] {
                for polled in [true, false] {
                    let (client, mut server) = ends(registered).await;
                    let _client = finish(client, b"bye", half);
                    if polled {
                        kernel_poll().await;
                    }
                    let mut buffer = [0; 64];
                    assert_eq!(server.read(&mut buffer).await.unwrap(), 3);
                    is_at_its_end(&mut server).await;
                }
            }
        }
    });
}

/// The buffer has room for one byte, for two, and so on up to more than there are.
#[test]
#[cfg_attr(
    miri,
    ignore = "Miri's epoll does not report an end that came before the socket was added"
)]
fn the_end_comes_after_reads_of_any_length() {
    block_on(async {
        for registered in REGISTERED {
            for length in 1..8 {
                let (client, mut server) = ends(registered).await;
                let _client = finish(client, b"abcdef", true);
                let mut all = Vec::new();
                loop {
                    let mut buffer = [0; 8];
                    match server.read(&mut buffer[..length]).await.unwrap() {
                        0 => break,
                        count => all.extend_from_slice(&buffer[..count]),
                    }
                }
                assert_eq!(all, b"abcdef");
                is_at_its_end(&mut server).await;
            }
        }
    });
}

/// The event reports only the bytes; the end comes between the event and the read.
#[test]
fn the_end_comes_between_the_event_and_the_read() {
    block_on(async {
        for length in [3, 64] {
            for half in [true, false] {
                let (mut client, mut server) = ends(Registered::Before).await;
                io::Write::write_all(&mut client, b"bye").unwrap();
                server.readable().await.unwrap();
                let _client = finish(client, b"", half);
                let mut buffer = [0; 64];
                assert_eq!(server.read(&mut buffer[..length]).await.unwrap(), 3);
                // This poll finds the end, or waits for the event.
                let mut context = Context::from_waker(Waker::noop());
                let end = Pin::new(&mut &server).poll_read(&mut context, &mut buffer);
                assert!(!matches!(end, Poll::Ready(Ok(1..) | Err(_))));
                is_at_its_end(&mut server).await;
            }
        }
    });
}

/// The end comes only after a short read has emptied the socket.
#[test]
fn the_end_comes_after_a_short_read() {
    block_on(async {
        for registered in REGISTERED {
            let (mut client, mut server) = ends(registered).await;
            io::Write::write_all(&mut client, b"bye").unwrap();
            let mut buffer = [0; 64];
            assert_eq!(server.read(&mut buffer).await.unwrap(), 3);
            assert!(poll_once(server.read(&mut buffer)).await.is_none());
            let _client = finish(client, b"", true);
            is_at_its_end(&mut server).await;
        }
    });
}

#[test]
fn peeks_and_tries_see_the_end_again_and_again() {
    block_on(async {
        for registered in REGISTERED {
            let (client, mut server) = ends(registered).await;
            let _client = finish(client, b"bye", true);
            let mut buffer = [0; 64];
            assert_eq!(server.peek(&mut buffer).await.unwrap(), 3);
            assert_eq!(server.peek(&mut buffer[..0]).await.unwrap(), 0);
            let mut counts = Vec::new();
            while counts.len() < 3 {
                server.readable().await.unwrap();
                match server.try_read(&mut buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => counts.push(result.unwrap()),
                }
            }
            assert_eq!(counts, [3, 0, 0]);
            is_at_its_end(&mut server).await;
        }
    });
}

#[test]
#[cfg_attr(
    miri,
    ignore = "Miri's epoll does not report an end that came before the socket was added"
)]
fn vectored_reads_see_the_end_again() {
    block_on(async {
        for registered in REGISTERED {
            let (client, mut server) = ends(registered).await;
            let _client = finish(client, b"bye", true);
            for expected in [3, 0, 0] {
                let (mut first, mut second) = ([0; 2], [0; 8]);
                let count = poll_fn(|context| {
                    let mut buffers = [
                        IoSliceMut::new(&mut first),
                        IoSliceMut::new(&mut []),
                        IoSliceMut::new(&mut second),
                    ];
                    Pin::new(&mut server).poll_read_vectored(context, &mut buffers)
                });
                assert_eq!(count.await.unwrap(), expected);
            }
            is_at_its_end(&mut server).await;
        }
    });
}

/// A half-closed connection still works in the other direction.
#[test]
#[cfg_attr(
    miri,
    ignore = "Miri's epoll does not report an end that came before the socket was added"
)]
fn writes_work_after_the_end_of_reads() {
    block_on(async {
        let (client, mut server) = ends(Registered::Before).await;
        let mut client = finish(client, b"bye", true).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(server.read(&mut buffer).await.unwrap(), 3);
        assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
        server.write_all(b"and you").await.unwrap();
        server.shutdown().await.unwrap();
        let mut all = Vec::new();
        io::Read::read_to_end(&mut client, &mut all).unwrap();
        assert_eq!(all, b"and you");
        is_at_its_end(&mut server).await;
    });
}

/// A read into an empty buffer reads nothing, and proves nothing.
#[test]
fn a_read_into_an_empty_buffer_is_not_short() {
    block_on(async {
        let (client, mut server) = ends(Registered::Before).await;
        let _client = finish(client, b"ab", true);
        let mut buffer = [0; 64];
        assert_eq!(server.read(&mut buffer[..1]).await.unwrap(), 1);
        for _ in 0..3 {
            assert_eq!(server.read(&mut []).await.unwrap(), 0);
        }
        assert_eq!(server.read(&mut buffer).await.unwrap(), 1);
        is_at_its_end(&mut server).await;
    });
}
