//! TCP streams: many connections, and large transfers in both directions at once.
#![cfg(not(miri))] // Too many bytes for Miri.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use coreloop::net::{TcpListener, TcpStream};
use coreloop::{block_on, spawn};
use coreloop_test_support::pair::pair;
use futures_lite::future::{poll_once, zip};

/// A sequence of bytes that does not repeat, so that a byte out of place is noticed.
struct Pattern(u64);

impl Pattern {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 64];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

#[test]
fn many_connections_echo_at_once() {
    const CONNECTIONS: u64 = 500;
    const ROUNDS: usize = 20;

    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = Rc::new(Cell::new(0));
        let server = spawn({
            let served = served.clone();
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let served = served.clone();
                    spawn(async move {
                        echo(stream).await.unwrap();
                        served.set(served.get() + 1);
                    });
                }
            }
        });
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|seed| {
                spawn(async move {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let mut pattern = Pattern(seed);
                    let (mut sent, mut received) = ([0; 64], [0; 64]);
                    for _ in 0..ROUNDS {
                        pattern.fill(&mut sent);
                        stream.write_all(&sent).await.unwrap();
                        stream.read_exact(&mut received).await.unwrap();
                        assert_eq!(sent, received);
                    }
                    stream.shutdown().await.unwrap();
                    assert_eq!(stream.read(&mut received).await.unwrap(), 0);
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        assert_eq!(served.get(), CONNECTIONS);
        server.abort();
    });
}

async fn send(half: &mut coreloop::net::tcp::WriteHalf<'_>, seed: u64, total: usize) {
    let mut pattern = Pattern(seed);
    let mut chunk = vec![0; 10_007];
    let mut left = total;
    while left > 0 {
        let length = chunk.len().min(left);
        pattern.fill(&mut chunk[..length]);
        half.write_all(&chunk[..length]).await.expect("write");
        left -= length;
    }
    half.shutdown().await.expect("shut down");
}

async fn receive(half: &mut coreloop::net::tcp::ReadHalf<'_>, seed: u64) -> usize {
    let mut pattern = Pattern(seed);
    let (mut chunk, mut expected) = (vec![0; 9_001], vec![0; 9_001]);
    let mut total = 0;
    loop {
        let length = half.read(&mut chunk).await.expect("read");
        if length == 0 {
            return total;
        }
        pattern.fill(&mut expected[..length]);
        assert!(chunk[..length] == expected[..length], "after {total} bytes");
        total += length;
    }
}

async fn exchange(mut stream: TcpStream, mine: u64, theirs: u64, total: usize) {
    let (mut reader, mut writer) = stream.split();
    let ((), received) = zip(send(&mut writer, mine, total), receive(&mut reader, theirs)).await;
    assert_eq!(received, total);
}

#[test]
fn large_transfers_flow_both_ways_at_once() {
    let total = 8 << 20;
    block_on(async {
        let (client, server) = pair().await;
        let far = spawn(exchange(server, 2, 1, total));
        exchange(client, 1, 2, total).await;
        far.await.unwrap();
    });
}

/// Reads that are dropped at every point still see each byte once.
#[test]
fn dropped_reads_lose_nothing() {
    let total = 100_000;
    block_on(async {
        let (mut client, mut server) = pair().await;
        let writer = spawn(async move {
            let mut pattern = Pattern(3);
            let mut sent = 0;
            while sent < total {
                let mut chunk = [0; 50];
                pattern.fill(&mut chunk);
                client.write_all(&chunk).await.unwrap();
                sent += chunk.len();
                coreloop::task::yield_now().await;
            }
        });
        let mut pattern = Pattern(3);
        let (mut buffer, mut expected) = ([0; 37], [0; 37]);
        let mut received = 0;
        let mut dropped = 0;
        loop {
            let count = match poll_once(server.read(&mut buffer)).await {
                Some(result) => result.unwrap(),
                None => {
                    dropped += 1;
                    server.readable().await.unwrap();
                    continue;
                }
            };
            if count == 0 {
                break;
            }
            pattern.fill(&mut expected[..count]);
            assert_eq!(buffer[..count], expected[..count]);
            received += count;
        }
        assert_eq!(received, total);
        assert!(dropped > 0);
        writer.await.unwrap();
    });
}

/// A stream that always has bytes spends its task's budget, so that other tasks run.
#[test]
fn a_busy_stream_starves_no_other_task() {
    block_on(async {
        let (client, mut server) = pair().await;
        let client = Rc::new(client);
        let stop = Rc::new(Cell::new(false));
        let busy = spawn({
            let stop = stop.clone();
            async move {
                let mut byte = [0; 1];
                let mut count = 0_usize;
                // The same task writes each byte that it reads, so it never waits.
                while !stop.get() {
                    client.try_write(b"x").unwrap();
                    server.read_exact(&mut byte).await.unwrap();
                    count += 1;
                    assert!(count < 100_000, "the other task never runs");
                }
                count
            }
        });
        coreloop::task::yield_now().await;
        stop.set(true);
        assert!(busy.await.unwrap() > 0);
    });
}

#[test]
fn a_half_closed_stream_still_carries_the_answer() {
    block_on(async {
        let (mut client, mut server) = pair().await;
        let answer = spawn(async move {
            let mut question = Vec::new();
            let mut buffer = [0; 16];
            loop {
                match server.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => question.extend_from_slice(&buffer[..count]),
                }
            }
            question.reverse();
            server.write_all(&question).await.unwrap();
        });
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let error = client.write(b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let mut buffer = [0; 8];
        client.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"noitseuq");
        assert_eq!(client.read(&mut buffer).await.unwrap(), 0);
        answer.await.unwrap();
        // Shutting down a stream that the peer has closed is no error.
        client.shutdown().await.unwrap();
    });
}
