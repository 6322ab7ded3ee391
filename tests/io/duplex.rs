//! Streams in memory: their bounds, how they are closed, and which wakes they make.
//! `fuzz_models` compares them with plain queues.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use coreloop::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex, split};
use coreloop::task::{coop, yield_now};
use coreloop::{block_on, join, spawn};
use coreloop_test_support::wakers::{panicking_waker, with_hook};
use futures_lite::future::poll_once;

#[test]
fn each_end_reads_what_the_other_has_written() {
    block_on(async {
        let (mut client, mut server) = duplex(8);
        client.write_all(b"question").await.unwrap();
        server.write_all(b"answer").await.unwrap();
        let mut buffer = [0; 8];
        server.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"question");
        let count = client.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], b"answer");
        assert!(poll_once(client.read(&mut buffer)).await.is_none());
        assert_eq!(client.read(&mut []).await.unwrap(), 0);
        assert_eq!(client.write(&[]).await.unwrap(), 0);
    });
}

#[test]
fn a_writer_waits_for_room_and_everything_arrives() {
    block_on(async {
        let (mut client, mut server) = duplex(7);
        let count = if cfg!(miri) { 300 } else { 5000 };
        let sent: Vec<u8> = (0..=255).cycle().take(count).collect();
        let mut seen = Vec::new();
        let (written, read) = join!(
            async {
                client.write_all(&sent).await?;
                client.close().await
            },
            server.read_to_end(&mut seen),
        );
        written.unwrap();
        assert_eq!(read.unwrap(), count);
        assert_eq!(seen, sent);
    });
}

#[test]
fn a_full_stream_takes_nothing_until_the_other_end_reads() {
    block_on(async {
        let (mut client, mut server) = duplex(4);
        assert_eq!(client.write(b"12345").await.unwrap(), 4);
        let writer = spawn(async move { client.write(b"5").await });
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!writer.is_finished());
        server.read_exact(&mut [0; 1]).await.unwrap();
        assert_eq!(writer.await.unwrap().unwrap(), 1);
    });
}

#[test]
fn a_close_ends_one_direction_only() {
    block_on(async {
        let (mut client, mut server) = duplex(64);
        let reader = spawn(async move {
            let mut seen = Vec::new();
            server.read_to_end(&mut seen).await.unwrap();
            server.write_all(b"still here").await.unwrap();
            seen
        });
        client.write_all(b"the last").await.unwrap();
        client.close().await.unwrap();
        client.close().await.unwrap();
        assert_eq!(reader.await.unwrap(), b"the last");
        let error = client.write(b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "still here");
    });
}

#[test]
fn a_waiting_writer_fails_when_the_other_end_is_dropped() {
    block_on(async {
        let (mut client, server) = duplex(4);
        let writer = spawn(async move { client.write_all(b"too much").await });
        yield_now().await;
        drop(server);
        let error = writer.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn several_buffers_are_taken_in_turn() {
    block_on(async {
        let (mut client, mut server) = duplex(6);
        let buffers = [b"ab".as_slice(), b"", b"cde", b"fgh"].map(IoSlice::new);
        assert_eq!(client.write_vectored(&buffers).await.unwrap(), 6);
        let mut seen = [0; 6];
        server.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"abcdef");
    });
}

#[test]
fn one_task_reads_while_another_writes() {
    block_on(async {
        let (client, mut server) = duplex(4);
        let client = Rc::new(client);
        let reader = spawn({
            let client = Rc::clone(&client);
            async move {
                let mut seen = [0; 4];
                (&*client).read_exact(&mut seen).await.unwrap();
                seen
            }
        });
        yield_now().await;
        (&*client).write_all(b"ping").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
        server.write_all(b"pong").await.unwrap();
        assert_eq!(&reader.await.unwrap(), b"pong");

        // The same with the halves of `split`, which any stream has.
        let (mut reader, mut writer) = split(server);
        writer.write_all(b"half").await.unwrap();
        writer.close().await.unwrap();
        drop(client);
        assert_eq!(reader.read(&mut [0; 4]).await.unwrap(), 0);
    });
}

#[test]
fn reads_and_writes_spend_the_budget() {
    block_on(async {
        let (mut client, server) = duplex(1024);
        spawn(async move {
            let mut written = 0;
            while coop::has_budget_remaining() {
                client.write_all(b"x").await.unwrap();
                written += 1;
                assert!(written <= 128, "writes spend no budget");
            }
            drop(server);
        })
        .await
        .unwrap();
    });
}

#[test]
#[should_panic(expected = "a stream in memory needs room for at least one byte")]
fn a_stream_without_room_is_refused() {
    let _ = duplex(0);
}

/// A waker may run any code, even code that uses the stream that wakes it.
#[test]
fn wakers_may_use_the_stream_that_wakes_them() {
    let (one, other) = duplex(1);
    let ends = Rc::new(RefCell::new(Some((Rc::new(one), Rc::new(other)))));
    let theirs = Rc::clone(&ends);
    let use_it = move || {
        let Some((one, other)) = theirs.borrow().clone() else {
            return;
        };
        let mut cx = Context::from_waker(Waker::noop());
        for end in [&*one, &*other] {
            let _: Poll<_> =
                futures_io::AsyncRead::poll_read(Pin::new(&mut &*end), &mut cx, &mut [0]);
            let _: Poll<_> = Pin::new(&mut &*end).poll_write(&mut cx, b"x");
        }
    };
    with_hook(use_it, |waker| {
        for _ in 0..10 {
            let (one, other) = ends.borrow().clone().unwrap();
            for end in [&*one, &*other] {
                let waker = waker();
                let mut cx = Context::from_waker(&waker);
                let _: Poll<_> =
                    futures_io::AsyncRead::poll_read(Pin::new(&mut &*end), &mut cx, &mut [0]);
                let _: Poll<_> = Pin::new(&mut &*end).poll_write(&mut cx, b"y");
            }
        }
        ends.take();
    });
}

#[test]
fn a_waker_that_panics_leaves_the_stream_usable() {
    let (client, server) = duplex(8);
    let waker = panicking_waker();
    let mut cx = Context::from_waker(&waker);
    let read = futures_io::AsyncRead::poll_read(Pin::new(&mut &server), &mut cx, &mut [0; 8]);
    assert!(read.is_pending());
    let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(&mut &client).poll_write(&mut cx, b"ping")
    }));
    written.unwrap_err();
    futures_lite::future::block_on(async {
        let mut seen = [0; 4];
        (&server).read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"ping");
    });
}

/// The panic of one waker used to lose the wake for the other direction.
#[test]
fn a_waker_that_panics_while_an_end_is_dropped_leaves_the_other_woken() {
    let (client, server) = duplex(1);
    let panicking = panicking_waker();
    let mut cx = Context::from_waker(&panicking);
    let read = futures_io::AsyncRead::poll_read(Pin::new(&mut &server), &mut cx, &mut [0; 8]);
    assert!(read.is_pending());
    futures_lite::future::block_on((&server).write_all(b"x")).unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    assert!(
        Pin::new(&mut &server)
            .poll_write(&mut cx, b"y")
            .is_pending()
    );
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(client)));
    dropped.unwrap_err();
    assert!(woken.0.load(Ordering::Relaxed));
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
