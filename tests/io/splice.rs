//! Bytes that the kernel moves from socket to socket, and from file to socket.
#![cfg(not(miri))]

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::pin::pin;

use coreloop::io::{
    AsyncReadExt, AsyncWriteExt, SplicePipe, copy_file, duplex, sendfile, splice,
    splice_bidirectional, splice_bidirectional_with_pipes,
};
use coreloop::net::TcpStream;
use coreloop::task::yield_now;
use coreloop::{block_on, join, spawn};
use coreloop_test_support::deadline::Deadline;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::pair::pair;
use futures_lite::future::poll_once;
use socket2::SockRef;

fn bytes(count: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(count as u64);
    let mut bytes = vec![0; count];
    random.fill(&mut bytes);
    bytes
}

fn shrink(streams: &[&TcpStream]) {
    for stream in streams {
        let socket = SockRef::from(*stream);
        socket.set_send_buffer_size(16 << 10).unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
    }
}

#[test]
fn all_that_one_socket_receives_goes_to_the_other() {
    block_on(async {
        let sent = bytes((5 << 20) + 3);
        let (mut client, mut from) = pair().await;
        let (mut to, mut server) = pair().await;
        let mut seen = Vec::new();
        let (written, count, read) = join!(
            async {
                client.write_all(&sent).await?;
                client.shutdown().await
            },
            async {
                let count = splice(&mut from, &mut to).await?;
                to.shutdown().await?;
                io::Result::Ok(count)
            },
            server.read_to_end(&mut seen),
        );
        written.unwrap();
        assert_eq!(count.unwrap(), sent.len() as u64);
        read.unwrap();
        assert!(seen == sent);
    });
}

#[test]
fn halves_can_be_spliced() {
    block_on(async {
        let (mut client, from) = pair().await;
        let (to, mut server) = pair().await;
        let (mut reader, _) = from.into_split();
        let (_, mut writer) = to.into_split();
        client.write_all(b"through two halves").await.unwrap();
        drop(client);
        assert_eq!(splice(&mut reader, &mut writer).await.unwrap(), 18);
        drop(writer);
        let mut seen = String::new();
        server.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen, "through two halves");
    });
}

#[test]
fn a_proxy_by_splice_carries_both_directions_and_half_closes() {
    block_on(async {
        let (up, down) = (bytes(3 << 20), bytes((1 << 20) + 1));
        let (client, mut left) = pair().await;
        let (mut right, server) = pair().await;
        let proxy = spawn(async move { splice_bidirectional(&mut left, &mut right).await });
        let (mut from_proxy, mut to_proxy) = client.into_split();
        let (mut from_client, mut to_client) = server.into_split();
        let (mut seen_up, mut seen_down) = (Vec::new(), Vec::new());
        let (sent, answered, got) = join!(
            async {
                to_proxy.write_all(&up).await?;
                to_proxy.shutdown().await
            },
            async {
                // The server answers only after the client's end.
                from_client.read_to_end(&mut seen_up).await?;
                to_client.write_all(&down).await?;
                to_client.shutdown().await
            },
            from_proxy.read_to_end(&mut seen_down),
        );
        sent.unwrap();
        answered.unwrap();
        got.unwrap();
        assert!(seen_up == up && seen_down == down);
        let counts = (up.len() as u64, down.len() as u64);
        assert_eq!(proxy.await.unwrap().unwrap(), counts);
    });
}

#[test]
fn a_splice_waits_for_a_slow_reader_and_loses_nothing_when_dropped() {
    block_on(async {
        let (mut client, mut from) = pair().await;
        let (mut to, mut server) = pair().await;
        shrink(&[&to, &server]);
        let sent = bytes(4 << 20);
        let copy = sent.clone();
        let sender = spawn(async move {
            client.write_all(&copy).await.unwrap();
            client
        });
        let mut pipe = SplicePipe::new();
        // Polls until bytes wait in the pipe, because the reader does not read.
        let deadline = Deadline::new();
        while pipe.bytes_read() == pipe.bytes_written() {
            deadline.check();
            // Each poll is of a new future.
            let moved = poll_once(pipe.splice(&mut from, &mut to)).await;
            assert!(moved.is_none());
            yield_now().await;
        }
        let stuck = pipe.bytes_read();
        assert!(stuck < sent.len() as u64);

        let mut seen = vec![0; usize::try_from(pipe.bytes_written()).unwrap()];
        server.read_exact(&mut seen).await.unwrap();
        seen.extend(pipe.into_unwritten().unwrap());
        assert_eq!(seen.len() as u64, stuck);
        // The bytes after those in the pipe are still in the socket.
        let rest = spawn(async move {
            let mut rest = Vec::new();
            from.read_to_end(&mut rest).await.unwrap();
            rest
        });
        drop(sender.await.unwrap());
        seen.extend(rest.await.unwrap());
        assert!(seen == sent);
    });
}

#[test]
fn a_dropped_proxy_can_be_continued_with_its_pipes() {
    block_on(async {
        let (mut client, mut left) = pair().await;
        let (mut right, mut server) = pair().await;
        let (mut up, mut down) = (SplicePipe::new(), SplicePipe::new());
        let mut seen = Vec::new();
        for round in 0..20_u8 {
            let message = [round; 100];
            client.write_all(&message).await.unwrap();
            let mut echo = [0; 100];
            {
                let mut read = server.read_exact(&mut echo);
                let deadline = Deadline::new();
                while poll_once(&mut read).await.is_none() {
                    deadline.check();
                    let proxy =
                        splice_bidirectional_with_pipes(&mut left, &mut right, &mut up, &mut down);
                    assert!(poll_once(proxy).await.is_none());
                    yield_now().await;
                }
            }
            seen.push(echo[99]);
        }
        assert_eq!(seen, Vec::from_iter(0..20));
        assert_eq!((up.bytes_read(), up.bytes_written()), (2000, 2000));
        assert_eq!((down.bytes_read(), down.bytes_written()), (0, 0));
        assert!(up.into_unwritten().unwrap().is_empty());
    });
}

#[test]
fn a_reset_of_either_peer_is_an_error() {
    block_on(async {
        // The peer that sends.
        let (mut client, mut from) = pair().await;
        let (mut to, server) = pair().await;
        client.write_all(b"some").await.unwrap();
        SockRef::from(&client)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
        drop(client);
        let error = splice(&mut from, &mut to).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        drop(server);

        // The peer that receives.
        let (mut client, mut from) = pair().await;
        let (mut to, server) = pair().await;
        SockRef::from(&server)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
        drop(server);
        to.readable().await.unwrap();
        client.write_all(b"for no one").await.unwrap();
        let mut pipe = SplicePipe::new();
        let error = pipe.splice(&mut from, &mut to).await.unwrap_err();
        assert!(
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            ),
            "{error}"
        );
        assert_eq!((pipe.bytes_read(), pipe.bytes_written()), (10, 0));
        assert_eq!(pipe.into_unwritten().unwrap(), b"for no one");
    });
}

/// Urgent data used to stop a splice for good, and the bytes after it were lost when
/// the peer closed, because the kernel reports urgent data as the end then.
#[test]
fn urgent_data_neither_stops_a_splice_nor_ends_it() {
    block_on(async {
        for closes_before in [true, false] {
            let (mut client, mut from) = pair().await;
            let (mut to, mut server) = pair().await;
            client.write_all(b"before ").await.unwrap();
            SockRef::from(&client).send_out_of_band(b"!").unwrap();
            client.write_all(b"after").await.unwrap();
            if closes_before {
                client.shutdown().await.unwrap();
                from.readable().await.unwrap();
            }
            let splicing = spawn(async move {
                let count = splice(&mut from, &mut to).await?;
                to.shutdown().await?;
                io::Result::Ok(count)
            });
            let mut seen = [0; 12];
            server.read_exact(&mut seen).await.unwrap();
            assert_eq!(&seen, b"before after");
            client.shutdown().await.unwrap();
            assert_eq!(splicing.await.unwrap().unwrap(), 12);
            assert_eq!(server.read(&mut seen).await.unwrap(), 0);
        }
    });
}

/// Returns an open file that has already been removed from its directory.
fn file(bytes: &[u8]) -> File {
    let folder = Folder::new();
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(folder.path("file"))
        .unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn a_file_is_sent_whole_or_in_part() {
    block_on(async {
        let sent = bytes((2 << 20) + 5);
        let file = file(&sent);
        let length = sent.len() as u64;
        let ranges: [(Range<u64>, Range<usize>); 5] = [
            (0..length, 0..sent.len()),
            (0..u64::MAX, 0..sent.len()),
            (1000..300_000, 1000..300_000),
            (length - 3..length + 3, sent.len() - 3..sent.len()),
            (7..7, 7..7),
        ];
        for (range, expected) in ranges {
            for by_pool in [false, true] {
                let (mut client, mut server) = pair().await;
                let mut left = range.clone();
                let mut seen = Vec::new();
                let (count, read) = join!(
                    async {
                        let count = if by_pool {
                            copy_file(&file, &mut left, &mut client).await
                        } else {
                            sendfile(&file, &mut left, &mut client).await
                        };
                        client.shutdown().await.unwrap();
                        count
                    },
                    server.read_to_end(&mut seen),
                );
                assert_eq!(count.unwrap(), expected.len() as u64);
                read.unwrap();
                assert!(seen == sent[expected.clone()], "{range:?}");
                assert_eq!(left, expected.end as u64..range.end);
            }
        }
    });
}

#[test]
fn a_dropped_transfer_of_a_file_continues_where_it_stopped() {
    block_on(async {
        let sent = bytes(1 << 20);
        let file = file(&sent);
        for by_pool in [false, true] {
            let (mut client, mut server) = pair().await;
            shrink(&[&client, &server]);
            let mut range = 0..sent.len() as u64;
            let mut seen = Vec::new();
            let mut buffer = [0; 10_000];
            while seen.len() < sent.len() {
                let before = range.start;
                // The future is dropped whenever the socket is full or the pool is at work.
                let ended = if by_pool {
                    let mut copying = pin!(copy_file(&file, &mut range, &mut client));
                    coreloop::select! {
                        biased;
                        ended = &mut copying => Some(ended),
                        () = progress(&server) => None,
                    }
                } else {
                    yield_now().await;
                    poll_once(sendfile(&file, &mut range, &mut client)).await
                };
                assert!(range.start >= before);
                if let Some(Err(error)) = ended {
                    panic!("{error}");
                }
                assert!(seen.len() as u64 <= range.start);
                while seen.len() < usize::try_from(range.start).unwrap() {
                    match server.read(&mut buffer).await.unwrap() {
                        0 => panic!("the stream ended early"),
                        count => seen.extend_from_slice(&buffer[..count]),
                    }
                }
            }
            assert!(seen == sent);
            assert_eq!(range.start, range.end);
        }
    });
}

/// Waits until bytes have arrived.
async fn progress(server: &TcpStream) {
    server.peek(&mut [0]).await.unwrap();
}

#[test]
fn a_file_goes_to_any_stream_through_the_pool() {
    block_on(async {
        let sent = bytes(400_000);
        let file = file(&sent);
        let (mut client, mut server) = duplex(1000);
        let mut seen = Vec::new();
        let (count, read) = join!(
            async {
                let count = copy_file(&file, &mut (0..u64::MAX), &mut client).await;
                client.close().await.unwrap();
                count
            },
            server.read_to_end(&mut seen),
        );
        assert_eq!(count.unwrap(), 400_000);
        assert_eq!(read.unwrap(), 400_000);
        assert!(seen == sent);
    });
}

#[test]
fn a_file_sent_to_a_closed_peer_is_an_error_and_the_range_shows_the_progress() {
    block_on(async {
        let file = file(&bytes(1 << 20));
        let (mut client, server) = pair().await;
        SockRef::from(&server)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
        drop(server);
        client.readable().await.unwrap();
        let mut range = 100..1 << 20;
        let error = sendfile(&file, &mut range, &mut client).await.unwrap_err();
        assert!(
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            ),
            "{error}"
        );
        assert_eq!(range.start, 100);
    });
}

/// A file that sendfile(2) does not take is read in the blocking pool instead, and it is
/// that read which returns the error.
#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    block_on(async {
        let folder = Folder::new();
        let opened = File::open(folder.as_path()).unwrap();
        let (mut client, _server) = pair().await;
        let error = sendfile(&opened, &mut (0..10), &mut client)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    });
}
