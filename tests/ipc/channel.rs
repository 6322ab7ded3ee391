//! Channels: values of several senders, long ones, and senders that end at any time.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::thread;

use coreloop::ipc::{self, Fd, Receiver, Sender, TrySendError};
use coreloop::pool::{Pool, Process};
use coreloop::{Runtime, block_on, spawn};
use coreloop_test_support::size;
use futures_lite::future::{poll_once, zip};
use rustix::net::SendFlags;
use serde_bytes::ByteBuf;

/// The longest body of a packet.
const INLINE: usize = 128 << 10;

#[coreloop::job]
fn count(sender: Sender<(u32, u64)>, name: u32, count: u64) {
    for number in 0..count {
        sender.blocking_send((name, number)).unwrap();
    }
}

#[coreloop::job]
async fn count_async(sender: Sender<(u32, u64)>, name: u32, count: u64) {
    for number in 0..count {
        sender.send((name, number)).await.unwrap();
    }
}

#[test]
fn the_values_of_each_sender_come_in_order() {
    let each = size::pick(5_000_u64, 250_000);
    block_on(async {
        let pool = Pool::builder().workers(2).build().unwrap();
        let (sender, mut receiver) = ipc::channel::<(u32, u64)>().unwrap();
        let mut jobs = Vec::new();
        jobs.push(pool.submit(count, (sender.clone(), 0, each)).await.unwrap());
        let arguments = (sender.clone(), 1, each);
        jobs.push(pool.submit(count_async, arguments).await.unwrap());
        for name in 2..4 {
            let sender = sender.clone();
            spawn(async move {
                for number in 0..each {
                    sender.send((name, number)).await.unwrap();
                }
            });
        }
        drop(sender);
        let mut next = [0; 4];
        while let Some((name, number)) = receiver.recv().await.unwrap() {
            let next = &mut next[name as usize];
            assert_eq!(number, *next);
            *next += 1;
        }
        assert_eq!(next, [each; 4]);
        for job in jobs {
            job.await.unwrap();
        }
    });
}

#[test]
fn values_of_any_length_come() {
    block_on(async {
        let (sender, mut receiver) = ipc::channel::<(u8, ByteBuf)>().unwrap();
        // The encoding adds a few bytes, on both sides of the limit.
        let around = INLINE - 8..INLINE + 3;
        let lengths = [0, 1, 1_000, 200_000, 5 << 20].into_iter().chain(around);
        for (number, length) in (0_u8..).zip(lengths) {
            let bytes = ByteBuf::from(vec![number; length]);
            let sending = sender.send((number, bytes.clone()));
            let (sent, came) = zip(sending, receiver.recv()).await;
            sent.unwrap();
            assert!(came.unwrap() == Some((number, bytes)), "{length} bytes");
        }
    });
}

#[test]
fn the_end_comes_when_all_senders_are_dropped() {
    block_on(async {
        let (sender, mut receiver) = ipc::channel::<u8>().unwrap();
        let other = sender.clone();
        let copy = Sender::<u8>::from_fd(other.as_fd().try_clone_to_owned().unwrap());
        drop((sender, other));
        copy.send(1).await.unwrap();
        assert_eq!(receiver.recv().await.unwrap(), Some(1));
        assert!(poll_once(receiver.recv()).await.is_none());
        drop(copy);
        for _ in 0..2 {
            assert_eq!(receiver.recv().await.unwrap(), None);
            assert_eq!(receiver.try_recv().unwrap(), None);
            assert_eq!(receiver.blocking_recv().unwrap(), None);
        }
    });
}

#[test]
fn sending_without_a_receiver_is_an_error() {
    block_on(async {
        let (sender, receiver) = ipc::channel::<u8>().unwrap();
        drop(receiver);
        let kinds = [
            sender.send(1).await.unwrap_err().kind(),
            sender.blocking_send(1).unwrap_err().kind(),
            io::Error::from(sender.try_send(1).unwrap_err()).kind(),
        ];
        assert_eq!(kinds, [ErrorKind::BrokenPipe; 3]);
    });
}

#[test]
fn a_full_channel_gives_the_value_back() {
    let (sender, mut receiver) = ipc::channel::<u32>().unwrap();
    let mut sent = 0;
    loop {
        match sender.try_send(sent) {
            Ok(()) => sent += 1,
            Err(TrySendError::Full(value)) => {
                assert_eq!(value, sent);
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sent > 10);
    for number in 0..sent {
        assert_eq!(receiver.try_recv().unwrap(), Some(number));
    }
    assert_eq!(
        receiver.try_recv().unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

#[test]
fn many_tasks_wait_for_room() {
    let tasks = 50_u32;
    block_on(async {
        let (sender, mut receiver) = ipc::channel::<(u32, ByteBuf)>().unwrap();
        let sending: Vec<_> = (0..tasks)
            .map(|name| {
                let sender = sender.clone();
                spawn(async move { sender.send((name, vec![0; 100_000].into())).await })
            })
            .collect();
        drop(sender);
        let mut came = HashMap::new();
        while let Some((name, _)) = receiver.recv().await.unwrap() {
            *came.entry(name).or_insert(0) += 1;
        }
        assert_eq!(came.len(), tasks as usize);
        assert!(came.values().all(|count| *count == 1));
        for task in sending {
            task.await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_send_that_is_cancelled_sends_nothing() {
    block_on(async {
        let (sender, mut receiver) = ipc::channel::<u32>().unwrap();
        let mut sent = 0;
        while sender.try_send(sent).is_ok() {
            sent += 1;
        }
        {
            let mut sending = pin!(sender.send(u32::MAX));
            for _ in 0..3 {
                assert!(poll_once(&mut sending).await.is_none());
            }
        }
        drop(sender);
        for number in 0..sent {
            assert_eq!(receiver.recv().await.unwrap(), Some(number));
        }
        assert_eq!(receiver.recv().await.unwrap(), None);
    });
}

#[test]
fn threads_and_loops_use_the_ends_one_after_the_other() {
    let (sender, receiver) = ipc::channel::<u64>().unwrap();
    let sender = sender.into_fd().unwrap();
    let thread = thread::spawn(move || {
        let sender = Sender::<u64>::from_fd(sender);
        for number in 0..10_000 {
            sender.blocking_send(number).unwrap();
        }
    });
    let mut receiver = receiver;
    let mut next = 0;
    for _ in 0..10 {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            for _ in 0..500 {
                assert_eq!(receiver.recv().await.unwrap(), Some(next));
                next += 1;
            }
        });
        for _ in 0..500 {
            assert_eq!(receiver.blocking_recv().unwrap(), Some(next));
            next += 1;
        }
    }
    thread.join().unwrap();
    assert_eq!(receiver.blocking_recv().unwrap(), None);
}

#[test]
fn ends_and_descriptors_travel_through_a_channel() {
    type Parcel = (Sender<u8>, Receiver<u8>, Fd, ByteBuf);
    block_on(async {
        let (sender, mut receiver) = ipc::channel::<Parcel>().unwrap();
        // The second one goes in a file.
        for length in [10, 1 << 20] {
            let (to, mut from) = ipc::channel().unwrap();
            let (to2, from2) = ipc::channel().unwrap();
            let (mut pipe, writer) = io::pipe().unwrap();
            let bytes = ByteBuf::from(vec![1; length]);
            sender
                .send((to, from2, writer.into(), bytes.clone()))
                .await
                .unwrap();
            let (to, mut from2, writer, came) = receiver.recv().await.unwrap().unwrap();
            assert!(came == bytes);
            to.send(1).await.unwrap();
            to2.send(2).await.unwrap();
            assert_eq!(from.recv().await.unwrap(), Some(1));
            assert_eq!(from2.recv().await.unwrap(), Some(2));
            io::PipeWriter::from(writer).write_all(b"x").unwrap();
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            assert_eq!(text, "x");
            // The other ends that were sent are closed here.
            drop(to);
            assert_eq!(from.recv().await.unwrap(), None);
        }
    });
}

fn many(count: usize) -> Vec<Fd> {
    let (reader, _) = io::pipe().unwrap();
    let clone = || reader.try_clone().unwrap().into();
    (0..count).map(|_| clone()).collect()
}

#[test]
fn a_message_has_at_most_253_descriptors_and_a_long_one_252() {
    let (sender, mut receiver) = ipc::channel::<(Vec<Fd>, ByteBuf)>().unwrap();
    let long = || ByteBuf::from(vec![0; INLINE]);
    let short = ByteBuf::new;
    for (count, bytes) in [(253, short()), (252, long())] {
        sender.blocking_send((many(count), bytes)).unwrap();
        let (came, _) = receiver.blocking_recv().unwrap().unwrap();
        assert_eq!(came.len(), count);
    }
    for (count, bytes, limit) in [(254, short(), "253 desc"), (253, long(), "252 desc")] {
        let error = sender.blocking_send((many(count), bytes)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(limit), "{error}");
    }
    sender.blocking_send((many(1), short())).unwrap();
    assert_eq!(receiver.blocking_recv().unwrap().unwrap().0.len(), 1);
}

#[test]
fn the_descriptors_of_messages_that_are_not_received_are_closed() {
    let (sender, receiver) = ipc::channel::<(Fd, ByteBuf)>().unwrap();
    let mut readers = Vec::new();
    for length in [1, INLINE] {
        let (reader, writer) = io::pipe().unwrap();
        readers.push(reader);
        let value = (OwnedFd::from(writer).into(), vec![0; length].into());
        sender.blocking_send(value).unwrap();
    }
    drop(receiver);
    for mut reader in readers {
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_packet_that_is_no_message_is_an_error_and_the_next_one_comes() {
    let (sender, mut receiver) = ipc::channel::<String>().unwrap();
    let long = vec![0; INLINE + 2];
    let packets: [(&[u8], &str); 5] = [
        (&[2, 1, b'a'], "invalid start"),
        (&[0, 9, b'a'], "does not decode"),
        // A file is missing.
        (&[1, 5, 0, 0, 0, 0, 0, 0, 0], "invalid start"),
        (&long, "longer than a packet"),
        (&[0], "does not decode"),
    ];
    for (packet, why) in packets {
        rustix::net::send(&sender, packet, SendFlags::empty()).unwrap();
        sender.blocking_send("next".to_owned()).unwrap();
        let error = receiver.blocking_recv().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(receiver.blocking_recv().unwrap(), Some("next".to_owned()));
    }
}

#[test]
fn a_file_that_is_not_sealed_or_has_another_length_is_an_error() {
    let (sender, mut receiver) = ipc::channel::<String>().unwrap();
    let folder = coreloop_test_support::folder::Folder::new();
    std::fs::write(folder.path("body"), "\x04text").unwrap();
    let file = std::fs::File::open(folder.path("body")).unwrap();
    let (pipe, _) = io::pipe().unwrap();
    for descriptor in [file.as_fd(), pipe.as_fd()] {
        for length in [5_u8, 6] {
            let packet = [1, length, 0, 0, 0, 0, 0, 0, 0];
            let packet = [io::IoSlice::new(&packet)];
            let flags = SendFlags::empty();
            coreloop::net::unix::send_with_fds(sender.as_fd(), &packet, &[descriptor], flags)
                .unwrap();
            let error = receiver.blocking_recv().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        }
    }
}

#[test]
fn a_value_above_a_limit_is_an_error_at_either_end() {
    let (sender, receiver) = ipc::channel::<ByteBuf>().unwrap();
    let mut receiver = receiver.max_message(1_000);
    let small = sender.clone().max_message(100);
    let error = small.blocking_send(vec![0; 100].into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    for length in [1_000, 1 << 20] {
        sender.blocking_send(vec![0; length].into()).unwrap();
        let error = receiver.blocking_recv().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains("at most 1000"), "{error}");
    }
    small.blocking_send(vec![0; 90].into()).unwrap();
    assert_eq!(receiver.blocking_recv().unwrap().unwrap().len(), 90);
}

/// Sends values of which each byte is the same, until it is killed.
#[coreloop::job]
fn send_for_ever(sender: Sender<ByteBuf>, byte: u8, length: usize) {
    loop {
        sender.blocking_send(vec![byte; length].into()).unwrap();
    }
}

#[test]
fn senders_that_are_killed_leave_whole_values_only() {
    let rounds = size::pick(4, 200);
    block_on(async {
        let mut random = fastrand::Rng::with_seed(7);
        // The longest packet, and a value in a file.
        for length in [INLINE - 8, INLINE * 2] {
            for _ in 0..rounds {
                let (sender, mut receiver) = ipc::channel::<ByteBuf>().unwrap();
                let mut senders = Vec::new();
                for byte in 0..8 {
                    let arguments = (sender.clone(), byte, length);
                    senders.push(Process::spawn(send_for_ever, arguments).unwrap());
                }
                drop(sender);
                let mut left = random.usize(8..40);
                while let Some(value) = receiver.recv().await.unwrap() {
                    let first = value[0];
                    assert!(value.len() == length && value.iter().all(|byte| *byte == first));
                    left = left.saturating_sub(1);
                    if left == 0
                        && let Some(mut sender) = senders.pop()
                    {
                        sender.kill();
                        assert!(sender.join().await.is_err());
                        left = random.usize(1..10);
                    }
                }
                assert!(senders.is_empty(), "the end came while there were senders");
            }
        }
    });
}

/// The kernel reports this once by another error than a receiver that has read everything.
#[test]
fn a_receiver_that_is_closed_with_unread_values_is_a_broken_pipe() {
    let closed = || {
        let (sender, receiver) = ipc::channel::<u8>().unwrap();
        sender.blocking_send(1).unwrap();
        drop(receiver);
        sender
    };
    let error = closed().blocking_send(2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert!(matches!(
        closed().try_send(2),
        Err(TrySendError::Failed(error)) if error.kind() == ErrorKind::BrokenPipe
    ));
    block_on(async {
        let error = closed().send(2).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}
