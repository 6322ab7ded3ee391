//! Descriptors beside the bytes of Unix streams and datagrams: how many, which bytes they come
//! with, and who closes those that are not received. Their loss at the limit of the receiver
//! is in `net_descriptor_limit`.
#![cfg(not(miri))] // Miri has neither sendmsg nor recvmsg.

use std::fs::File;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use coreloop::net::unix::{MAX_FDS, ReceivedFds};
use coreloop::net::{UnixDatagram, UnixStream};
use coreloop::task::yield_now;
use coreloop::{block_on, spawn};
use coreloop_test_support::folder::Folder;
use futures_lite::future::poll_once;

/// Returns what is read from a pipe after `fds`, which must be one writer of it, has written.
fn write_and_close(fds: ReceivedFds, mut reader: PipeReader) -> String {
    let fds = fds.into_all().unwrap();
    let [fd] = <[OwnedFd; 1]>::try_from(fds).unwrap();
    File::from(fd).write_all(b"through the pipe").unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

/// Waits until no process has the writing end any more.
fn wait_for_end(mut reader: PipeReader) {
    assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);
}

/// Returns a number that is different for each open pipe.
fn identity(pipe: impl AsFd) -> u64 {
    rustix::fs::fstat(pipe).unwrap().st_ino
}

fn pipes<const N: usize>() -> [(PipeReader, PipeWriter); N] {
    [(); N].map(|()| pipe().unwrap())
}

#[test]
fn a_stream_brings_a_descriptor_that_is_closed_on_exec() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (reader, writer) = pipe().unwrap();
        let sent = one.send_with_fds(b"one", &[writer.as_fd()]).await.unwrap();
        assert_eq!(sent, 3);
        drop(writer);
        let mut buffer = [0; 64];
        let (count, fds) = other.recv_with_fds(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], b"one");
        assert!(fds.is_complete());
        let fds = fds.into_received();
        for fd in &fds {
            let flags = rustix::io::fcntl_getfd(fd).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
        assert_eq!(fds.len(), 1);
        drop(fds);
        wait_for_end(reader);
    });
}

#[test]
fn bytes_without_descriptors_are_ordinary_bytes() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        assert_eq!(one.send_with_fds(b"none", &[]).await.unwrap(), 4);
        assert_eq!(other.read(&mut [0; 64]).await.unwrap(), 4);
        assert_eq!(one.send_with_fds(b"", &[]).await.unwrap(), 0);
        one.write_all(b"none").await.unwrap();
        let (count, fds) = other.recv_with_fds(&mut [0; 64]).await.unwrap();
        assert_eq!((count, fds.into_all().unwrap().len()), (4, 0));
        // An empty buffer takes nothing, like in a read.
        one.send_with_fds(b"x", &[other.as_fd()]).await.unwrap();
        let (count, fds) = other.recv_with_fds(&mut []).await.unwrap();
        assert_eq!((count, fds.into_all().unwrap().len()), (0, 0));
        let (count, fds) = other.try_recv_with_fds(&mut []).unwrap();
        assert_eq!((count, fds.into_all().unwrap().len()), (0, 0));
        let (count, fds) = other.recv_with_fds(&mut [0; 64]).await.unwrap();
        assert_eq!((count, fds.into_all().unwrap().len()), (1, 1));
        drop(one);
        let (count, fds) = other.recv_with_fds(&mut [0; 64]).await.unwrap();
        assert_eq!((count, fds.into_all().unwrap().len()), (0, 0));
    });
}

#[test]
fn the_maximum_number_of_descriptors_is_sent_and_one_more_is_refused() {
    assert_eq!(MAX_FDS, 253);
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (datagram, receiver) = UnixDatagram::pair().unwrap();
        let (_reader, writer) = pipe().unwrap();
        let fds = [writer.as_fd(); MAX_FDS + 1];

        one.send_with_fds(b"most", &fds[1..]).await.unwrap();
        datagram.send_with_fds(b"most", &fds[1..]).await.unwrap();
        let (count, came) = other.recv_with_fds(&mut [0; 64]).await.unwrap();
        assert_eq!((count, came.into_all().unwrap().len()), (4, MAX_FDS));
        let (count, came) = receiver.recv_with_fds(&mut [0; 64]).await.unwrap();
        assert_eq!((count, came.into_all().unwrap().len()), (4, MAX_FDS));

        let kinds = [
            one.send_with_fds(b"more", &fds).await.unwrap_err().kind(),
            one.try_send_with_fds(b"more", &fds).unwrap_err().kind(),
            datagram.send_with_fds(b"", &fds).await.unwrap_err().kind(),
            datagram.try_send_with_fds(b"", &fds).unwrap_err().kind(),
            datagram
                .send_to_with_fds(b"", &fds, "/missing")
                .await
                .unwrap_err()
                .kind(),
        ];
        assert_eq!(kinds, [ErrorKind::InvalidInput; 5]);
        assert!(poll_once(other.read(&mut [0; 8])).await.is_none());
        assert!(poll_once(receiver.recv(&mut [0; 8])).await.is_none());
    });
}

#[test]
fn mistakes_are_found_though_the_stream_is_full() {
    block_on(async {
        let (mut one, other) = UnixStream::pair().unwrap();
        while one.try_write(&[0; 4096]).is_ok() {}
        // From now on the loop knows that the stream is not writable.
        assert!(poll_once(one.write(b"x")).await.is_none());
        let fds = [other.as_fd(); MAX_FDS + 1];
        for (bytes, fds) in [(&b"x"[..], &fds[..]), (b"", &fds[..1])] {
            let error = one.send_with_fds(bytes, fds).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let error = one.try_send_with_fds(bytes, fds).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        let error = one.try_send_with_fds(b"x", &fds[..1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_datagram_brings_descriptors_without_bytes() {
    block_on(async {
        let (one, other) = UnixDatagram::pair().unwrap();
        let (reader, writer) = pipe().unwrap();
        let sent = one.send_with_fds(b"", &[writer.as_fd()]).await.unwrap();
        assert_eq!(sent, 0);
        drop(writer);
        let (count, fds) = other.recv_with_fds(&mut []).await.unwrap();
        assert_eq!(count, 0);
        assert_eq!(write_and_close(fds, reader), "through the pipe");
    });
}

#[test]
fn descriptors_come_with_the_first_part_of_their_bytes() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.send_with_fds(b"in two parts", &[other.as_fd(); 2])
            .await
            .unwrap();
        let (count, fds) = other.recv_with_fds(&mut [0; 6]).await.unwrap();
        assert_eq!((count, fds.into_all().unwrap().len()), (6, 2));
        let (count, fds) = other.recv_with_fds(&mut [0; 6]).await.unwrap();
        assert_eq!((count, fds.into_all().unwrap().len()), (6, 0));
    });
}

/// The documentation promises this of Linux only.
#[test]
#[cfg(target_os = "linux")]
fn a_read_ends_after_the_bytes_that_brought_descriptors() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.write_all(b"before ").await.unwrap();
        for _ in 0..2 {
            one.send_with_fds(b"with", &[other.as_fd(); 3])
                .await
                .unwrap();
        }
        one.write_all(b"after").await.unwrap();
        let mut buffer = [0; 64];
        for (bytes, number) in [("before with", 3), ("with", 3), ("after", 0)] {
            let (count, fds) = other.recv_with_fds(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..count], bytes.as_bytes());
            assert_eq!(fds.into_all().unwrap().len(), number);
        }
    });
}

/// The descriptors have gone with the first byte, and the rest brings none.
#[test]
fn a_write_in_part_has_sent_all_descriptors() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let bytes = vec![7; 4 << 20];
        let (reader, writer) = pipe().unwrap();
        let sent = one.send_with_fds(&bytes, &[writer.as_fd()]).await.unwrap();
        assert!((1..bytes.len()).contains(&sent), "{sent}");
        drop(writer);
        let rest = spawn({
            let rest = bytes[sent..].to_vec();
            async move { one.write_all(&rest).await }
        });
        let mut buffer = vec![0; 10_000];
        let (mut total, fds) = other.recv_with_fds(&mut buffer).await.unwrap();
        assert_eq!(write_and_close(fds, reader), "through the pipe");
        while total < bytes.len() {
            let (count, fds) = other.recv_with_fds(&mut buffer).await.unwrap();
            assert_eq!(fds.into_all().unwrap().len(), 0);
            total += count;
        }
        assert_eq!(total, bytes.len());
        rest.await.unwrap().unwrap();
    });
}

#[test]
fn an_ordinary_read_closes_descriptors() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        for way in 0..4 {
            let (reader, writer) = pipe().unwrap();
            if way < 2 {
                one.send_with_fds(b"x", &[writer.as_fd()]).await.unwrap();
            } else {
                sender.send_with_fds(b"x", &[writer.as_fd()]).await.unwrap();
            }
            drop(writer);
            let count = match way {
                0 => other.read(&mut [0; 8]).await.unwrap(),
                1 => futures_lite::AsyncReadExt::read(&mut &other, &mut [0; 8])
                    .await
                    .unwrap(),
                2 => receiver.recv(&mut [0; 8]).await.unwrap(),
                _ => receiver.recv_from(&mut [0; 8]).await.unwrap().0,
            };
            assert_eq!(count, 1);
            wait_for_end(reader);
        }
    });
}

#[test]
fn descriptors_that_are_not_received_are_closed() {
    block_on(async {
        let [first, second, third] = pipes();
        let (mut one, other) = UnixStream::pair().unwrap();
        one.send_with_fds(b"x", &[first.1.as_fd()]).await.unwrap();
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        sender
            .send_with_fds(b"x", &[second.1.as_fd()])
            .await
            .unwrap();
        drop((first.1, second.1, one, other, sender, receiver));
        wait_for_end(first.0);
        wait_for_end(second.0);

        // Received and not taken.
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.send_with_fds(b"x", &[third.1.as_fd()]).await.unwrap();
        drop(third.1);
        let (_, fds) = other.recv_with_fds(&mut [0; 8]).await.unwrap();
        drop(fds);
        wait_for_end(third.0);
    });
}

#[test]
fn a_receiver_waits_and_loses_nothing_when_dropped() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        for _ in 0..3 {
            let mut buffer = [0; 8];
            assert!(poll_once(other.recv_with_fds(&mut buffer)).await.is_none());
        }
        let error = other.try_recv_with_fds(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let receiver = spawn(async move { other.recv_with_fds(&mut [0; 8]).await });
        yield_now().await;
        let (reader, writer) = pipe().unwrap();
        one.send_with_fds(b"late", &[writer.as_fd()]).await.unwrap();
        drop(writer);
        let (count, fds) = receiver.await.unwrap().unwrap();
        assert_eq!(count, 4);
        assert_eq!(write_and_close(fds, reader), "through the pipe");
    });
}

#[test]
fn a_sender_waits_for_room_and_sends_nothing_when_dropped() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let mut filled = 0;
        while let Ok(count) = one.try_write(&[0; 4096]) {
            filled += count;
        }
        let (dropped, writer) = pipe().unwrap();
        let mut fds = [writer.as_fd()];
        assert!(poll_once(one.send_with_fds(b"x", &fds)).await.is_none());
        let (reader, kept) = pipe().unwrap();
        fds = [kept.as_fd()];
        let sending = async {
            assert_eq!(one.send_with_fds(b"with", &fds).await.unwrap(), 4);
        };
        let receiving = async {
            yield_now().await;
            let mut buffer = vec![0; 4096];
            let mut total = 0;
            loop {
                let (count, fds) = other.recv_with_fds(&mut buffer).await.unwrap();
                total += count;
                let fds = fds.into_all().unwrap();
                if total == filled + 4 {
                    return fds;
                }
                assert_eq!(fds.len(), 0);
            }
        };
        let ((), came) = coreloop::join!(sending, receiving);
        assert_eq!(came.len(), 1);
        assert_eq!(identity(&came[0]), identity(&reader));
        drop(writer);
        wait_for_end(dropped);
    });
}

#[test]
fn halves_send_and_receive_descriptors() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        {
            let (_, mut writer) = one.split();
            let (mut reader, _) = other.split();
            let (pipe_reader, pipe_writer) = pipe().unwrap();
            writer
                .send_with_fds(b"x", &[pipe_writer.as_fd()])
                .await
                .unwrap();
            let (_, fds) = reader.recv_with_fds(&mut [0; 8]).await.unwrap();
            drop(pipe_writer);
            assert_eq!(write_and_close(fds, pipe_reader), "through the pipe");
            writer.try_send_with_fds(b"x", &[]).unwrap();
            let (count, _) = reader.try_recv_with_fds(&mut [0; 8]).unwrap();
            assert_eq!(count, 1);
        }
        let (_reader, mut writer) = one.into_split();
        let (mut reader, _writer) = other.into_split();
        let receiving = spawn(async move {
            let (count, fds) = reader.recv_with_fds(&mut [0; 8]).await.unwrap();
            assert!(reader.try_recv_with_fds(&mut [0; 8]).is_err());
            (count, fds)
        });
        yield_now().await;
        let (pipe_reader, pipe_writer) = pipe().unwrap();
        writer
            .send_with_fds(b"owned", &[pipe_writer.as_fd()])
            .await
            .unwrap();
        drop(pipe_writer);
        let (count, fds) = receiving.await.unwrap();
        assert_eq!(count, 5);
        assert_eq!(write_and_close(fds, pipe_reader), "through the pipe");
        writer.try_send_with_fds(b"x", &[]).unwrap();
    });
}

#[test]
fn datagrams_with_descriptors_reach_a_path_and_name_their_sender() {
    let folder = Folder::new();
    block_on(async {
        let server = UnixDatagram::bind(folder.path("server")).unwrap();
        let client = UnixDatagram::bind(folder.path("client")).unwrap();
        let (reader, writer) = pipe().unwrap();
        client
            .send_to_with_fds(b"ping", &[writer.as_fd()], folder.path("server"))
            .await
            .unwrap();
        drop(writer);
        let mut buffer = [0; 8];
        let (count, fds, from) = server.recv_from_with_fds(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], b"ping");
        assert_eq!(write_and_close(fds, reader), "through the pipe");
        assert_eq!(from.as_pathname(), Some(folder.path("client").as_path()));

        server
            .send_to_addr_with_fds(b"pong", &[server.as_fd()], &from)
            .await
            .unwrap();
        let (count, fds) = client.try_recv_with_fds(&mut buffer).unwrap();
        assert_eq!((count, fds.into_all().unwrap().len()), (4, 1));
        let error = client.try_recv_with_fds(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);

        // A socket that is not bound has no name.
        let stranger = UnixDatagram::unbound().unwrap();
        stranger.connect(folder.path("server")).unwrap();
        stranger
            .try_send_with_fds(b"too long", &[server.as_fd()])
            .unwrap();
        let (count, fds, from) = server.recv_from_with_fds(&mut buffer[..3]).await.unwrap();
        assert_eq!((count, fds.into_all().unwrap().len()), (3, 1));
        assert!(from.is_unnamed());
        stranger
            .try_send_to_with_fds(b"here", &[server.as_fd()], folder.path("server"))
            .unwrap();
        let (count, fds, from) = server.try_recv_from_with_fds(&mut buffer).unwrap();
        assert_eq!((count, fds.into_all().unwrap().len()), (4, 1));
        assert!(from.is_unnamed());
        let error = server.try_recv_from_with_fds(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let error = stranger
            .send_to_with_fds(b"x", &[server.as_fd()], folder.path("missing"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn the_sender_of_descriptors_may_have_an_abstract_name() {
    use coreloop::net::unix::SocketAddr;

    block_on(async {
        let name = format!("coreloop descriptors {}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let server = UnixDatagram::bind_addr(&address).unwrap();
        server
            .send_to_addr_with_fds(b"to itself", &[server.as_fd()], &address)
            .await
            .unwrap();
        let (count, fds, from) = server.recv_from_with_fds(&mut [0; 16]).await.unwrap();
        assert_eq!((count, fds.into_all().unwrap().len()), (9, 1));
        assert_eq!(from.as_abstract_name(), Some(name.as_bytes()));
    });
}

#[test]
fn a_datagram_with_descriptors_waits_until_the_receiver_has_room() {
    let folder = Folder::new();
    block_on(async {
        let receiver = UnixDatagram::bind(folder.path("receiver")).unwrap();
        let filler = UnixDatagram::unbound().unwrap();
        let mut filled = 0;
        while filler.try_send_to(b"x", folder.path("receiver")).is_ok() {
            filled += 1;
        }
        let sender = UnixDatagram::unbound().unwrap();
        let path = folder.path("receiver");
        let fds = [receiver.as_fd()];
        let sending = sender.send_to_with_fds(b"late", &fds, path);
        let receiving = async {
            yield_now().await;
            for _ in 0..filled {
                receiver.recv(&mut [0; 8]).await.unwrap();
            }
            receiver.recv_with_fds(&mut [0; 8]).await.unwrap()
        };
        let (sent, (count, came)) = coreloop::join!(sending, receiving);
        assert_eq!(sent.unwrap(), 4);
        assert_eq!((count, came.into_all().unwrap().len()), (4, 1));
    });
}

/// Messages of random lengths with random numbers of descriptors, and reads of random lengths:
/// all bytes and all descriptors come, in order.
#[test]
fn descriptors_keep_their_order_however_the_stream_is_read() {
    const MESSAGES: usize = 300;

    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let pipes = pipes::<16>();
    let names: Vec<u64> = pipes.iter().map(|(_, writer)| identity(writer)).collect();
    let messages: Vec<(usize, Vec<usize>)> = (0..MESSAGES)
        .map(|_| {
            let length = random.usize(1..3000);
            let fds = 0..random.usize(0..6);
            (length, fds.map(|_| random.usize(0..16)).collect())
        })
        .collect();
    let lengths: Vec<usize> = (0..MESSAGES).map(|_| random.usize(1..4000)).collect();
    let sent: Vec<u64> = messages
        .iter()
        .flat_map(|(_, fds)| fds.iter().map(|&at| names[at]))
        .collect();
    let total: usize = messages.iter().map(|(length, _)| length).sum();
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let sending = async {
            for (length, fds) in &messages {
                let fds: Vec<BorrowedFd<'_>> = fds.iter().map(|&at| pipes[at].1.as_fd()).collect();
                let bytes = vec![0; *length];
                let count = one.send_with_fds(&bytes, &fds).await.unwrap();
                one.write_all(&bytes[count..]).await.unwrap();
            }
        };
        let receiving = async {
            let mut came = Vec::new();
            let mut left = total;
            for length in lengths.iter().cycle() {
                let mut buffer = vec![0; *length];
                let (count, fds) = other.recv_with_fds(&mut buffer).await.unwrap();
                came.extend(fds.into_all().unwrap().iter().map(identity));
                left -= count;
                if left == 0 {
                    break;
                }
            }
            came
        };
        let ((), came) = coreloop::join!(sending, receiving);
        assert_eq!(came, sent, "with seed {seed}");
    });
}
