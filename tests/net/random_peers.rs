//! Connections whose ends act at random, against an exact model: byte `n` of a direction
//! is a function of `n`, so every byte that arrives is checked, in every way of reading.
//!
//! An end that ends well sends all its bytes, closes, and reads to the end: two such ends
//! receive exactly what the other has sent. If an end leaves early, perhaps in the middle
//! of a write, or resets the connection, bytes that were on their way may be lost; but the
//! bytes that arrive are unchanged, in order and without a gap.
#![cfg(not(miri))] // Too many bytes for Miri.

use std::future::pending;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};

use coreloop::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use coreloop::net::{TcpListener, TcpStream};
use coreloop::task::JoinSet;
use fastrand::Rng;
use futures_lite::future::{or, zip};

const SEEDS: u64 = 4;
const CONNECTIONS: usize = 250;

#[test]
fn every_byte_arrives_in_order_whatever_the_peers_do() {
    for seed in 0..SEEDS {
        coreloop::block_on(connect_many(seed)).expect("loopback works");
    }
}

async fn connect_many(seed: u64) -> io::Result<()> {
    let mut rng = Rng::with_seed(seed);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut ends = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let client = TcpStream::connect(listener.local_addr()?).await?;
        let (server, _) = listener.accept().await?;
        let (one, other) = (Plan::random(&mut rng), Plan::random(&mut rng));
        ends.spawn(end(client, one, other, rng.fork()));
        ends.spawn(end(server, other, one, rng.fork()));
    }
    while let Some(end) = ends.join_next().await {
        end.expect("an end receives the right bytes");
    }
    Ok(())
}

/// The plan of one end of a connection.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// The number of bytes to send.
    length: usize,
    sharing: Sharing,
    /// The number of read bytes after which the end leaves, if it leaves early.
    early: Option<usize>,
    resets: bool,
}

/// How the reader and the writer of an end share its stream.
#[derive(Clone, Copy, Debug)]
enum Sharing {
    Halves,
    OwnedHalves,
    References,
    Readiness,
}

impl Plan {
    fn random(rng: &mut Rng) -> Plan {
        let most = 1 << rng.u32(0..18);
        Plan {
            length: rng.usize(0..most),
            sharing: match rng.u8(0..4) {
                0 => Sharing::Halves,
                1 => Sharing::OwnedHalves,
                2 => Sharing::References,
                _ => Sharing::Readiness,
            },
            early: (rng.u8(0..5) < 2).then(|| rng.usize(0..most)),
            resets: rng.bool(),
        }
    }

    fn ends_well(&self) -> bool {
        self.early.is_none()
    }
}

/// The result of one direction: the number of bytes, and whether it reached its end.
type Outcome = (usize, bool);

/// Runs one end of a connection.
async fn end(mut stream: TcpStream, mine: Plan, theirs: Plan, mut rng: Rng) {
    let (sends, reads) = (rng.fork(), rng.fork());
    let length = mine.length;
    let (sent, received) = match mine.sharing {
        Sharing::Halves => {
            let (reader, writer) = stream.split();
            let sends = send(writer, length, sends);
            both(mine, sends, receive(reader, mine, reads)).await
        }
        Sharing::OwnedHalves => {
            let (mut reader, mut writer) = stream.into_split();
            let sends = send(&mut writer, length, sends);
            let outcomes = both(mine, sends, receive(&mut reader, mine, reads)).await;
            stream = reader.reunite(writer).expect("the halves of one stream");
            outcomes
        }
        Sharing::References => {
            let sends = send(&stream, length, sends);
            both(mine, sends, receive(&stream, mine, reads)).await
        }
        Sharing::Readiness => {
            let sends = try_to_send(&stream, length, sends);
            both(mine, sends, try_to_receive(&stream, mine, reads)).await
        }
    };
    assert!(received.0 <= theirs.length, "{mine:?} {theirs:?}");
    if mine.ends_well() && theirs.ends_well() {
        assert_eq!(sent, (mine.length, true), "{mine:?} {theirs:?}");
        assert_eq!(received, (theirs.length, true), "{mine:?} {theirs:?}");
    } else if mine.resets && !mine.ends_well() {
        stream.set_zero_linger().expect("an option");
    }
}

/// Sends and receives at once; or leaves when enough is read, whatever is being written.
async fn both(
    plan: Plan,
    sends: impl Future<Output = Outcome>,
    receives: impl Future<Output = Outcome>,
) -> (Outcome, Outcome) {
    if plan.ends_well() {
        return zip(sends, receives).await;
    }
    let sends = async {
        sends.await;
        pending().await
    };
    ((0, false), or(receives, sends).await)
}

async fn send(mut writer: impl AsyncWrite + Unpin, length: usize, mut rng: Rng) -> Outcome {
    let mut sent = 0;
    while sent < length {
        let bytes = piece(sent, length, &mut rng);
        let (head, tail) = bytes.split_at(rng.usize(0..=bytes.len()));
        let written = match rng.u8(0..3) {
            0 => writer.write(&bytes).await,
            1 => writer.write_all(&bytes).await.map(|()| bytes.len()),
            _ => {
                writer
                    .write_vectored(&[IoSlice::new(head), IoSlice::new(tail)])
                    .await
            }
        };
        match written {
            Ok(count) => sent += count,
            Err(error) => return (sent, is_end(&error)),
        }
    }
    let closed = writer.close().await;
    (sent, closed.is_ok())
}

async fn receive(mut reader: impl AsyncRead + Unpin, plan: Plan, mut rng: Rng) -> Outcome {
    let mut received = 0;
    let most = 1 << rng.u32(1..17);
    while plan.early.is_none_or(|early| received < early) {
        let mut head = vec![0; rng.usize(1..=most)];
        let mut tail = vec![0; rng.usize(1..=most)];
        let read = if rng.bool() {
            reader.read(&mut head).await
        } else {
            let mut parts = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
            reader.read_vectored(&mut parts).await
        };
        match read {
            Ok(0) => return (received, true),
            Ok(count) => {
                head.extend(tail);
                check(&head[..count], &mut received);
            }
            Err(error) => return (received, is_end(&error)),
        }
    }
    (received, false)
}

/// Like [`send`], by operations that do not wait.
async fn try_to_send(stream: &TcpStream, length: usize, mut rng: Rng) -> Outcome {
    let mut sent = 0;
    while sent < length {
        let bytes = piece(sent, length, &mut rng);
        match stream.try_write(&bytes) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stream.writable().await.expect("the runtime is there");
            }
            Err(error) => return (sent, is_end(&error)),
        }
    }
    let closed = (&mut &*stream).close().await;
    (sent, closed.is_ok())
}

/// Like [`receive`], by operations that do not wait.
async fn try_to_receive(stream: &TcpStream, plan: Plan, mut rng: Rng) -> Outcome {
    let mut received = 0;
    let most = 1 << rng.u32(1..17);
    while plan.early.is_none_or(|early| received < early) {
        let mut buffer = vec![0; rng.usize(1..=most)];
        match stream.try_read(&mut buffer) {
            Ok(0) => return (received, true),
            Ok(count) => check(&buffer[..count], &mut received),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                stream.readable().await.expect("the runtime is there");
            }
            Err(error) => return (received, is_end(&error)),
        }
    }
    (received, false)
}

/// Returns the next bytes to send: some of those that are left, or all.
fn piece(sent: usize, length: usize, rng: &mut Rng) -> Vec<u8> {
    let most = length - sent;
    let count = if rng.bool() {
        most
    } else {
        rng.usize(1..=most)
    };
    (sent..sent + count).map(byte).collect()
}

fn check(bytes: &[u8], received: &mut usize) {
    for &found in bytes {
        assert_eq!(found, byte(*received), "byte {received}");
        *received += 1;
    }
}

/// Returns the byte at a place. The bytes have no period that a buffer could have.
fn byte(place: usize) -> u8 {
    place.wrapping_mul(0x9e37_79b1).to_le_bytes()[3]
}

/// Returns `false`, because an error is no proper end. Panics unless it is an error that a
/// peer that has left may cause.
fn is_end(error: &io::Error) -> bool {
    let left = matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::NotConnected
    );
    assert!(left, "{error}");
    false
}
