//! tokio's I/O traits on the sockets, without a tokio runtime.

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;

use bytes::BytesMut;
use coreloop_test_support::pair::pair;
use futures_util::future::join;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf,
};

#[coreloop::test]
async fn reads_into_initialized_and_into_uninitialized_memory() {
    let (mut client, mut server) = pair().await;
    AsyncWriteExt::write_all(&mut client, b"firstsecond")
        .await
        .unwrap();
    let mut first = [0; 5];
    AsyncReadExt::read_exact(&mut server, &mut first)
        .await
        .unwrap();
    assert_eq!(&first, b"first");

    let mut rest = BytesMut::with_capacity(100);
    rest.extend_from_slice(b"the ");
    assert_eq!(server.read_buf(&mut rest).await.unwrap(), 6);
    assert_eq!(&rest[..], b"the second");

    AsyncWriteExt::shutdown(&mut client).await.unwrap();
    assert_eq!(server.read_buf(&mut rest).await.unwrap(), 0);
    assert_eq!(&rest[..], b"the second");
}

#[coreloop::test]
async fn a_read_appends_to_a_half_filled_buffer() {
    let (mut client, mut server) = pair().await;
    client.write_all(b"cdef").await.unwrap();
    for is_initialized in [true, false] {
        let mut memory = [std::mem::MaybeUninit::uninit(); 4];
        let mut bytes = [b'-'; 4];
        let mut buffer = if is_initialized {
            ReadBuf::new(&mut bytes)
        } else {
            ReadBuf::uninit(&mut memory)
        };
        buffer.put_slice(b"ab");
        poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut buffer))
            .await
            .unwrap();
        let came: &[u8] = if is_initialized { b"abcd" } else { b"abef" };
        assert_eq!(buffer.filled(), came);
    }
}

#[coreloop::test]
async fn a_message_larger_than_one_read_arrives_whole() {
    let (client, server) = pair().await;
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0] ^ 7).collect();
    let writing = async {
        let mut client = client;
        AsyncWriteExt::write_all(&mut client, &sent).await.unwrap();
        drop(client);
    };
    let reading = async {
        let mut server = server;
        let mut came = Vec::new();
        AsyncReadExt::read_to_end(&mut server, &mut came)
            .await
            .unwrap();
        came
    };
    let ((), came) = join(writing, reading).await;
    assert!(came == sent, "{} bytes of {}", came.len(), sent.len());
}

#[coreloop::test]
async fn writes_several_buffers_at_once() {
    let (mut client, mut server) = pair().await;
    assert!(client.is_write_vectored());
    let slices = [
        IoSlice::new(b"one "),
        IoSlice::new(b""),
        IoSlice::new(b"two"),
    ];
    let count = AsyncWriteExt::write_vectored(&mut client, &slices)
        .await
        .unwrap();
    assert_eq!(count, 7);
    let mut both = [0; 7];
    server.read_exact(&mut both).await.unwrap();
    assert_eq!(&both, b"one two");
}

#[coreloop::test]
async fn halves_implement_the_traits_too() {
    let (mut client, server) = pair().await;
    let (reader, mut writer) = server.into_split();
    let server = coreloop::spawn(async move {
        let mut lines = BufReader::new(reader).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            let answer = format!("{line}!\n");
            AsyncWriteExt::write_all(&mut writer, answer.as_bytes())
                .await
                .unwrap();
        }
        AsyncWriteExt::shutdown(&mut writer).await.unwrap();
    });
    let (mut reader, mut writer) = client.split();
    AsyncWriteExt::write_all(&mut writer, b"one\ntwo\n")
        .await
        .unwrap();
    AsyncWriteExt::shutdown(&mut writer).await.unwrap();
    let mut answer = String::new();
    AsyncReadExt::read_to_string(&mut reader, &mut answer)
        .await
        .unwrap();
    assert_eq!(answer, "one!\ntwo!\n");
    server.await.unwrap();
}

#[coreloop::test]
async fn copies_in_both_directions() {
    let (mut client, proxy_in) = pair().await;
    let (proxy_out, server) = pair().await;
    coreloop::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(server);
        tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let proxy = coreloop::spawn(async move {
        let (mut left, mut right) = (proxy_in, proxy_out);
        tokio::io::copy_bidirectional(&mut left, &mut right)
            .await
            .unwrap()
    });
    client.write_all(b"there and back").await.unwrap();
    client.shutdown().await.unwrap();
    let mut back = Vec::new();
    AsyncReadExt::read_to_end(&mut client, &mut back)
        .await
        .unwrap();
    assert_eq!(back, b"there and back");
    assert_eq!(proxy.await.unwrap(), (14, 14));
}

#[coreloop::test]
async fn a_stream_in_memory_is_read_and_written_through_both_kinds_of_traits() {
    let (mut client, mut server) = coreloop::io::duplex(5);
    let far = coreloop::spawn(async move {
        let mut seen = Vec::new();
        futures_util::AsyncReadExt::read_to_end(&mut server, &mut seen)
            .await
            .unwrap();
        AsyncWriteExt::write_all(&mut server, b"longer than five")
            .await
            .unwrap();
        seen
    });
    let buffers = [b"ab".as_slice(), b"cdef"].map(IoSlice::new);
    assert!(AsyncWrite::is_write_vectored(&client));
    let count = AsyncWriteExt::write_vectored(&mut client, &buffers)
        .await
        .unwrap();
    assert_eq!(count, 5);
    AsyncWriteExt::write_all(&mut client, b"f").await.unwrap();
    AsyncWriteExt::shutdown(&mut client).await.unwrap();
    let mut answer = String::new();
    AsyncReadExt::read_to_string(&mut client, &mut answer)
        .await
        .unwrap();
    assert_eq!(answer, "longer than five");
    assert_eq!(far.await.unwrap(), b"abcdef");
}
