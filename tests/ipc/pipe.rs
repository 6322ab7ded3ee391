//! Pipes: values through both directions, and what becomes of them when something goes wrong.

use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::task::Poll;
use std::thread;

use coreloop::ipc::{self, Fd, Pipe, PipeReceiver, PipeSender, TrySendError};
use coreloop::{Runtime, block_on, spawn};
use coreloop_test_support::codecs::Does;
use coreloop_test_support::panics::recorded;
use coreloop_test_support::size;
use futures_lite::future::{poll_once, zip};

/// More than a socket holds.
const LARGE: usize = 3 << 20;

fn large(byte: u8) -> serde_bytes::ByteBuf {
    serde_bytes::ByteBuf::from(vec![byte; LARGE])
}

#[test]
fn values_come_in_order_in_both_directions() {
    let count = size::pick(20_000_u64, 1_000_000);
    block_on(async {
        let (mut here, mut there) = ipc::pipe::<u64, (u64, String)>().unwrap();
        let echo = spawn(async move {
            while let Some(number) = there.recv().await.unwrap() {
                there.send((number, number.to_string())).await.unwrap();
            }
        });
        for number in 0..count {
            here.send(number).await.unwrap();
            let answer = here.recv().await.unwrap();
            assert_eq!(answer, Some((number, number.to_string())));
        }
        drop(here);
        echo.await.unwrap();
    });
}

#[test]
fn many_values_come_in_order_while_others_go_the_other_way() {
    let count = size::pick(20_000_u64, 1_000_000);
    block_on(async {
        let (here, there) = ipc::pipe::<u64, u64>().unwrap();
        let exchange = |end: Pipe<u64, u64>| async move {
            let (mut sender, mut receiver) = end.split();
            let sending = async move {
                for number in 0..count {
                    sender.send(number).await.unwrap();
                }
            };
            let receiving = async move {
                for number in 0..count {
                    assert_eq!(receiver.recv().await.unwrap(), Some(number));
                }
                assert_eq!(receiver.recv().await.unwrap(), None);
            };
            zip(spawn(sending), receiving).await.0.unwrap();
        };
        let other = spawn(exchange(there));
        exchange(here).await;
        other.await.unwrap();
    });
}

#[test]
fn two_ends_that_send_large_values_at_once_do_not_wait_for_each_other() {
    block_on(async {
        let (here, there) = ipc::pipe().unwrap();
        let exchange = |mut end: Pipe<_, _>| async move {
            for _ in 0..3 {
                end.send(large(1)).await.unwrap();
                assert!(end.recv().await.unwrap() == Some(large(1)));
            }
        };
        let other = spawn(exchange(there));
        exchange(here).await;
        other.await.unwrap();
    });
}

#[test]
fn two_threads_that_send_large_values_at_once_do_not_wait_for_each_other() {
    let (here, there) = ipc::pipe::<serde_bytes::ByteBuf, serde_bytes::ByteBuf>().unwrap();
    let there = there.into_fd().unwrap();
    let exchange = |mut end: Pipe<_, _>| {
        for _ in 0..3 {
            end.blocking_send(large(1)).unwrap();
            assert!(end.blocking_recv().unwrap() == Some(large(1)));
        }
    };
    let thread = thread::spawn(move || exchange(Pipe::from_fd(there)));
    exchange(here);
    thread.join().unwrap();
}

#[test]
fn an_end_reads_ahead_no_more_than_one_message() {
    block_on(async {
        let (here, mut there) = ipc::pipe::<serde_bytes::ByteBuf, Vec<u8>>().unwrap();
        let mut here = here.max_message(LARGE + 10);
        let sending = spawn(async move {
            // The other end takes nothing meanwhile.
            here.send(large(0)).await.unwrap();
            here
        });
        let value = vec![7; 100_000];
        let (mut sent, mut refused) = (0, 0);
        while sent * value.len() <= LARGE || refused < 1_000 {
            match there.try_send(value.clone()) {
                Ok(()) => (sent, refused) = (sent + 1, 0),
                Err(error) => refused += usize::from(error.is_full()),
            }
            assert!(sent * value.len() < LARGE + (1 << 20), "without an end");
            coreloop::task::yield_now().await;
        }
        assert!(there.recv().await.unwrap() == Some(large(0)));
        let mut here = sending.await.unwrap();
        let receiving = async {
            for _ in 0..sent {
                assert!(here.recv().await.unwrap().unwrap() == value);
            }
        };
        zip(there.flush(), receiving).await.0.unwrap();
    });
}

#[test]
fn a_closed_end_is_none_after_the_last_value() {
    block_on(async {
        let (mut sender, mut receiver) = ipc::simplex::<u8>().unwrap();
        sender.send(1).await.unwrap();
        drop(sender);
        assert_eq!(receiver.recv().await.unwrap(), Some(1));
        for _ in 0..2 {
            assert_eq!(receiver.recv().await.unwrap(), None);
            assert_eq!(receiver.try_recv().unwrap(), None);
            assert_eq!(receiver.blocking_recv().unwrap(), None);
        }
    });
}

#[test]
fn sending_to_a_closed_end_is_an_error() {
    block_on(async {
        let (mut sender, receiver) = ipc::simplex::<u8>().unwrap();
        drop(receiver);
        for _ in 0..2 {
            let error = sender.send(1).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
        assert_eq!(
            sender.blocking_send(1).unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
        let tried = io::Error::from(sender.try_send(1).unwrap_err());
        assert_eq!(tried.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_value_that_waits_for_room_is_an_error_when_the_other_end_is_closed() {
    block_on(async {
        let (mut sender, receiver) = ipc::simplex().unwrap();
        let mut sending = pin!(sender.send(large(1)));
        assert!(poll_once(&mut sending).await.is_none());
        drop(receiver);
        assert_eq!(sending.await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

/// A receiver of what is written by hand.
fn by_hand() -> (UnixStream, PipeReceiver<String>) {
    let (one, other) = UnixStream::pair().unwrap();
    (one, PipeReceiver::from_fd(other).max_message(100))
}

#[test]
fn the_end_in_the_middle_of_a_value_is_an_error() {
    let (mut one, mut receiver) = by_hand();
    one.write_all(&[6, 0, 0, 0, 0, 0, 0, 0, 5, b'a']).unwrap();
    drop(one);
    for _ in 0..2 {
        let error = receiver.blocking_recv().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
    }
}

#[test]
fn a_message_that_is_too_long_ends_the_connection() {
    let (mut one, mut receiver) = by_hand();
    one.write_all(&[101, 0, 0, 0, 0, 0, 0, 0]).unwrap();
    for _ in 0..2 {
        let error = receiver.blocking_recv().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains("101 bytes"), "{error}");
    }
}

#[test]
fn a_value_that_does_not_decode_is_an_error_and_the_next_one_comes() {
    let (mut one, mut receiver) = by_hand();
    one.write_all(&[2, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]).unwrap();
    one.write_all(&[2, 0, 0, 0, 0, 0, 0, 0, 1, b'a']).unwrap();
    let error = receiver.blocking_recv().unwrap_err();
    assert!(error.to_string().contains("does not decode"), "{error}");
    assert_eq!(receiver.blocking_recv().unwrap(), Some("a".to_owned()));
}

#[test]
fn a_value_that_is_too_long_is_an_error_and_the_next_one_is_sent() {
    block_on(async {
        let (here, mut there) = ipc::pipe::<String, ()>().unwrap();
        let mut here = here.max_message(10);
        for text in ["a".repeat(10), "a".repeat(1_000_000)] {
            let error = here.send(text.clone()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("at most 10"), "{error}");
            assert!(matches!(
                here.try_send(text),
                Err(TrySendError::Failed(error)) if error.kind() == ErrorKind::InvalidInput
            ));
        }
        here.send("a".repeat(9)).await.unwrap();
        assert_eq!(there.recv().await.unwrap(), Some("a".repeat(9)));
    });
}

#[test]
fn a_pipe_is_usable_after_values_that_fail_or_panic() {
    let (mut sender, mut receiver) = ipc::simplex::<(u8, Does)>().unwrap();
    let caught = |call: &mut dyn FnMut() -> bool| {
        let call = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
        recorded(call).0.unwrap_or(false)
    };
    for (number, does) in (0..).zip(Does::ALL) {
        let is_sent = caught(&mut || sender.blocking_send((number, does)).is_ok());
        let is_encoded = !matches!(does, Does::FailsToEncode | Does::PanicsToEncode);
        assert_eq!(is_sent, is_encoded, "{does:?}");
        if is_encoded {
            let came = caught(&mut || receiver.blocking_recv().is_ok());
            assert_eq!(came, does == Does::Nothing, "{does:?}");
        }
        sender.blocking_send((99, Does::Nothing)).unwrap();
        assert_eq!(receiver.blocking_recv().unwrap(), Some((99, Does::Nothing)));
    }
}

#[test]
fn the_rest_of_a_cancelled_send_comes_with_the_next_operation() {
    block_on(async {
        for operation in 0..4 {
            let (mut here, mut there) = ipc::pipe::<serde_bytes::ByteBuf, u8>().unwrap();
            assert!(poll_once(here.send(large(1))).await.is_none());
            let receiving = spawn(async move {
                assert!(there.recv().await.unwrap() == Some(large(1)));
                there.send(1).await.unwrap();
                assert!(there.recv().await.unwrap() == Some(large(2)));
            });
            match operation {
                0 => assert_eq!(here.recv().await.unwrap(), Some(1)),
                1 => here.flush().await.unwrap(),
                _ => {}
            }
            here.send(large(2)).await.unwrap();
            receiving.await.unwrap();
        }
    });
}

#[test]
fn a_send_that_is_cancelled_while_it_waits_for_an_earlier_one_sends_nothing() {
    block_on(async {
        let (mut sender, mut receiver) = ipc::simplex().unwrap();
        assert!(poll_once(sender.send(large(1))).await.is_none());
        assert!(poll_once(sender.send(large(2))).await.is_none());
        let (flushed, came) = zip(sender.flush(), receiver.recv()).await;
        flushed.unwrap();
        assert!(came.unwrap() == Some(large(1)));
        drop(sender);
        assert!(receiver.recv().await.unwrap().is_none());
    });
}

#[test]
fn a_full_pipe_gives_the_value_back() {
    let (mut sender, mut receiver) = ipc::simplex::<u32>().unwrap();
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
    sender.try_send(7).unwrap();
    assert_eq!(receiver.try_recv().unwrap(), Some(7));
}

#[test]
fn a_large_value_that_was_tried_is_completed_later() {
    block_on(async {
        let (mut sender, mut receiver) = ipc::simplex().unwrap();
        sender.try_send(large(1)).unwrap();
        assert!(sender.try_send(large(2)).unwrap_err().is_full());
        let (flushed, came) = zip(sender.flush(), receiver.recv()).await;
        flushed.unwrap();
        assert!(came.unwrap() == Some(large(1)));
    });
}

#[test]
fn the_halves_of_an_end_are_used_by_two_tasks() {
    block_on(async {
        let (here, mut there) = ipc::pipe::<u8, u8>().unwrap();
        let (mut sender, mut receiver) = here.split();
        let receiving = spawn(async move { receiver.recv().await });
        sender.send(1).await.unwrap();
        assert_eq!(there.recv().await.unwrap(), Some(1));
        // Without the sender, this end still receives.
        drop(sender);
        assert_eq!(there.recv().await.unwrap(), None);
        there.send(2).await.unwrap();
        assert_eq!(receiving.await.unwrap().unwrap(), Some(2));
    });
}

#[test]
fn an_end_is_used_on_one_loop_after_another() {
    let (mut here, mut there) = ipc::pipe::<u8, u8>().unwrap();
    for _ in 0..3 {
        // The runtimes exist at the same time, and each watches the socket for a while.
        let runtimes = [(); 2].map(|()| Runtime::new().unwrap());
        for runtime in &runtimes {
            runtime.block_on(async {
                let answering = async {
                    let value = there.recv().await.unwrap().unwrap();
                    there.send(value + 1).await.unwrap();
                };
                let asking = async {
                    coreloop::task::yield_now().await;
                    here.send(1).await.unwrap();
                    here.recv().await.unwrap()
                };
                assert_eq!(zip(asking, answering).await.0, Some(2));
            });
        }
        here.blocking_send(5).unwrap();
        assert_eq!(there.blocking_recv().unwrap(), Some(5));
    }
}

#[test]
fn an_end_outside_a_runtime_is_an_error_where_it_waits() {
    let (mut sender, mut receiver) = ipc::simplex::<u8>().unwrap();
    let polled = futures_lite::future::block_on(poll_fn(|cx| {
        Poll::Ready(
            pin!(receiver.recv())
                .as_mut()
                .poll(cx)
                .map(|came| came.is_err()),
        )
    }));
    assert_eq!(polled, Poll::Ready(true));
    sender.blocking_send(1).unwrap();
    assert_eq!(receiver.blocking_recv().unwrap(), Some(1));
}

#[test]
fn ends_and_files_travel_through_a_pipe() {
    type Parcel = (String, Pipe<u8, u8>, PipeSender<u8>, PipeReceiver<u8>, Fd);
    block_on(async {
        let (mut sender, mut receiver) = ipc::simplex::<Parcel>().unwrap();
        let (mut here, there) = ipc::pipe().unwrap();
        let (to, mut from) = ipc::simplex().unwrap();
        let (mut to2, from2) = ipc::simplex().unwrap();
        let (mut file, writer) = io::pipe().unwrap();
        sender
            .send((
                "x".to_owned(),
                there.max_message(1),
                to,
                from2,
                writer.into(),
            ))
            .await
            .unwrap();
        let parcel = receiver.recv().await.unwrap().unwrap();
        let (text, mut there, mut to, mut from2, writer) = parcel;
        assert_eq!(text, "x");
        there.send(1).await.unwrap();
        to.send(2).await.unwrap();
        to2.send(3).await.unwrap();
        io::PipeWriter::from(writer).write_all(b"4").unwrap();
        assert_eq!(here.recv().await.unwrap(), Some(1));
        assert_eq!(from.recv().await.unwrap(), Some(2));
        assert_eq!(from2.recv().await.unwrap(), Some(3));
        // The value that was sent was dropped, so this is its end.
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "4");
        // The limit has come with the end.
        drop(there);
        assert_eq!(here.recv().await.unwrap(), None);
    });
}

#[test]
fn an_end_that_would_lose_values_does_not_travel() {
    block_on(async {
        let (mut sender, _receiver) = ipc::simplex::<Pipe<u8, u8>>().unwrap();
        let (here, mut there) = ipc::pipe::<u8, u8>().unwrap();
        there.send(1).await.unwrap();
        there.send(2).await.unwrap();
        let mut used = here;
        assert_eq!(used.recv().await.unwrap(), Some(1));
        let error = sender.send(used).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("were not received"), "{error}");

        let (mut halves, _receiver) = ipc::simplex::<PipeSender<u8>>().unwrap();
        let (half, _other) = there.split();
        let error = halves.send(half).await.unwrap_err();
        assert!(error.to_string().contains("half of a pipe"), "{error}");
    });
}

#[test]
fn an_end_is_not_encoded_by_another_serializer() {
    let (sender, receiver) = ipc::simplex::<u8>().unwrap();
    let text = |value: &dyn Fn() -> Result<Vec<u8>, rmp_serde::encode::Error>| {
        value().unwrap_err().to_string()
    };
    for text in [
        text(&|| rmp_serde::to_vec(&sender)),
        text(&|| rmp_serde::to_vec(&receiver)),
    ] {
        assert!(text.contains("`coreloop::ipc`"), "{text}");
    }
}

#[test]
fn the_descriptors_of_a_message_that_is_not_received_are_closed() {
    let (mut sender, receiver) = ipc::simplex::<Fd>().unwrap();
    let (mut reader, writer) = io::pipe().unwrap();
    sender.blocking_send(OwnedFd::from(writer).into()).unwrap();
    assert!(receiver.as_fd().try_clone_to_owned().is_ok());
    drop(receiver);
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

/// The kernel reports this once by another error than the end of a stream.
#[test]
fn an_end_that_is_closed_with_unread_values_is_the_end_for_the_other_one() {
    let closed = || {
        let (mut here, mut there) = ipc::pipe::<u8, u8>().unwrap();
        here.blocking_send(1).unwrap();
        there.blocking_send(2).unwrap();
        drop(there);
        here
    };
    assert_eq!(
        closed().blocking_send(1).unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    assert!(matches!(
        closed().try_send(1),
        Err(TrySendError::Failed(error)) if error.kind() == ErrorKind::BrokenPipe
    ));
    let mut here = closed();
    for value in [Some(2), None, None] {
        assert_eq!(here.blocking_recv().unwrap(), value);
    }
    let mut here = closed();
    for value in [Some(2), None, None] {
        assert_eq!(here.try_recv().unwrap(), value);
    }
    block_on(async {
        let mut here = closed();
        let error = here.send(1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let mut here = closed();
        for value in [Some(2), None, None] {
            assert_eq!(here.recv().await.unwrap(), value);
        }
    });
}
