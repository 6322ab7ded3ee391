//! `UnixStream`, mostly in pairs: reading, writing, ending, readiness, traits.
//! Runs under Miri, for the most part.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::unix::net::UnixStream as StdStream;
use std::pin::pin;

use coreloop::io::Interest;
use coreloop::net::UnixStream;
use coreloop::task::yield_now;
use coreloop::{Runtime, block_on, spawn};
use futures_lite::future::poll_once;
use futures_lite::{AsyncReadExt, AsyncWriteExt};

#[test]
fn bytes_go_both_ways() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.write_all(b"hello ").await.unwrap();
        assert_eq!(one.write(b"world").await.unwrap(), 5);
        let mut all = [0; 11];
        other.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"hello world");
        other.write_all(b"bye").await.unwrap();
        assert_eq!(one.read(&mut all).await.unwrap(), 3);
    });
}

#[test]
fn a_read_waits_for_bytes_and_loses_none_when_dropped() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        for _ in 0..3 {
            assert!(poll_once(other.read(&mut [0; 8])).await.is_none());
        }
        let reader = spawn(async move {
            let mut buffer = [0; 8];
            let count = other.read(&mut buffer).await.unwrap();
            buffer[..count].to_vec()
        });
        yield_now().await;
        assert!(!reader.is_finished());
        one.write_all(b"late").await.unwrap();
        assert_eq!(reader.await.unwrap(), b"late");
    });
}

/// The bytes that are left after a short read cause no new event, so the next read must
/// not take the socket for empty.
#[test]
fn a_read_after_a_short_one_finds_the_rest() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        assert!(poll_once(other.read(&mut [0; 8])).await.is_none());
        for round in 0..3_u8 {
            one.write_all(&[round; 3]).await.unwrap();
            assert_eq!(other.read(&mut [0; 2]).await.unwrap(), 2);
            assert_eq!(other.read(&mut [0; 64]).await.unwrap(), 1);
            assert!(poll_once(other.read(&mut [0; 8])).await.is_none());
        }
    });
}

#[test]
#[cfg_attr(miri, ignore = "fills a buffer of 200 kB")]
fn a_writer_waits_for_a_slow_reader() {
    let total = 3_000_000;
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let sent: Vec<u8> = (0..=255).cycle().take(total).collect();
        let writer = spawn({
            let sent = sent.clone();
            async move { one.write_all(&sent).await }
        });
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!writer.is_finished());
        let mut received = Vec::new();
        let mut buffer = vec![0; 5_003];
        loop {
            match other.read(&mut buffer).await.unwrap() {
                0 => break,
                count => received.extend_from_slice(&buffer[..count]),
            }
        }
        writer.await.unwrap().unwrap();
        assert!(received == sent);
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri cannot shut down a socket pair")]
fn a_half_closed_stream_carries_the_answer() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.write_all(b"question").await.unwrap();
        one.shutdown().await.unwrap();
        let mut buffer = [0; 64];
        assert_eq!(other.read(&mut buffer).await.unwrap(), 8);
        for _ in 0..3 {
            assert_eq!(other.read(&mut buffer).await.unwrap(), 0);
        }
        other.write_all(b"answer").await.unwrap();
        assert_eq!(one.read(&mut buffer).await.unwrap(), 6);
        let error = one.write(b"more").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_peer_that_closes_wakes_the_reader_and_the_writer() {
    block_on(async {
        let (mut one, other) = UnixStream::pair().unwrap();
        // The writer fills the buffers first, and then the peer closes.
        while one.try_write(&[0; 4096]).is_ok() {}
        let (mut reader, mut writer) = one.split();
        let mut buffer = [0; 8];
        let mut read = pin!(reader.read(&mut buffer));
        let mut write = pin!(writer.write(&[0; 4096]));
        assert!(poll_once(read.as_mut()).await.is_none());
        assert!(poll_once(write.as_mut()).await.is_none());
        drop(other);
        // The bytes that the peer never read reset the connection.
        match read.await {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert_eq!(write.await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri cannot shut down a socket pair")]
fn halves_are_split_and_reunited() {
    block_on(async {
        let (one, mut other) = UnixStream::pair().unwrap();
        let (_, stranger) = UnixStream::pair().unwrap().0.into_split();
        let (mut reader, mut writer) = one.into_split();
        let echo = spawn(async move {
            let mut buffer = [0; 16];
            let count = other.read(&mut buffer).await.unwrap();
            other.write_all(&buffer[..count]).await.unwrap();
            (other, count)
        });
        let answer = spawn(async move {
            let mut buffer = [0; 16];
            let count = reader.read(&mut buffer).await.unwrap();
            (reader, buffer[..count].to_vec())
        });
        yield_now().await;
        writer.write_all(b"there and back").await.unwrap();
        let (reader, back) = answer.await.unwrap();
        assert_eq!(back, b"there and back");
        let (mut other, _) = echo.await.unwrap();
        let refused = reader.reunite(stranger).unwrap_err();
        let mut one = refused.0.reunite(writer).unwrap();
        one.write_all(b"whole").await.unwrap();
        let (reader, writer) = one.into_split();
        let mut buffer = [0; 16];
        assert_eq!(other.read(&mut buffer).await.unwrap(), 5);
        drop(writer);
        assert_eq!(other.read(&mut buffer).await.unwrap(), 0);
        drop(reader);
    });
}

#[test]
fn vectored_transfers_fill_buffers_in_turn() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let parts = [
            IoSlice::new(b"ab"),
            IoSlice::new(b""),
            IoSlice::new(b"cdef"),
        ];
        assert_eq!(one.write_vectored(&parts).await.unwrap(), 6);
        let (mut first, mut second) = ([0; 4], [0; 8]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(other.read_vectored(&mut buffers).await.unwrap(), 6);
        assert_eq!((&first, &second[..2]), (b"abcd", &b"ef"[..]));
        assert_eq!(one.try_write_vectored(&parts).unwrap(), 6);
        let mut buffers = [IoSliceMut::new(&mut first)];
        assert_eq!(other.try_read_vectored(&mut buffers).unwrap(), 4);
    });
}

#[test]
fn try_never_waits() {
    block_on(async {
        let (one, other) = UnixStream::pair().unwrap();
        let mut buffer = [0; 8];
        for _ in 0..2 {
            let error = other.try_read(&mut buffer).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
        other.writable().await.unwrap();
        assert_eq!(one.try_write(b"now").unwrap(), 3);
        other.readable().await.unwrap();
        assert_eq!(other.try_read(&mut buffer).unwrap(), 3);
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no recv of a socket pair")]
fn peeks_take_nothing() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.write_all(b"seen").await.unwrap();
        let mut buffer = [0; 8];
        assert_eq!(other.peek(&mut buffer).await.unwrap(), 4);
        assert_eq!(other.peek(&mut buffer[..2]).await.unwrap(), 2);
        assert_eq!(other.read(&mut buffer).await.unwrap(), 4);
        assert!(poll_once(other.peek(&mut buffer)).await.is_none());
    });
}

#[test]
fn ready_returns_the_current_readiness() {
    block_on(async {
        let (mut one, other) = UnixStream::pair().unwrap();
        let both = Interest::READABLE | Interest::WRITABLE;
        let ready = other.ready(both).await.unwrap();
        assert!(ready.is_writable() && !ready.is_readable(), "{ready:?}");
        assert!(poll_once(other.ready(Interest::READABLE)).await.is_none());
        one.write_all(b"x").await.unwrap();
        let ready = other.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_readable() && !ready.is_writable(), "{ready:?}");
        let byte = other.try_io(Interest::READABLE, || {
            let mut byte = [0];
            rustix::io::read(&other, &mut byte)?;
            Ok(byte[0])
        });
        assert_eq!(byte.unwrap(), b'x');
        let none = other.try_io(Interest::READABLE, || {
            Ok(rustix::io::read(&other, &mut [0])?)
        });
        assert_eq!(none.unwrap_err().kind(), ErrorKind::WouldBlock);
        // The socket is known to be empty now, so the operation is not even called.
        let none = other.try_io(Interest::READABLE, || -> io::Result<()> {
            unreachable!("nothing has come")
        });
        assert_eq!(none.unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(one);
        let ready = other.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_readable() && ready.is_read_closed(), "{ready:?}");
    });
}

#[test]
fn async_io_is_called_until_it_would_not_block() {
    block_on(async {
        let (mut one, other) = UnixStream::pair().unwrap();
        let reader = spawn(async move {
            let mut calls = 0;
            let read = other.async_io(Interest::READABLE, || {
                calls += 1;
                let mut buffer = [0; 8];
                Ok(rustix::io::read(&other, &mut buffer)?)
            });
            let count = read.await.unwrap();
            (count, calls)
        });
        yield_now().await;
        one.write_all(b"abc").await.unwrap();
        assert_eq!(reader.await.unwrap(), (3, 2));
    });
}

/// Every task that reads through a shared reference is woken; of tasks that read through
/// an exclusive one, the loop remembers only the last that polled.
#[test]
fn tasks_that_share_a_stream_by_reference_are_all_woken() {
    block_on(async {
        let (mut one, other) = UnixStream::pair().unwrap();
        let other = std::rc::Rc::new(other);
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let other = std::rc::Rc::clone(&other);
                spawn(async move {
                    let mut byte = [0];
                    (&*other).read_exact(&mut byte).await.unwrap();
                    byte[0]
                })
            })
            .collect();
        for _ in 0..3 {
            yield_now().await;
        }
        let mut got = Vec::new();
        for (byte, reader) in (b'a'..).zip(readers) {
            one.write_all(&[byte]).await.unwrap();
            got.push(reader.await.unwrap());
        }
        got.sort_unstable();
        assert_eq!(got, b"abc");
    });
}

/// More tasks than the loop remembers at once: a task whose place is taken polls again.
#[test]
fn many_tasks_that_share_a_stream_are_all_woken() {
    let many = if cfg!(miri) { 20 } else { 300 };
    block_on(async {
        let (mut one, other) = UnixStream::pair().unwrap();
        let other = std::rc::Rc::new(other);
        let readers: Vec<_> = (0..many)
            .map(|_| {
                let other = std::rc::Rc::clone(&other);
                spawn(async move { (&*other).read_exact(&mut [0]).await })
            })
            .collect();
        for _ in 0..5 {
            yield_now().await;
        }
        for _ in 0..many {
            one.write_all(b"x").await.unwrap();
            yield_now().await;
        }
        for reader in readers {
            reader.await.unwrap().unwrap();
        }
    });
}

/// A task that reads by an owned half keeps its wake when another task reads through a
/// reference to the stream.
#[test]
fn a_half_and_a_reference_are_both_woken() {
    block_on(async {
        let (mut one, other) = UnixStream::pair().unwrap();
        let (mut reader, writer) = other.into_split();
        let half = spawn(async move {
            let mut byte = [0];
            reader.read_exact(&mut byte).await.unwrap();
        });
        yield_now().await;
        let shared = spawn(async move {
            let mut stream = writer.as_ref();
            stream.read_exact(&mut [0]).await.unwrap();
        });
        yield_now().await;
        one.write_all(b"ab").await.unwrap();
        half.await.unwrap();
        shared.await.unwrap();
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri cannot shut down a socket pair")]
fn futures_io_traits_work_on_owned_and_shared_streams() {
    async fn copy(from: impl futures_lite::AsyncRead, to: impl futures_lite::AsyncWrite) -> u64 {
        futures_lite::io::copy(from, to).await.unwrap()
    }

    block_on(async {
        let (mut source, one) = UnixStream::pair().unwrap();
        let (other, mut sink) = UnixStream::pair().unwrap();
        let pump = spawn(async move {
            let count = copy(&one, &other).await;
            (&other).close().await.unwrap();
            count
        });
        AsyncWriteExt::write_all(&mut source, b"through")
            .await
            .unwrap();
        source.close().await.unwrap();
        let mut all = Vec::new();
        sink.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"through");
        assert_eq!(pump.await.unwrap(), 7);
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no FIONBIO of a socket pair")]
fn streams_convert_from_and_into_std() {
    let (one, mut other) = StdStream::pair().unwrap();
    let back = block_on(async {
        let mut one = UnixStream::from_std(one).unwrap();
        assert!(poll_once(one.read(&mut [0; 1])).await.is_none());
        io::Write::write_all(&mut other, b"x").unwrap();
        assert_eq!(one.read(&mut [0; 1]).await.unwrap(), 1);
        one.into_std().unwrap()
    });
    back.set_nonblocking(false).unwrap();
    io::Write::write_all(&mut &back, b"y").unwrap();
    io::Read::read_exact(&mut other, &mut [0; 1]).unwrap();
}

#[test]
fn operations_that_would_wait_fail_after_the_runtime() {
    let runtime = Runtime::new().unwrap();
    let (mut one, other) = runtime.block_on(async {
        let (mut one, other) = UnixStream::pair().unwrap();
        assert!(poll_once(one.read(&mut [0; 1])).await.is_none());
        (one, other)
    });
    drop(runtime);
    block_on(async {
        assert_eq!(
            one.read(&mut [0; 1]).await.unwrap_err().kind(),
            ErrorKind::Other
        );
        assert!(other.readable().await.is_err());
        assert!(other.ready(Interest::WRITABLE).await.is_err());
        let shared = (&other).read(&mut [0; 1]).await;
        assert!(shared.is_err());
    });
}
