//! What users of single-threaded runtimes complain about, and how coreloop behaves
//! instead: one test for each complaint, with the reports that it comes from.
//!
//! Tested elsewhere: HTTP stacks that ask for owned buffers or `Send` handlers, by
//! `hyper_http1` and `axum` in `ecosystem/tests`; and processes that fork, by
//! `tests/process/child_others.rs`.
#![cfg(not(miri))] // These programs run too long for it.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::{Read as _, Write as _};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use coreloop::net::{TcpListener, TcpStream};
use coreloop::runtime::{Builder, Runtime, UnhandledPanic};
use coreloop::spawn;
use coreloop::sync::Notify;
use coreloop::task::{spawn_blocking, yield_now};
use coreloop::time::{Instant, sleep, timeout};

use coreloop_test_support::pair::pair;
use coreloop_test_support::reports::Reports;

/// `LocalSet` is a second scheduler beside the first: `spawn_local` panics
/// outside it, and stalls inside a task of the other.
/// <https://github.com/tokio-rs/tokio/issues/6739>,
/// <https://github.com/tokio-rs/tokio/issues/7549>,
/// <https://github.com/tokio-rs/tokio/issues/7022>
#[test]
fn there_is_one_scheduler_and_spawn_takes_futures_that_are_not_send() {
    let runtime = Runtime::new().unwrap();
    let shared = Rc::new(Cell::new(0));
    let add = |number| {
        let shared = Rc::clone(&shared);
        async move { shared.set(shared.get() + number) }
    };
    // Spawned before the runtime is driven, by the root, by a task, and by that task's
    // task.
    let first = runtime.spawn(add(1));
    let (second, third) = (add(10), add(100));
    runtime.block_on(async move {
        spawn(async move {
            spawn(second).await.unwrap();
            let inner = spawn(async move { spawn(third).await.unwrap() });
            inner.await.unwrap();
        })
        .await
        .unwrap();
        first.await.unwrap();
    });
    assert_eq!(shared.get(), 111);
}

/// Owned buffers cut off the ecosystem, which reads into slices.
/// <https://github.com/monoio-rs/monoio/pull/232>,
/// <https://github.com/hyperium/hyper/issues/3110>
#[coreloop::test]
async fn buffers_are_borrowed() {
    // Takes any reader and writer of `futures-io`.
    async fn relay<R, W>(mut reader: R, mut writer: W, buffer: &mut [u8])
    where
        R: futures_lite::AsyncRead + Unpin,
        W: futures_lite::AsyncWrite + Unpin,
    {
        use futures_lite::{AsyncReadExt as _, AsyncWriteExt as _};

        let (first, rest) = buffer.split_at_mut(3);
        reader.read_exact(first).await.unwrap();
        reader.read_exact(&mut rest[..5]).await.unwrap();
        writer.write_all(&buffer[..8]).await.unwrap();
    }

    let (mut near, far) = pair().await;
    near.write_all(b"borrowed").await.unwrap();
    let (mut reader, writer) = pair().await;
    relay(far, writer, &mut [0; 16]).await;
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"borrowed");
}

/// A handler must be `Send` though it never leaves its thread.
/// <https://github.com/tokio-rs/axum/issues/362>,
/// <https://github.com/hyperium/hyper/issues/2341>,
/// <https://github.com/notgull/smol-hyper/pull/2>
#[coreloop::test]
async fn a_handler_may_hold_rc_across_await() {
    let (mut near, mut far) = pair().await;
    let served = Rc::new(RefCell::new(Vec::new()));
    let handler = spawn({
        let served = Rc::clone(&served);
        async move {
            let mut byte = [0];
            while far.read(&mut byte).await.unwrap() == 1 {
                served.borrow_mut().push(byte[0]);
            }
        }
    });
    near.write_all(b"abc").await.unwrap();
    drop(near);
    handler.await.unwrap();
    assert_eq!(*served.borrow(), b"abc");
}

/// A runtime on `io_uring` wants locked memory, a recent kernel, and a seccomp
/// profile that lets it.
/// <https://github.com/DataDog/glommio/issues/606>,
/// <https://github.com/DataDog/glommio/issues/565>,
/// <https://github.com/DataDog/glommio/issues/294>
#[cfg(target_os = "linux")]
#[test]
fn no_locked_memory_is_needed() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let before = getrlimit(Resource::Memlock);
    let none = Rlimit {
        current: Some(0),
        maximum: before.maximum,
    };
    setrlimit(Resource::Memlock, none).unwrap();
    let echoed = coreloop::block_on(async {
        let (mut near, mut far) = pair().await;
        near.write_all(b"x").await.unwrap();
        let mut byte = [0];
        far.read_exact(&mut byte).await.unwrap();
        byte
    });
    setrlimit(Resource::Memlock, before).unwrap();
    assert_eq!(&echoed, b"x");
}

/// A waker used on another thread is undefined behaviour, or needs a feature.
/// <https://github.com/DataDog/glommio/issues/194>,
/// <https://github.com/monoio-rs/monoio/issues/120>
#[coreloop::test]
async fn wakers_may_be_sent_to_other_threads() {
    let (sender, receiver) = mpsc::channel::<Waker>();
    let waking = thread::spawn(move || {
        for waker in receiver {
            let again = waker.clone();
            waker.wake();
            drop(again);
        }
    });
    for _ in 0..100 {
        let mut polled = false;
        poll_fn(|context| {
            if polled {
                return Poll::Ready(());
            }
            polled = true;
            sender.send(context.waker().clone()).unwrap();
            Poll::Pending
        })
        .await;
    }
    drop(sender);
    waking.join().unwrap();
}

/// The reference count of a task overflows, or is dropped twice.
/// <https://github.com/DataDog/glommio/issues/379>,
/// <https://github.com/DataDog/glommio/issues/671>
#[test]
fn a_task_may_have_very_many_wakers() {
    let count = 100_000;
    let runtime = Runtime::new().unwrap();
    let wakers = runtime.block_on(poll_fn(|context| {
        Poll::Ready(vec![context.waker().clone(); count])
    }));
    // Each outlives its task, and half of them the runtime and the thread.
    let (mut here, there) = (wakers, runtime);
    let elsewhere = here.split_off(count / 2);
    drop(here);
    drop(there);
    thread::spawn(move || {
        for waker in elsewhere {
            waker.wake();
        }
    })
    .join()
    .unwrap();
}

/// A wake is lost, or `wake` blocks because a queue is full.
/// <https://github.com/monoio-rs/monoio/issues/146>,
/// <https://github.com/monoio-rs/monoio/issues/241>,
/// <https://github.com/compio-rs/compio/pull/1045>
#[test]
fn no_wake_is_lost_and_none_blocks() {
    let count: usize = 50_000;
    let runtime = Runtime::new().unwrap();
    let (sender, receiver) = mpsc::channel();
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let sender = sender.clone();
            let mut polled = false;
            runtime.spawn(poll_fn(move |context| {
                if polled {
                    return Poll::Ready(());
                }
                polled = true;
                sender.send(context.waker().clone()).unwrap();
                Poll::Pending
            }))
        })
        .collect();
    while runtime.turn(Some(Duration::ZERO)).unwrap() {}
    // The loop runs no turn while the tasks are woken.
    let woken = thread::spawn(move || receiver.try_iter().map(Waker::wake).count());
    assert_eq!(woken.join().unwrap(), count);
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// A panic kills the loop, or vanishes.
/// <https://github.com/monoio-rs/monoio/issues/314>,
/// <https://github.com/glommio/glommio/pull/62>,
/// <https://github.com/tokio-rs/tokio/issues/4516>
#[test]
fn a_panic_neither_kills_the_loop_nor_vanishes() {
    let runtime = Runtime::new().unwrap();
    let error = runtime.block_on(async { spawn(async { panic!("joined") }).await });
    assert!(error.unwrap_err().is_panic());
    assert_eq!(runtime.block_on(async { 1 }), 1);

    let reports = Reports::new();
    let strict = reports
        .builder()
        .unhandled_panic(UnhandledPanic::ShutdownRuntime)
        .build()
        .unwrap();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(strict.spawn(async { panic!("not joined") }));
        strict.block_on(pending::<()>());
    }));
    assert!(ended.is_err());
    assert_eq!(reports.messages(), ["not joined"]);
}

/// The program does not end while a blocking call is running.
/// <https://github.com/tokio-rs/tokio/issues/5338>,
/// <https://github.com/tokio-rs/tokio/issues/589>
#[test]
fn blocking_work_does_not_keep_the_runtime() {
    let (release, blocked) = mpsc::channel::<()>();
    let (started, starts) = mpsc::channel();
    let runtime = Runtime::new().unwrap();
    let line = line!() + 2;
    runtime.block_on(async {
        drop(spawn_blocking(move || {
            started.send(()).unwrap();
            blocked.recv()
        }));
    });
    starts.recv().unwrap();
    // The shutdown returns although the job is running, and reports where it was spawned.
    let report = runtime.shutdown(Duration::ZERO);
    assert!(report.tasks().is_empty());
    assert_eq!(report.blocking().len(), 1);
    assert_eq!(report.blocking()[0].spawned_at().line(), line);
    drop(release);
}

/// "There is no reactor running", even from a destructor.
/// <https://github.com/actix/actix/issues/531>,
/// <https://github.com/tikv/tikv/issues/13866>
#[test]
fn objects_of_a_runtime_may_be_dropped_anywhere() {
    let runtime = Runtime::new().unwrap();
    let (stream, listener, timer) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut timer = Box::pin(sleep(Duration::from_secs(3600)));
        let mut byte = [0];
        let read = timeout(Duration::ZERO, stream.read(&mut byte)).await;
        assert!(read.is_err(), "the stream is registered by now");
        poll_fn(|context| Poll::Ready(timer.as_mut().poll(context).is_pending())).await;
        (stream, listener, timer)
    });
    let handle = runtime.spawn(pending::<()>());
    drop(stream);
    drop(runtime);
    drop((listener, timer, handle));
}

/// A cancelled operation loses data, or the descriptor.
/// <https://github.com/tokio-rs/tokio-uring/issues/129>,
/// <https://github.com/tokio-rs/tokio/issues/5285>,
/// <https://github.com/tokio-rs/tokio/issues/2592>
#[coreloop::test]
async fn a_cancelled_read_loses_no_byte() {
    let (mut near, mut far) = pair().await;
    let bytes: Vec<u8> = (0..100).collect();
    let writing = spawn({
        let bytes = bytes.clone();
        async move {
            for byte in bytes {
                near.write_all(&[byte]).await.unwrap();
                yield_now().await;
            }
        }
    });
    let mut received = Vec::new();
    while received.len() < bytes.len() {
        let mut byte = [0];
        // The read is dropped at once if no data is there, and so is dropped very often.
        if let Ok(read) = timeout(Duration::ZERO, far.read(&mut byte)).await {
            assert_eq!(read.unwrap(), 1);
            received.push(byte[0]);
        }
        yield_now().await;
    }
    assert_eq!(received, bytes);
    writing.await.unwrap();
}

/// One task that never waits starves all other tasks, and the sockets.
/// <https://github.com/tokio-rs/tokio/issues/2542>,
/// <https://github.com/tokio-rs/tokio/issues/4782>,
/// <https://github.com/monoio-rs/monoio/issues/322>
#[coreloop::test]
async fn a_task_that_is_always_ready_does_not_starve_others() {
    let notify = Rc::new(Notify::new());
    let busy = spawn({
        let notify = Rc::clone(&notify);
        async move {
            // This is pending only when the budget is spent.
            loop {
                notify.notify_one();
                notify.notified().await;
            }
        }
    });
    let (mut near, mut far) = pair().await;
    for _ in 0..10 {
        near.write_all(b"x").await.unwrap();
        let mut byte = [0];
        far.read_exact(&mut byte).await.unwrap();
    }
    busy.abort();
}

/// No tool shows that a task blocks the thread; and a socket made by `std` blocks it.
/// <https://github.com/tokio-rs/console/issues/150>,
/// <https://github.com/tokio-rs/tokio/issues/6315>,
/// <https://github.com/tokio-rs/tokio/issues/7172>
#[test]
fn a_blocked_loop_is_reported_and_sockets_of_std_do_not_block_it() {
    use std::sync::{Arc, Mutex};

    let places = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&places);
    let runtime = Builder::new()
        .slow_poll(Duration::from_millis(10))
        .on_slow_poll(move |slow| log.lock().unwrap().push(slow.task().spawned_at()))
        .build()
        .unwrap();
    let line = line!() + 2;
    runtime.block_on(async {
        let blocks = spawn(async { thread::sleep(Duration::from_millis(10)) });
        blocks.await.unwrap();
    });
    assert!(
        places
            .lock()
            .unwrap()
            .iter()
            .any(|place| place.line() == line)
    );

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (blocking, _) = listener.accept().unwrap();
    runtime.block_on(async {
        let mut stream = TcpStream::from_std(blocking).unwrap();
        let reading = spawn(async move {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.map(|_| byte)
        });
        // The root would not get here if the read blocked.
        yield_now().await;
        peer.write_all(b"x").unwrap();
        assert_eq!(&reading.await.unwrap().unwrap(), b"x");
    });
    peer.set_nonblocking(true).unwrap();
    let mut none = [0];
    assert!(
        matches!(peer.read(&mut none), Ok(0)),
        "the stream is closed"
    );
}

/// Timers are a millisecond late, and a paused clock moves when it should not.
/// <https://github.com/tokio-rs/tokio/issues/5021>,
/// <https://github.com/tokio-rs/tokio/issues/6866>,
/// <https://github.com/tokio-rs/tokio/issues/4522>
#[coreloop::test(start_paused = true)]
async fn timers_are_exact_to_the_nanosecond() {
    let start = Instant::now();
    for nanos in [1, 999, 1_000, 1_025, 123_456_789] {
        let before = Instant::now();
        sleep(Duration::from_nanos(nanos)).await;
        assert_eq!(before.elapsed(), Duration::from_nanos(nanos));
    }
    assert_eq!(start.elapsed(), Duration::from_nanos(123_459_814));
}
