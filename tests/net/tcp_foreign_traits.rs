//! The traits of tokio and hyper, which read into uninitialized memory: the part that
//! they report as filled is initialized.

use std::future::poll_fn;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::pin::Pin;

use coreloop_test_support::pair::pair;

#[coreloop::test]
async fn tokio_fills_uninitialized_memory() {
    use tokio::io::{AsyncRead, ReadBuf};

    let (mut client, mut server) = pair().await;
    let mut memory = [MaybeUninit::uninit(); 8];
    let mut buffer = ReadBuf::uninit(&mut memory);
    buffer.put_slice(b"ab");
    client.write_all(b"cd").await.expect("write");
    poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut buffer))
        .await
        .expect("read");
    assert_eq!(buffer.filled(), b"abcd");
    assert_eq!(buffer.initialized(), b"abcd");

    // The bytes that have no room stay for the next read.
    client.write_all(b"efghij").await.expect("write");
    poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut buffer))
        .await
        .expect("read");
    assert_eq!(buffer.filled(), b"abcdefgh");
    let mut rest = [0; 8];
    let mut rest = ReadBuf::new(&mut rest);
    poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut rest))
        .await
        .expect("read");
    assert_eq!(rest.filled(), b"ij");

    drop(client);
    poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut rest))
        .await
        .expect("read");
    assert_eq!(rest.filled(), b"ij");
}

#[coreloop::test]
async fn hyper_fills_uninitialized_memory() {
    use hyper::rt::{Read, ReadBuf};

    let (mut client, mut server) = pair().await;
    let mut memory = [MaybeUninit::uninit(); 8];
    let mut buffer = ReadBuf::uninit(&mut memory);
    buffer.unfilled().put_slice(b"ab");
    client.write_all(b"cd").await.expect("write");
    poll_fn(|cx| Pin::new(&mut server).poll_read(cx, buffer.unfilled()))
        .await
        .expect("read");
    assert_eq!(buffer.filled(), b"abcd");

    client.write_all(b"efghij").await.expect("write");
    poll_fn(|cx| Pin::new(&mut server).poll_read(cx, buffer.unfilled()))
        .await
        .expect("read");
    assert_eq!(buffer.filled(), b"abcdefgh");

    drop(client);
    let mut rest = [MaybeUninit::uninit(); 8];
    let mut rest = ReadBuf::uninit(&mut rest);
    for _ in 0..2 {
        poll_fn(|cx| Pin::new(&mut server).poll_read(cx, rest.unfilled()))
            .await
            .expect("read");
        assert_eq!(rest.filled(), b"ij");
    }
}

#[coreloop::test]
async fn tokio_and_hyper_write_several_buffers_at_once() {
    let (mut client, mut server) = pair().await;
    let slices = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cd")];
    let tokios = poll_fn(|cx| {
        let client = Pin::new(&mut client);
        assert!(tokio::io::AsyncWrite::is_write_vectored(&*client));
        tokio::io::AsyncWrite::poll_write_vectored(client, cx, &slices)
    });
    assert_eq!(tokios.await.expect("write"), 4);
    let hypers = poll_fn(|cx| {
        let client = Pin::new(&mut client);
        assert!(hyper::rt::Write::is_write_vectored(&*client));
        hyper::rt::Write::poll_write_vectored(client, cx, &slices)
    });
    assert_eq!(hypers.await.expect("write"), 4);
    let mut came = [0; 8];
    server.read_exact(&mut came).await.expect("read");
    assert_eq!(&came, b"abcdabcd");
}

#[coreloop::test]
async fn the_halves_read_write_and_shut_down() {
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    let (client, mut server) = pair().await;
    let (mut reader, mut writer) = client.into_split();
    server.write_all(b"ab").await.expect("write");
    let mut memory = [MaybeUninit::uninit(); 8];
    let mut buffer = ReadBuf::uninit(&mut memory);
    poll_fn(|cx| Pin::new(&mut reader).poll_read(cx, &mut buffer))
        .await
        .expect("read");
    assert_eq!(buffer.filled(), b"ab");
    let (mut borrowed, _) = server.split();
    poll_fn(|cx| AsyncWrite::poll_shutdown(Pin::new(&mut writer), cx))
        .await
        .expect("shutdown");
    let mut memory = [MaybeUninit::uninit(); 8];
    let mut buffer = hyper::rt::ReadBuf::uninit(&mut memory);
    poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut borrowed), cx, buffer.unfilled()))
        .await
        .expect("read");
    assert_eq!(buffer.filled(), b"");
}
