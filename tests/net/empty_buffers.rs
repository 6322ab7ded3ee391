//! Reads into empty buffers and writes of no bytes: they complete at once, in every way that
//! a stream can be read and written, though nothing has come and nothing can be sent.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use coreloop::io::AsyncWriteExt as _;
use coreloop::net::{TcpListener, TcpStream, UnixDatagram, UnixStream};
use coreloop::task::yield_now;
use coreloop::{block_on, spawn};
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::future::poll_once;
use hyper::rt::ReadBuf as HyperBuf;
use tokio::io::ReadBuf;

/// Checks that the first poll of `future` completes and transfers nothing.
#[track_caller]
fn is_done(future: impl Future<Output = io::Result<usize>>) {
    let polled = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(0))), "{polled:?}");
}

/// Reads into empty buffers by all traits.
fn read_by_traits<T>(stream: &mut T)
where
    T: AsyncRead + tokio::io::AsyncRead + hyper::rt::Read + Unpin,
{
    is_done(poll_fn(|cx| {
        AsyncRead::poll_read(Pin::new(stream), cx, &mut [])
    }));
    is_done(poll_fn(|cx| {
        let mut buffer = ReadBuf::new(&mut []);
        tokio::io::AsyncRead::poll_read(Pin::new(stream), cx, &mut buffer).map_ok(|()| 0)
    }));
    is_done(poll_fn(|cx| {
        let mut buffer = HyperBuf::new(&mut []);
        hyper::rt::Read::poll_read(Pin::new(stream), cx, buffer.unfilled()).map_ok(|()| 0)
    }));
    read_vectored(stream);
}

fn read_vectored(stream: &mut (impl AsyncRead + Unpin)) {
    for count in 0..3 {
        let mut buffers: Vec<_> = (0..count).map(|_| IoSliceMut::new(&mut [])).collect();
        is_done(poll_fn(|cx| {
            Pin::new(&mut *stream).poll_read_vectored(cx, &mut buffers)
        }));
    }
}

/// Writes no bytes by all traits.
fn write_by_traits<T>(stream: &mut T)
where
    T: AsyncWrite + tokio::io::AsyncWrite + hyper::rt::Write + Unpin,
{
    is_done(poll_fn(|cx| {
        AsyncWrite::poll_write(Pin::new(stream), cx, &[])
    }));
    is_done(poll_fn(|cx| {
        tokio::io::AsyncWrite::poll_write(Pin::new(stream), cx, &[])
    }));
    is_done(poll_fn(|cx| {
        hyper::rt::Write::poll_write(Pin::new(stream), cx, &[])
    }));
    write_vectored(stream);
}

fn write_vectored(stream: &mut (impl AsyncWrite + Unpin)) {
    for count in 0..3 {
        let buffers = vec![IoSlice::new(&[]); count];
        is_done(poll_fn(|cx| {
            Pin::new(&mut *stream).poll_write_vectored(cx, &buffers)
        }));
    }
}

macro_rules! transfer_nothing {
    ($test:ident, $stream:ty, $pair:expr) => {
        #[test]
        fn $test() {
            block_on(async {
                let (mut stream, _peer): ($stream, $stream) = $pair.unwrap();
                // Before the stream is registered with the loop, and after.
                for _ in 0..2 {
                    // Each transfer spends a unit of the budget.
                    yield_now().await;
                    read_nothing!(stream);
                    write_nothing!(stream);
                    read_by_traits(&mut stream);
                    write_by_traits(&mut stream);
                    is_done(stream.peek(&mut []));
                    is_done(poll_fn(|cx| stream.poll_peek(cx, &mut [])));
                    is_done(poll_fn(|cx| Pin::new(&mut &stream).poll_read(cx, &mut [])));
                    is_done(poll_fn(|cx| Pin::new(&mut &stream).poll_write(cx, &[])));
                    read_vectored(&mut &stream);
                    write_vectored(&mut &stream);

                    let (mut reader, mut writer) = stream.split();
                    read_nothing!(reader);
                    write_nothing!(writer);
                    read_by_traits(&mut reader);
                    write_by_traits(&mut writer);
                    is_done(reader.peek(&mut []));
                    is_done(poll_fn(|cx| reader.poll_peek(cx, &mut [])));

                    let (mut reader, mut writer) = stream.into_split();
                    read_nothing!(reader);
                    write_nothing!(writer);
                    read_by_traits(&mut reader);
                    write_by_traits(&mut writer);
                    is_done(reader.peek(&mut []));
                    is_done(poll_fn(|cx| reader.poll_peek(cx, &mut [])));
                    stream = reader.reunite(writer).unwrap();

                    assert!(poll_once(stream.read(&mut [0; 1])).await.is_none());
                    while poll_once(stream.write(&[0; 1 << 16])).await.is_some() {}
                }
            });
        }
    };
}

macro_rules! read_nothing {
    ($reader:ident) => {
        is_done($reader.read(&mut []));
        is_done($reader.read_exact(&mut []));
        is_done($reader.read_vectored(&mut []));
        is_done($reader.read_vectored(&mut [IoSliceMut::new(&mut []), IoSliceMut::new(&mut [])]));
        assert_eq!($reader.try_read(&mut []).unwrap(), 0);
        assert_eq!($reader.try_read_vectored(&mut []).unwrap(), 0);
    };
}
macro_rules! write_nothing {
    ($writer:ident) => {
        is_done($writer.write(&[]));
        is_done(async { $writer.write_all(&[]).await.map(|()| 0) });
        is_done($writer.write_vectored(&[]));
        is_done($writer.write_vectored(&[IoSlice::new(&[]), IoSlice::new(&[])]));
        assert_eq!($writer.try_write(&[]).unwrap(), 0);
        assert_eq!($writer.try_write_vectored(&[]).unwrap(), 0);
    };
}

async fn tcp() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    Ok((client, listener.accept().await?.0))
}

transfer_nothing!(
    empty_transfers_of_a_tcp_stream_complete_at_once,
    TcpStream,
    tcp().await
);
transfer_nothing!(
    empty_transfers_of_a_unix_stream_complete_at_once,
    UnixStream,
    UnixStream::pair()
);

/// A write of no bytes reports a broken connection, like a write of some bytes.
#[test]
#[cfg_attr(
    miri,
    ignore = "Miri writes no bytes to a broken connection without an error"
)]
fn an_empty_write_reports_a_broken_connection() {
    block_on(async {
        let (mut stream, _peer) = tcp().await.unwrap();
        stream.shutdown().await.unwrap();
        let broken = |result: io::Result<usize>| {
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        };
        broken(stream.write(&[]).await);
        broken(stream.write_vectored(&[]).await);
        broken(stream.try_write(&[]));
        broken((&mut &stream).write(&[]).await);
    });
}

/// A datagram without bytes is still a datagram.
#[test]
#[cfg_attr(miri, ignore = "Miri has no pairs of datagram sockets")]
fn an_empty_datagram_is_waited_for() {
    block_on(async {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        assert!(poll_once(receiver.recv(&mut [])).await.is_none());
        assert_eq!(sender.send(&[]).await.unwrap(), 0);
        assert_eq!(receiver.recv(&mut []).await.unwrap(), 0);
        assert!(poll_once(receiver.recv(&mut [])).await.is_none());
    });
}

/// A task that does nothing else therefore lets other tasks run.
#[test]
fn empty_transfers_spend_the_budget() {
    block_on(async {
        let (mut stream, _peer) = tcp().await.unwrap();
        let other = spawn(async {});
        while !other.is_finished() {
            stream.read(&mut []).await.unwrap();
        }
        let other = spawn(async {});
        while !other.is_finished() {
            stream.write(&[]).await.unwrap();
        }
    });
}
