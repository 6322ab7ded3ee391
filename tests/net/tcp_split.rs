//! The halves of a `TcpStream`, in one task and in two.

use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;

use coreloop::net::TcpStream;
use coreloop::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use coreloop::{block_on, spawn, task::yield_now};
use coreloop_test_support::pair::pair;
use futures_lite::future::{poll_once, zip};

#[test]
fn borrowed_halves_read_and_write_at_once() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        let (mut from_server, mut to_server) = client.split();
        let (mut from_client, mut to_client) = server.split();
        let total = if cfg!(miri) { 2_000 } else { 200_000 };
        let send = async |half: &mut coreloop::net::tcp::WriteHalf<'_>, byte: u8| {
            for chunk in vec![byte; total].chunks(1000) {
                half.write_all(chunk).await.unwrap();
            }
            half.shutdown().await.unwrap();
        };
        let receive = async |half: &mut coreloop::net::tcp::ReadHalf<'_>, byte: u8| {
            let (mut buffer, mut count) = ([0; 777], 0);
            loop {
                match half.read(&mut buffer).await.unwrap() {
                    0 => return count,
                    length => {
                        assert!(buffer[..length].iter().all(|&other| other == byte));
                        count += length;
                    }
                }
            }
        };
        let sent = zip(send(&mut to_server, 1), send(&mut to_client, 2));
        let received = zip(receive(&mut from_server, 2), receive(&mut from_client, 1));
        let ((), ()) = zip(
            async { assert_eq!(received.await, (total, total)) },
            async {
                sent.await;
            },
        )
        .await;
    });
}

#[test]
fn borrowed_halves_leave_the_stream_whole() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        let (reader, writer) = client.split();
        assert_eq!(reader.local_addr().unwrap(), writer.local_addr().unwrap());
        assert_eq!(
            reader.as_ref().peer_addr().unwrap(),
            writer.as_ref().peer_addr().unwrap()
        );
        client.write_all(b"whole").await.unwrap();
        assert_eq!(server.read_exact(&mut [0; 5]).await.unwrap(), 5);
    });
}

#[test]
fn owned_halves_live_in_two_tasks() {
    block_on(async {
        let (client, mut server) = pair().await;
        let (mut reader, mut writer) = client.into_split();
        let read = spawn(async move {
            let mut buffer = [0; 4];
            reader.read_exact(&mut buffer).await.unwrap();
            buffer
        });
        yield_now().await;
        let written = spawn(async move { writer.write_all(b"ping").await });
        server.read_exact(&mut [0; 4]).await.unwrap();
        server.write_all(b"pong").await.unwrap();
        assert_eq!(&read.await.unwrap(), b"pong");
        written.await.unwrap().unwrap();
    });
}

#[test]
fn dropping_the_writing_half_ends_the_stream() {
    block_on(async {
        let (client, mut server) = pair().await;
        let (mut reader, writer) = client.into_split();
        drop(writer);
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 0);
        // Only one direction is closed.
        server.write_all(b"still").await.unwrap();
        assert_eq!(reader.read_exact(&mut [0; 5]).await.unwrap(), 5);
    });
}

#[test]
fn a_forgotten_writing_half_does_not_end_the_stream() {
    block_on(async {
        let (client, mut server) = pair().await;
        let (reader, writer) = client.into_split();
        writer.forget();
        assert!(poll_once(server.read(&mut [0; 4])).await.is_none());
        drop(reader);
        assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 0);
    });
}

#[test]
fn halves_of_one_stream_reunite() {
    block_on(async {
        let (client, mut server) = pair().await;
        let (reader, writer) = client.into_split();
        let (reader, writer) = reader.reunite(writer).unwrap().into_split();
        let mut client = writer.reunite(reader).unwrap();
        client.write_all(b"one").await.unwrap();
        assert_eq!(server.read_exact(&mut [0; 3]).await.unwrap(), 3);
        // Reuniting has not shut anything down.
        assert!(poll_once(server.read(&mut [0; 4])).await.is_none());
    });
}

#[test]
fn halves_of_two_streams_are_returned_by_reunite() {
    block_on(async {
        let (client, server) = pair().await;
        let (client_reader, client_writer) = client.into_split();
        let (server_reader, server_writer) = server.into_split();
        let error = client_reader.reunite(server_writer).unwrap_err();
        assert!(error.to_string().contains("not from the same stream"));
        assert!(error.source().is_none());
        let (client_reader, server_writer) = (error.0, error.1);
        client_reader.reunite(client_writer).unwrap();
        server_writer.reunite(server_reader).unwrap();
    });
}

#[test]
fn halves_wait_and_try_like_the_stream() {
    block_on(async {
        let (client, server) = pair().await;
        let (_client_reader, writer) = client.into_split();
        let (reader, _server_writer) = server.into_split();
        writer.writable().await.unwrap();
        assert_eq!(writer.try_write(b"abc").unwrap(), 3);
        reader.readable().await.unwrap();
        let mut buffer = [0; 8];
        assert_eq!(reader.peek(&mut buffer).await.unwrap(), 3);
        assert_eq!(reader.try_read(&mut buffer).unwrap(), 3);
        assert_eq!(reader.local_addr().unwrap(), writer.peer_addr().unwrap());
    });
}

#[test]
fn a_half_polls_for_bytes_to_peek_at() {
    block_on(async {
        let (mut client, server) = pair().await;
        let (mut reader, _writer) = server.into_split();
        let mut buffer = [0; 8];
        let peeked = spawn(async move {
            let count = poll_fn(|cx| reader.poll_peek(cx, &mut buffer)).await;
            (count.unwrap(), reader.read(&mut buffer).await.unwrap())
        });
        yield_now().await;
        client.write_all(b"abc").await.unwrap();
        assert_eq!(peeked.await.unwrap(), (3, 3));
    });
}

#[test]
fn streams_and_halves_implement_as_ref() {
    fn address(stream: &impl AsRef<TcpStream>) -> SocketAddr {
        stream.as_ref().local_addr().unwrap()
    }

    block_on(async {
        let (client, _server) = pair().await;
        let whole = address(&client);
        let (reader, writer) = client.into_split();
        assert_eq!([address(&reader), address(&writer)], [whole; 2]);
    });
}

async fn send(mut half: OwnedWriteHalf, byte: u8, total: usize) -> OwnedWriteHalf {
    for chunk in vec![byte; total].chunks(5_003) {
        half.write_all(chunk).await.expect("write");
    }
    half
}

async fn receive(mut half: OwnedReadHalf, byte: u8, total: usize) -> OwnedReadHalf {
    let mut chunk = vec![0; 3_001];
    let mut left = total;
    while left > 0 {
        let most = chunk.len().min(left);
        let length = half.read(&mut chunk[..most]).await.expect("read");
        assert_ne!(length, 0, "{left} bytes before the end");
        assert!(chunk[..length].iter().all(|&other| other == byte));
        left -= length;
    }
    half
}

/// Four tasks: each end is read by one while another writes, and both wait.
#[test]
fn two_tasks_share_a_stream_and_reunite_it() {
    let total = if cfg!(miri) { 3_000 } else { 5_000_000 };
    block_on(async {
        let (client, server) = pair().await;
        let (client_reader, client_writer) = client.into_split();
        let (server_reader, server_writer) = server.into_split();
        let reading = [
            spawn(receive(client_reader, b's', total)),
            spawn(receive(server_reader, b'c', total)),
        ];
        let writing = [
            spawn(send(client_writer, b'c', total)),
            spawn(send(server_writer, b's', total)),
        ];
        let [client_reader, server_reader] = reading;
        let [client_writer, server_writer] = writing;
        let client = client_reader
            .await
            .unwrap()
            .reunite(client_writer.await.unwrap())
            .unwrap();
        drop((server_reader.await.unwrap(), server_writer.await.unwrap()));
        assert_eq!(client.try_read(&mut [0; 1]).unwrap_or(0), 0);
    });
}

/// A proxy: the end of one side becomes the end of the other.
#[test]
fn halves_carry_the_end_of_a_stream_through_a_proxy() {
    async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = [0; 512];
        loop {
            match from.read(&mut buffer).await.expect("read") {
                0 => return,
                count => to.write_all(&buffer[..count]).await.expect("write"),
            }
        }
    }

    block_on(async {
        let (mut client, client_side) = pair().await;
        let (mut server, server_side) = pair().await;
        let (from_client, to_client) = client_side.into_split();
        let (from_server, to_server) = server_side.into_split();
        spawn(pump(from_client, to_server));
        spawn(pump(from_server, to_client));

        client.write_all(b"request").await.unwrap();
        client.shutdown().await.unwrap();
        let mut buffer = [0; 16];
        server.read_exact(&mut buffer[..7]).await.unwrap();
        assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
        server.write_all(b"response").await.unwrap();
        drop(server);
        client.read_exact(&mut buffer[..8]).await.unwrap();
        assert_eq!(client.read(&mut buffer).await.unwrap(), 0);
    });
}
