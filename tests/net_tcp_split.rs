//! A stream taken apart into two tasks.

mod common;

use common::pair;
use coreloop::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use coreloop::{block_on, spawn};

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
