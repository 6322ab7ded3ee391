//! A peer that does not read holds up the writer, and nothing piles up.
#![cfg(not(miri))] // These tests are about how much the system buffers.

use coreloop::{block_on, spawn, task::yield_now};
use coreloop_test_support::pair::pair;
use futures_lite::future::poll_once;
use socket2::SockRef;

#[test]
fn a_peer_that_never_reads_stops_the_writer() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        SockRef::from(&client)
            .set_send_buffer_size(16 << 10)
            .unwrap();
        SockRef::from(&server)
            .set_recv_buffer_size(16 << 10)
            .unwrap();
        let mut taken = 0;
        while let Some(count) = poll_once(client.write(&[7; 4096])).await {
            taken += count.unwrap();
            assert!(taken < 1 << 20, "the kernel's buffers are bounded");
        }
        // The writer stays stopped, and other tasks run meanwhile.
        let writer = spawn(async move {
            client.write_all(&[8; 4096]).await.unwrap();
            client
        });
        for _ in 0..100 {
            yield_now().await;
        }
        assert!(!writer.is_finished());

        let mut buffer = [0; 4096];
        let mut read = 0;
        while read < taken {
            let most = buffer.len().min(taken - read);
            let count = server.read(&mut buffer[..most]).await.unwrap();
            assert!(buffer[..count].iter().all(|&byte| byte == 7));
            read += count;
        }
        server.read_exact(&mut buffer).await.unwrap();
        assert!(buffer.iter().all(|&byte| byte == 8));
        drop(writer.await.unwrap());
        assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
    });
}

#[test]
fn a_large_write_waits_for_a_slow_reader_and_arrives_whole() {
    const TOTAL: usize = 4 << 20;

    block_on(async {
        let (mut client, mut server) = pair().await;
        SockRef::from(&client)
            .set_send_buffer_size(16 << 10)
            .unwrap();
        SockRef::from(&server)
            .set_recv_buffer_size(16 << 10)
            .unwrap();
        let bytes: Vec<u8> = (0..TOTAL)
            .map(|place| (place % 251).to_le_bytes()[0])
            .collect();
        let writer = spawn({
            let bytes = bytes.clone();
            async move { client.write_all(&bytes).await }
        });
        let mut received = Vec::with_capacity(TOTAL);
        let mut buffer = [0; 10_000];
        loop {
            yield_now().await;
            match server.read(&mut buffer).await.unwrap() {
                0 => break,
                count => received.extend_from_slice(&buffer[..count]),
            }
        }
        assert!(received == bytes);
        writer.await.unwrap().unwrap();
    });
}
