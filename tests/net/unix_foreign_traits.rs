//! The traits of tokio and hyper on Unix streams. A short read of a Unix stream does
//! not prove that nothing is left, so the read after it does not wait for an event.

use std::future::poll_fn;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::time::Duration;

use coreloop::net::UnixStream;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

#[coreloop::test]
#[cfg_attr(miri, ignore = "Miri has no recv on a pair of sockets")]
async fn tokio_and_hyper_fill_uninitialized_memory() {
    let (mut client, mut server) = UnixStream::pair().expect("pair");
    for round in 0..3 {
        client.write_all(b"ab").await.expect("write");
        let mut memory = [MaybeUninit::uninit(); 8];
        let mut buffer = tokio::io::ReadBuf::uninit(&mut memory);
        poll_fn(|cx| tokio::io::AsyncRead::poll_read(Pin::new(&mut server), cx, &mut buffer))
            .await
            .expect("read");
        assert_eq!(buffer.filled(), b"ab", "in round {round}");

        client.write_all(b"cd").await.expect("write");
        let mut memory = [MaybeUninit::uninit(); 8];
        let mut buffer = hyper::rt::ReadBuf::uninit(&mut memory);
        poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut server), cx, buffer.unfilled()))
            .await
            .expect("read");
        assert_eq!(buffer.filled(), b"cd", "in round {round}");
    }
}

#[coreloop::test]
#[cfg_attr(miri, ignore = "Miri has no recv on a pair of sockets")]
async fn bytes_that_follow_a_descriptor_are_read() {
    let (client, mut server) = UnixStream::pair().expect("pair");
    let mut bytes = [0; 8];
    for is_hyper in [false, true] {
        // The first read waits, and so registers the stream, before there are bytes.
        let reading = async {
            let mut came = Vec::new();
            while came.len() < 6 {
                let count = if is_hyper {
                    hyper_read(&mut server, &mut bytes).await
                } else {
                    tokio_read(&mut server, &mut bytes).await
                };
                came.extend_from_slice(&bytes[..count]);
            }
            came
        };
        let writing = async {
            coreloop::task::yield_now().await;
            send(&client, b"ab", false);
            // The message with a descriptor ends a read, though more bytes are there.
            send(&client, b"cd", true);
            send(&client, b"ef", false);
        };
        let both = async { coreloop::join!(reading, writing).0 };
        let came = coreloop::time::timeout(PATIENCE, both).await;
        assert_eq!(came.expect("no event reports the rest"), b"abcdef");
    }
}

/// Nothing here takes long: this only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(30);

async fn tokio_read(stream: &mut UnixStream, bytes: &mut [u8]) -> usize {
    let mut buffer = tokio::io::ReadBuf::new(bytes);
    poll_fn(|cx| tokio::io::AsyncRead::poll_read(Pin::new(&mut *stream), cx, &mut buffer))
        .await
        .expect("read");
    buffer.filled().len()
}

async fn hyper_read(stream: &mut UnixStream, bytes: &mut [u8]) -> usize {
    let mut buffer = hyper::rt::ReadBuf::new(bytes);
    poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut *stream), cx, buffer.unfilled()))
        .await
        .expect("read");
    buffer.filled().len()
}

fn send(stream: &UnixStream, bytes: &[u8], with_descriptor: bool) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let own = [stream.as_fd()];
    if with_descriptor {
        assert!(control.push(SendAncillaryMessage::ScmRights(&own)));
    }
    let sent = sendmsg(
        stream,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::empty(),
    );
    assert_eq!(sent.expect("sendmsg"), bytes.len());
}

#[coreloop::test]
#[cfg_attr(miri, ignore = "Miri has no recv on a pair of sockets")]
async fn the_halves_implement_the_traits() {
    let (client, mut server) = UnixStream::pair().expect("pair");
    let (mut reader, mut writer) = client.into_split();
    let count = poll_fn(|cx| hyper::rt::Write::poll_write(Pin::new(&mut writer), cx, b"ping"))
        .await
        .expect("write");
    assert_eq!(count, 4);
    let mut came = [0; 4];
    server.read_exact(&mut came).await.expect("read");
    assert_eq!(&came, b"ping");

    poll_fn(|cx| tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut writer), cx))
        .await
        .expect("shutdown");
    assert_eq!(server.read(&mut came).await.expect("read"), 0);
    drop(server);
    let mut buffer = tokio::io::ReadBuf::new(&mut came);
    poll_fn(|cx| tokio::io::AsyncRead::poll_read(Pin::new(&mut reader), cx, &mut buffer))
        .await
        .expect("read");
    assert!(buffer.filled().is_empty());
}
