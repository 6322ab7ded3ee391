//! Copies of streams: every byte arrives once and in order, and is counted however the
//! copy ends. `fuzz_models` drops copies at every poll.

use std::cell::Cell;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use coreloop::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter, CopyBuffer, Cursor, copy,
    copy_bidirectional, copy_bidirectional_with_buffers, copy_bidirectional_with_sizes, copy_buf,
    duplex, empty, repeat, sink,
};
use coreloop::task::yield_now;
use coreloop::{block_on, join, spawn};
use coreloop_test_support::chunks::{Reader, Step, Writer, steps};
use coreloop_test_support::pair::pair;
use futures_lite::future::poll_once;

const ROUNDS: u64 = if cfg!(miri) { 10 } else { 300 };

fn bytes(count: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(count as u64);
    let mut bytes = vec![0; count];
    random.fill(&mut bytes);
    bytes
}

fn script(random: &mut fastrand::Rng) -> Vec<Step> {
    let mut script = vec![0; random.usize(..200)];
    random.fill(&mut script);
    steps(&script)
}

#[test]
fn every_byte_arrives_once_and_in_order_whatever_the_pieces() {
    for seed in 0..ROUNDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let sent = bytes(random.usize(..100_000));
        let mut reader = Reader::new(sent.clone(), script(&mut random));
        let mut writer = Writer::new(script(&mut random));
        let count = match random.u8(..3) {
            0 => block_on(copy(&mut reader, &mut writer)),
            1 => block_on(copy_buf(&mut BufReader::new(&mut reader), &mut writer)),
            _ => {
                let mut buffer = CopyBuffer::with_size(random.usize(1..5000));
                block_on(buffer.copy(&mut reader, &mut writer))
            }
        };
        assert_eq!(count.unwrap(), sent.len() as u64);
        assert!(writer.taken == sent, "seed {seed}");
        assert_eq!(writer.flushed, sent.len());
        assert!(!writer.closed, "a copy leaves the writer open");
    }
}

#[test]
fn bytes_read_before_an_error_are_written_and_the_copy_can_continue() {
    let sent = bytes(1000);
    let mut reader = Reader::new(sent.clone(), [Step::Some(300), Step::Some(50), Step::Fail]);
    let mut writer = Writer::new([Step::Some(7)]);
    let mut buffer = CopyBuffer::new();
    let error = block_on(buffer.copy(&mut reader, &mut writer)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(writer.taken, sent[..350]);
    assert_eq!((buffer.bytes_read(), buffer.bytes_written()), (350, 350));
    assert!(buffer.unwritten().is_empty() && !buffer.is_at_end());

    let count = block_on(buffer.copy(&mut reader, &mut writer)).unwrap();
    assert_eq!(count, 1000);
    assert_eq!(writer.taken, sent);
}

#[test]
fn bytes_that_a_broken_writer_did_not_take_go_to_the_next_one() {
    let sent = bytes(1000);
    let mut reader = Reader::new(sent.clone(), [Step::Some(600)]);
    let mut broken = Writer::new([Step::Some(100), Step::Wait, Step::Fail]);
    let mut buffer = CopyBuffer::new();
    block_on(buffer.copy(&mut reader, &mut broken)).unwrap_err();
    assert_eq!((buffer.bytes_read(), buffer.bytes_written()), (600, 100));
    assert_eq!(buffer.unwritten(), &sent[100..600]);

    let mut writer = Writer::default();
    block_on(buffer.copy(&mut reader, &mut writer)).unwrap();
    assert_eq!(writer.taken, sent[100..]);
}

#[test]
fn a_writer_that_takes_nothing_is_an_error() {
    let full = || Writer::new([Step::Some(3), Step::Some(0)]);
    let error = block_on(copy(&mut &b"hello"[..], &mut full())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    let error = block_on(copy_buf(&mut &b"hello"[..], &mut full())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
}

#[test]
fn copied_bytes_are_flushed_when_the_reader_has_to_wait() {
    block_on(async {
        let (mut client, mut reader) = duplex(64);
        let (writer, mut far) = duplex(64);
        let mut writer = BufWriter::new(writer);
        let mut copying = pin!(copy(&mut reader, &mut writer));
        client.write_all(b"a question").await.unwrap();
        assert!(poll_once(copying.as_mut()).await.is_none());
        let mut seen = [0; 10];
        far.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"a question");
    });
}

#[test]
fn copy_buf_leaves_unwritten_bytes_in_the_reader() {
    block_on(async {
        let mut reader = BufReader::new(&b"one two three"[..]);
        let (mut writer, mut far) = duplex(4);
        assert!(
            poll_once(copy_buf(&mut reader, &mut writer))
                .await
                .is_none()
        );
        let mut rest = String::new();
        reader.read_line(&mut rest).await.unwrap();
        assert_eq!(rest, "two three");
        drop(writer);
        let mut first = String::new();
        far.read_to_string(&mut first).await.unwrap();
        assert_eq!(first, "one ");
    });
}

#[test]
#[cfg_attr(
    miri,
    ignore = "a poll of an endless copy moves a megabyte, which takes Miri minutes"
)]
fn an_endless_copy_lets_others_run() {
    block_on(async {
        let endless = spawn(async { copy(&mut repeat(7), &mut sink()).await });
        let buffered = spawn(async { copy_buf(&mut BufReader::new(repeat(7)), &mut sink()).await });
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!endless.is_finished() && !buffered.is_finished());
        endless.abort();
        buffered.abort();
    });
}

#[test]
#[should_panic(expected = "nothing can be copied through an empty buffer")]
fn an_empty_buffer_is_refused() {
    let _ = CopyBuffer::with_size(0);
}

#[test]
fn a_half_close_is_passed_on_and_the_other_direction_stays_open() {
    block_on(async {
        let (mut client, mut left) = pair().await;
        let (mut right, mut server) = pair().await;
        let proxy = spawn(async move { copy_bidirectional(&mut left, &mut right).await });

        client.write_all(b"a question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = Vec::new();
        server.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"a question");

        assert!(!proxy.is_finished(), "the answer is still to come");
        server.write_all(b"an answer").await.unwrap();
        drop(server);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"an answer");
        assert_eq!(proxy.await.unwrap().unwrap(), (10, 9));
    });
}

#[test]
fn both_directions_carry_large_transfers_at_once() {
    let (up, down) = if cfg!(miri) {
        (bytes(20_000), bytes(30_000))
    } else {
        (bytes(3 << 20), bytes((2 << 20) + 1))
    };
    block_on(async {
        let (client, mut left) = pair().await;
        let (mut right, server) = pair().await;
        let proxy = spawn(async move {
            copy_bidirectional_with_sizes(&mut left, &mut right, 1000, 60_000).await
        });
        let (mut from_proxy, mut to_proxy) = client.into_split();
        let (mut from_client, mut to_client) = server.into_split();
        let (mut seen_up, mut seen_down) = (Vec::new(), Vec::new());
        let (sent, answered, received, got) = join!(
            async {
                to_proxy.write_all(&up).await?;
                to_proxy.shutdown().await
            },
            async {
                to_client.write_all(&down).await?;
                to_client.shutdown().await
            },
            from_client.read_to_end(&mut seen_up),
            from_proxy.read_to_end(&mut seen_down),
        );
        sent.unwrap();
        answered.unwrap();
        received.unwrap();
        got.unwrap();
        assert!(seen_up == up && seen_down == down);
        let counts = (up.len() as u64, down.len() as u64);
        assert_eq!(proxy.await.unwrap().unwrap(), counts);
    });
}

#[test]
fn the_buffers_of_a_dropped_proxy_know_which_bytes_were_passed_on() {
    block_on(async {
        let (mut client, mut left) = duplex(100);
        let (mut right, mut server) = duplex(10);
        let (mut up, mut down) = (CopyBuffer::new(), CopyBuffer::new());
        client.write_all(b"sixteen and more").await.unwrap();
        let proxy = copy_bidirectional_with_buffers(&mut left, &mut right, &mut up, &mut down);
        assert!(poll_once(proxy).await.is_none());
        assert_eq!((up.bytes_read(), up.bytes_written()), (16, 10));
        assert_eq!(up.unwritten(), b"d more");

        // A second proxy continues with the bytes that the first held, and closes each
        // side once.
        client.close().await.unwrap();
        let mut seen = String::new();
        let (copied, read) = join!(
            async {
                let proxy =
                    copy_bidirectional_with_buffers(&mut left, &mut right, &mut up, &mut down);
                proxy.await
            },
            async {
                let read = server.read_to_string(&mut seen).await;
                drop(server);
                read
            },
        );
        copied.unwrap();
        assert_eq!(read.unwrap(), 16);
        assert_eq!(seen, "sixteen and more");
        assert_eq!((up.bytes_written(), down.bytes_written()), (16, 0));
    });
}

#[test]
fn an_error_of_one_direction_ends_both() {
    block_on(async {
        let (mut client, mut left) = duplex(100);
        let (mut right, server) = duplex(100);
        drop(server);
        client.write_all(b"for no one").await.unwrap();
        let error = copy_bidirectional(&mut left, &mut right).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

/// The direction that is polled first used to take all that one poll of a proxy may do,
/// if its streams never had to wait.
#[test]
fn neither_direction_starves_the_other() {
    /// A stream that can be read without end, and counts the bytes written to it.
    struct Endless(Rc<Cell<u64>>);

    impl coreloop::io::AsyncRead for Endless {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buffer.len()))
        }
    }

    impl coreloop::io::AsyncWrite for Endless {
        fn poll_write(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.set(self.0.get() + bytes.len() as u64);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    let (up, down) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    block_on(async {
        let (mut a, mut b) = (Endless(Rc::clone(&down)), Endless(Rc::clone(&up)));
        let proxy = spawn(async move { copy_bidirectional(&mut a, &mut b).await });
        for _ in 0..20 {
            yield_now().await;
        }
        proxy.abort();
    });
    let (up, down) = (up.get(), down.get());
    assert!(up > 0 && down > 0, "{up} up, {down} down");
    assert!(up < 2 * down && down < 2 * up, "{up} up, {down} down");
}

#[test]
#[cfg_attr(miri, ignore = "Miri sets no buffer sizes")]
fn a_slow_reader_holds_up_the_sender_and_the_proxy_keeps_one_buffer() {
    block_on(async {
        let (client, mut left) = pair().await;
        let (mut right, mut server) = pair().await;
        for stream in [&client, &left, &right, &server] {
            let socket = socket2::SockRef::from(stream);
            socket.set_send_buffer_size(16 << 10).unwrap();
            socket.set_recv_buffer_size(16 << 10).unwrap();
        }
        let (mut up, mut down) = (CopyBuffer::with_size(1000), CopyBuffer::with_size(1000));
        let sent = bytes(1 << 20);
        let sender = spawn({
            let (sent, mut client) = (sent.clone(), client);
            async move {
                client.write_all(&sent).await.unwrap();
                client.shutdown().await.unwrap();
                // Waits until the proxy has ended.
                client.read(&mut [0]).await.unwrap();
            }
        });
        {
            let mut proxy = pin!(copy_bidirectional_with_buffers(
                &mut left, &mut right, &mut up, &mut down
            ));
            let mut seen = Vec::new();
            let mut buffer = [0; 333];
            // Much longer than it takes to fill all buffers on the way.
            for _ in 0..1000 {
                assert!(poll_once(proxy.as_mut()).await.is_none());
                yield_now().await;
            }
            assert!(!sender.is_finished());
            let (copied, ()) = join!(proxy, async {
                loop {
                    match server.read(&mut buffer).await.unwrap() {
                        0 => break,
                        count => seen.extend_from_slice(&buffer[..count]),
                    }
                }
                drop(server);
            });
            copied.unwrap();
            assert!(seen == sent);
        }
        assert_eq!(up.bytes_written(), 1 << 20);
        sender.await.unwrap();
    });
}

#[test]
fn the_traits_and_the_methods_of_sockets_live_side_by_side() {
    block_on(async {
        let (mut client, server) = pair().await;
        // The stream's own methods, though the traits are in scope.
        client.write_all(b"first line\nsecond").await.unwrap();
        // The traits' methods, by value, by reference and on halves.
        client.flush().await.unwrap();
        client.close().await.unwrap();
        let mut lines = BufReader::new(&server).lines();
        let first = futures_lite::StreamExt::next(&mut lines).await;
        assert_eq!(first.unwrap().unwrap(), "first line");
        drop(lines);

        let (reader, mut writer) = server.into_split();
        writer.write_all(b"answer").await.unwrap();
        writer.close().await.unwrap();
        let mut limited = client.take(3);
        let mut answer = String::new();
        limited.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "ans");
        drop(reader);

        let mut nothing = Vec::new();
        empty().read_to_end(&mut nothing).await.unwrap();
        let mut cursor = Cursor::new(vec![1, 2, 3]);
        let mut two = [0; 2];
        cursor.read_exact(&mut two).await.unwrap();
        assert_eq!((nothing.len(), two), (0, [1, 2]));
    });
}
