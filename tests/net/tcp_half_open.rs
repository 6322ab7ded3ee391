//! Peers that disappear without closing, and peers that read no bytes. The kernel's
//! timers run in real time, so these tests take a few seconds.
#![cfg(all(target_os = "linux", not(miri)))]

use std::io::ErrorKind;
use std::time::Duration;

use coreloop::net::TcpSocket;
use coreloop::runtime::Builder;
use coreloop::time::{Instant, timeout};
use coreloop::{block_on, spawn, task::yield_now};
use coreloop_test_support::pair::pair;
use coreloop_test_support::silence::silence;

const SOON: Duration = Duration::from_millis(300);

#[test]
fn keepalive_finds_a_peer_that_is_gone() {
    block_on(async {
        let (mut client, server) = pair().await;
        client.set_keepalive_time(Duration::from_secs(1)).unwrap();
        client
            .set_keepalive_interval(Duration::from_secs(1))
            .unwrap();
        client.set_keepalive_retries(1).unwrap();
        silence(&server);
        let error = client.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // The other end is half open: it has seen no error.
        assert!(server.take_error().unwrap().is_none());
        assert!(server.peer_addr().is_ok());
    });
}

#[test]
fn the_user_timeout_finds_a_peer_that_is_gone() {
    block_on(async {
        let (client, server) = pair().await;
        client.set_user_timeout(Some(SOON)).unwrap();
        silence(&server);
        let (mut reader, mut writer) = client.into_split();
        // The write itself succeeds, because the kernel takes the bytes. The read of
        // the answer returns the error.
        writer.write_all(b"are you there?").await.unwrap();
        let error = reader.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let error = writer.write_all(b"well?").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

/// A peer that is there but never reads is treated like one that is gone.
#[test]
fn the_user_timeout_ends_a_writer_whose_peer_takes_nothing() {
    block_on(async {
        let (mut client, server) = pair().await;
        client.set_user_timeout(Some(SOON)).unwrap();
        let bytes = vec![1; 64 << 20];
        let error = client.write_all(&bytes).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(server);
    });
}

/// Without these options a half-open connection lasts for ever. A time limit around the
/// read ends it.
#[test]
fn a_time_limit_ends_a_read_of_a_peer_that_is_gone() {
    let runtime = Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (mut client, server) = pair().await;
        silence(&server);
        client.write_all(b"are you there?").await.unwrap();
        let limit = Duration::from_secs(3600);
        let begun = Instant::now();
        assert!(timeout(limit, client.read(&mut [0; 1])).await.is_err());
        assert_eq!(begun.elapsed(), limit);
    });
}

/// The kernel sends the bytes again, so a peer that was away for a while receives them.
#[test]
fn a_connection_survives_a_peer_that_was_away() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        silence(&server);
        client.write_all(b"hello").await.unwrap();
        for _ in 0..10 {
            yield_now().await;
        }
        socket2::SockRef::from(&server).detach_filter().unwrap();
        let mut greeting = [0; 5];
        server.read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"hello");
    });
}

/// One reader so slow that its writer nearly always waits, beside a quick one.
#[test]
fn a_slow_reader_slows_no_other_connection() {
    const BYTES: usize = 1 << 20;
    block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(8).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(4096).unwrap();
        let mut writer = socket
            .connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (mut slow, _) = listener.accept().await.unwrap();
        let writer = spawn(async move {
            let bytes: Vec<u8> = (0..BYTES).map(|at| at.to_le_bytes()[0]).collect();
            writer.write_all(&bytes).await
        });

        let (mut quick, mut server) = pair().await;
        spawn(async move {
            let mut byte = [0; 1];
            while server.read(&mut byte).await.unwrap() > 0 {
                server.write_all(&byte).await.unwrap();
            }
        });
        let mut received = 0;
        let mut buffer = [0; 1024];
        while received < BYTES {
            // Meanwhile the quick client gets its answers.
            for _ in 0..3 {
                quick.write_all(b"?").await.unwrap();
                quick.read_exact(&mut [0; 1]).await.unwrap();
            }
            // The bytes that are not read yet wait with the writer, not in the kernel.
            assert!(!writer.is_finished() || received + (128 << 10) > BYTES);
            let count = slow.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "the stream ended after {received} bytes");
            for (at, &byte) in buffer[..count].iter().enumerate() {
                assert_eq!(byte, (received + at).to_le_bytes()[0]);
            }
            received += count;
        }
        writer.await.unwrap().unwrap();
    });
}

/// A server can give up on a reader that takes nothing, which then finds a reset.
#[test]
fn a_reader_that_stops_can_be_given_up() {
    let runtime = Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (mut stopped, mut server) = pair().await;
        let bytes = vec![1; 64 << 20];
        let limit = Duration::from_secs(30);
        assert!(timeout(limit, server.write_all(&bytes)).await.is_err());
        server.set_zero_linger().unwrap();
        drop(server);
        let mut buffer = vec![0; 1 << 16];
        let error = loop {
            match stopped.read(&mut buffer).await {
                Ok(count) => assert_ne!(count, 0, "the stream ended as if it were complete"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}
