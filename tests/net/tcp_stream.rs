//! `TcpStream`: reading, writing, peeking, readiness, options. Runs under Miri.

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::Poll;

use coreloop::net::TcpStream;
use coreloop::{block_on, spawn};
use coreloop_test_support::pair::pair;
use futures_lite::future::{poll_fn, poll_once};
use futures_lite::{AsyncReadExt, AsyncWriteExt};

/// An idle connection consists mostly of this type, its buffer, and a source.
#[test]
fn a_stream_is_small() {
    assert!(size_of::<TcpStream>() <= 4 * size_of::<usize>());
}

#[test]
fn the_future_of_a_read_is_a_stream_and_a_buffer() {
    block_on(async {
        let (mut client, _server) = pair().await;
        let read = client.read(&mut [0; 8]).boxed_size();
        assert!(read <= 3 * size_of::<usize>(), "{read} bytes");
    });
}

trait BoxedSize: Sized {
    fn boxed_size(self) -> usize {
        size_of::<Self>()
    }
}

impl<F: Future> BoxedSize for F {}

#[test]
fn bytes_arrive_in_order() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        client.write_all(b"hello ").await.unwrap();
        assert_eq!(client.write(b"world").await.unwrap(), 5);
        let mut all = [0; 11];
        assert_eq!(server.read_exact(&mut all).await.unwrap(), 11);
        assert_eq!(&all, b"hello world");
    });
}

#[test]
fn a_read_waits_for_bytes() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        let reader = spawn(async move {
            let mut buffer = [0; 8];
            let count = server.read(&mut buffer).await.unwrap();
            buffer[..count].to_vec()
        });
        coreloop::task::yield_now().await;
        assert!(!reader.is_finished());
        client.write_all(b"late").await.unwrap();
        assert_eq!(reader.await.unwrap(), b"late");
    });
}

#[test]
fn a_dropped_read_loses_nothing() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        let mut buffer = [0; 8];
        for round in 0..10_u8 {
            assert!(poll_once(server.read(&mut buffer)).await.is_none());
            client.write_all(&[round; 3]).await.unwrap();
            // The wake was for the read that was dropped; the bytes are still there.
            server.readable().await.unwrap();
            assert_eq!(server.read_exact(&mut buffer[..3]).await.unwrap(), 3);
            assert_eq!(buffer[..3], [round; 3]);
        }
    });
}

#[test]
fn a_dropped_write_writes_nothing() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        let write = client.write(b"never polled");
        drop(write);
        client.write_all(b"x").await.unwrap();
        drop(client);
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"x");
    });
}

#[test]
fn the_end_of_the_stream_reads_as_zero() {
    block_on(async {
        let (client, mut server) = pair().await;
        drop(client);
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn the_end_wakes_a_reader() {
    block_on(async {
        let (client, mut server) = pair().await;
        let reader = spawn(async move { server.read(&mut [0; 8]).await });
        coreloop::task::yield_now().await;
        drop(client);
        assert_eq!(reader.await.unwrap().unwrap(), 0);
    });
}

/// The end may come with the last bytes, or right after them. A short read clears
/// readiness, so the end must still be noticed in both cases.
#[test]
fn the_end_after_a_short_read_is_seen() {
    block_on(async {
        for close_first in [true, false] {
            let (mut client, mut server) = pair().await;
            // Registers the server's end, so that only events report readiness from here on.
            assert!(poll_once(server.read(&mut [0; 8])).await.is_none());
            client.write_all(b"bye").await.unwrap();
            if close_first {
                client.shutdown().await.unwrap();
            }
            let mut buffer = [0; 64];
            assert_eq!(server.read(&mut buffer).await.unwrap(), 3);
            drop(client);
            assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
        }
    });
}

#[test]
fn read_exact_reports_an_early_end() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        client.write_all(b"abc").await.unwrap();
        drop(client);
        let error = server.read_exact(&mut [0; 4]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn read_exact_gathers_what_comes_in_pieces() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        let reader = spawn(async move {
            let mut buffer = [0; 6];
            server.read_exact(&mut buffer).await.map(|_| buffer)
        });
        for piece in [b"ab", b"cd", b"ef"] {
            client.write_all(piece).await.unwrap();
            coreloop::task::yield_now().await;
        }
        assert_eq!(&reader.await.unwrap().unwrap(), b"abcdef");
    });
}

#[test]
fn peek_leaves_the_bytes() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        client.write_all(b"peek").await.unwrap();
        let mut buffer = [0; 8];
        // A peek may be short again and again: it must not clear readiness.
        for _ in 0..3 {
            assert_eq!(server.peek(&mut buffer).await.unwrap(), 4);
        }
        let count = poll_fn(|cx| server.poll_peek(cx, &mut buffer))
            .await
            .unwrap();
        assert_eq!(&buffer[..count], b"peek");
        assert_eq!(server.read(&mut buffer).await.unwrap(), 4);
    });
}

#[test]
fn try_read_and_try_write_never_wait() {
    block_on(async {
        let (client, server) = pair().await;
        let mut buffer = [0; 8];
        let error = server.try_read(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        client.writable().await.unwrap();
        assert_eq!(client.try_write(b"now").unwrap(), 3);
        let count = loop {
            server.readable().await.unwrap();
            match server.try_read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => break result.unwrap(),
            }
        };
        assert_eq!(&buffer[..count], b"now");
    });
}

#[test]
fn several_tasks_may_wait_for_one_stream() {
    block_on(async {
        let (mut client, server) = pair().await;
        let server = std::rc::Rc::new(server);
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let server = server.clone();
                spawn(async move { server.peek(&mut [0; 4]).await })
            })
            .collect();
        coreloop::task::yield_now().await;
        client.write_all(b"all!").await.unwrap();
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap().unwrap(), 4);
        }
    });
}

/// A short list of buffers is joined before it is sent, a longer one is not.
#[test]
#[cfg_attr(miri, ignore = "compares thousands of bytes, in safe code")]
fn a_vectored_write_sends_all_buffers_whatever_their_length() {
    block_on(async {
        let (client, mut server) = pair().await;
        for length in [0, 1, 511, 512, 513, 1023, 1024, 1025, 4096] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let (head, tail) = bytes.split_at(length / 3);
            let buffers = [head, &[], tail].map(IoSlice::new);
            assert_eq!(client.try_write_vectored(&buffers).unwrap(), length);
            let mut arrived = vec![0; length];
            server.read_exact(&mut arrived).await.unwrap();
            assert_eq!(arrived, bytes);
        }
    });
}

#[test]
fn vectored_transfers_fill_buffers_in_turn() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        let sent = poll_fn(|cx| {
            futures_lite::AsyncWrite::poll_write_vectored(
                Pin::new(&mut client),
                cx,
                &[
                    IoSlice::new(b"ab"),
                    IoSlice::new(b""),
                    IoSlice::new(b"cdef"),
                ],
            )
        });
        assert_eq!(sent.await.unwrap(), 6);
        let (mut first, mut second) = ([0; 3], [0; 8]);
        let read = poll_fn(|cx| {
            futures_lite::AsyncRead::poll_read_vectored(
                Pin::new(&mut server),
                cx,
                &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)],
            )
        });
        assert_eq!(read.await.unwrap(), 6);
        assert_eq!((&first, &second[..3]), (b"abc", b"def".as_slice()));

        let sent = client.try_write_vectored(&[IoSlice::new(b"g"), IoSlice::new(b"h")]);
        assert_eq!(sent.unwrap(), 2);
        server.readable().await.unwrap();
        let mut buffer = [0; 4];
        let mut buffers = [IoSliceMut::new(&mut buffer)];
        let count = loop {
            match server.try_read_vectored(&mut buffers) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    server.readable().await.unwrap();
                }
                result => break result.unwrap(),
            }
        };
        assert_eq!(&buffer[..count], b"gh");
    });
}

#[test]
fn futures_io_traits_work_on_owned_and_shared_streams() {
    async fn copy(from: impl futures_lite::AsyncRead, to: impl futures_lite::AsyncWrite) -> u64 {
        let (from, to) = (std::pin::pin!(from), std::pin::pin!(to));
        futures_lite::io::copy(from, to).await.unwrap()
    }

    block_on(async {
        let (mut client, server) = pair().await;
        let echo = spawn(async move { copy(&server, &server).await });
        AsyncWriteExt::write_all(&mut client, b"around")
            .await
            .unwrap();
        AsyncWriteExt::flush(&mut client).await.unwrap();
        AsyncWriteExt::close(&mut client).await.unwrap();
        let mut all = String::new();
        client.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "around");
        assert_eq!(echo.await.unwrap(), 6);
    });
}

#[test]
fn poll_ready_agrees_with_try() {
    block_on(async {
        let (mut client, server) = pair().await;
        poll_fn(|cx| client.poll_write_ready(cx)).await.unwrap();
        client.write_all(b"x").await.unwrap();
        let mut byte = [0; 1];
        poll_fn(|cx| {
            loop {
                std::task::ready!(server.poll_read_ready(cx)).unwrap();
                match server.try_read(&mut byte) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            }
        })
        .await
        .unwrap();
        assert_eq!(&byte, b"x");
    });
}

#[test]
fn streams_convert_from_and_into_std() {
    block_on(async {
        let (client, mut server) = pair().await;
        let client = client.into_std().unwrap();
        client.set_nonblocking(false).unwrap();
        // The stream is blocking again, which `from_std` must undo.
        let mut client = TcpStream::from_std(client).unwrap();
        assert!(poll_once(client.read(&mut [0; 1])).await.is_none());
        client.write_all(b"back").await.unwrap();
        assert_eq!(server.read_exact(&mut [0; 4]).await.unwrap(), 4);
        let client = TcpStream::try_from(client.into_std().unwrap()).unwrap();
        drop(client);
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 0);
    });
}

#[test]
fn addresses_and_options_are_returned() {
    block_on(async {
        let (client, server) = pair().await;
        assert_eq!(client.local_addr().unwrap(), server.peer_addr().unwrap());
        assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());
        client.set_ttl(33).unwrap();
        assert_eq!(client.ttl().unwrap(), 33);
        assert!(client.take_error().unwrap().is_none());
        assert!(format!("{client:?}").contains("127.0.0.1"));
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no SO_LINGER")]
fn linger_is_set_and_read() {
    block_on(async {
        let (client, _server) = pair().await;
        assert_eq!(client.linger().unwrap(), None);
        let second = std::time::Duration::from_secs(1);
        client.set_linger(Some(second)).unwrap();
        assert_eq!(client.linger().unwrap(), Some(second));
        client.set_linger(None).unwrap();
    });
}
