//! `Interest` and `Ready`: waits for several kinds of readiness, and what ends them.

use std::cell::Cell;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use coreloop::io::{Async, Interest, Ready};
use coreloop::task::yield_now;
use coreloop::{Runtime, block_on, spawn};
use coreloop_test_support::waiter::Count;

fn pair() -> (Async<UnixStream>, UnixStream) {
    let (one, other) = UnixStream::pair().expect("a pair");
    (Async::new(one).expect("a runtime"), other)
}

/// Reads by `read`, because Miri has no `recv` and `send` on socket pairs, which std calls.
fn read(stream: &UnixStream) -> io::Result<usize> {
    Ok(rustix::io::read(stream, &mut [0; 8])?)
}

fn write(stream: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::write(stream, bytes)?)
}

/// Polls a future once, and returns its output if that completes it.
async fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

#[test]
fn interests_and_readiness_are_sets() {
    let mut interest = Interest::READABLE;
    interest |= Interest::ERROR;
    assert!(interest.is_readable() && interest.is_error() && !interest.is_writable());
    assert_eq!(format!("{interest:?}"), "READABLE | ERROR");
    assert_eq!(interest.remove(Interest::READABLE), Some(Interest::ERROR));
    let mut ready = Ready::WRITABLE;
    ready |= Ready::READ_CLOSED;
    assert!(ready.is_readable() && ready.is_writable() && ready.is_read_closed());
    assert_eq!(format!("{ready:?}"), "WRITABLE | READ_CLOSED");
    assert_eq!(ready & Ready::WRITABLE, Ready::WRITABLE);
    assert_eq!(ready - Ready::WRITABLE, Ready::READ_CLOSED);
    assert_eq!(format!("{:?}", Ready::EMPTY), "EMPTY");
}

#[test]
fn a_wait_for_both_ends_with_either() {
    block_on(async {
        let (one, other) = pair();
        let both = Interest::READABLE | Interest::WRITABLE;
        assert_eq!(one.ready(both).await.unwrap(), Ready::WRITABLE);
        // There is no more room, so only a byte from the other end ends the wait.
        while one
            .try_io(Interest::WRITABLE, |stream| write(stream, &[0; 4096]))
            .is_ok()
        {}
        let waiter = spawn(async move { one.ready(both).await.map(|ready| (one, ready)) });
        yield_now().await;
        assert!(!waiter.is_finished());
        assert_eq!(write(&other, b"x").unwrap(), 1);
        let (one, ready) = waiter.await.unwrap().unwrap();
        assert_eq!(ready, Ready::READABLE);
        let waiter = spawn(async move { one.ready(Interest::WRITABLE).await });
        yield_now().await;
        assert!(!waiter.is_finished());
        let mut room = vec![0; 1 << 20];
        assert!(rustix::io::read(&other, &mut room).unwrap() > 0);
        assert_eq!(waiter.await.unwrap().unwrap(), Ready::WRITABLE);
    });
}

#[test]
fn a_dropped_wait_leaves_the_readiness_to_others() {
    block_on(async {
        let (one, other) = pair();
        let one = Rc::new(one);
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let one = Rc::clone(&one);
                spawn(async move { one.ready(Interest::READABLE).await })
            })
            .collect();
        yield_now().await;
        waiters[1].abort();
        assert_eq!(write(&other, b"x").unwrap(), 1);
        let mut ended = 0;
        for waiter in waiters {
            ended += usize::from(waiter.await.is_ok_and(|ready| ready.unwrap().is_readable()));
        }
        assert_eq!(ended, 3);
    });
}

/// A pipe without writers is reported as closed, but once a writer opens it again, reads
/// wait for that writer and do not spin.
#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(miri, ignore = "Miri has no /proc")]
fn a_pipe_that_is_opened_again_is_waited_for() {
    use std::os::fd::AsRawFd;

    fn read(mut pipe: &PipeReader) -> io::Result<usize> {
        pipe.read(&mut [0; 8])
    }

    block_on(async {
        let (reader, writer) = io::pipe().unwrap();
        let reader = Async::new(reader).unwrap();
        assert!(
            once(reader.async_io(Interest::READABLE, read))
                .await
                .is_none()
        );
        drop(writer);
        let ready = reader.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_read_closed(), "{ready:?}");
        assert_eq!(reader.async_io(Interest::READABLE, read).await.unwrap(), 0);

        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let mut writer = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        let calls = Cell::new(0);
        let mut reading = pin!(reader.async_io(Interest::READABLE, |pipe| {
            calls.set(calls.get() + 1);
            read(pipe)
        }));
        for _ in 0..10 {
            assert!(once(reading.as_mut()).await.is_none());
            yield_now().await;
        }
        assert_eq!(calls.get(), 1);
        writer.write_all(b"again").unwrap();
        assert_eq!(reading.await.unwrap(), 5);
    });
}

#[test]
fn try_io_asks_the_kernel_only_if_it_may_succeed() {
    block_on(async {
        let (one, other) = pair();
        let calls = Cell::new(0);
        let counted = |stream: &UnixStream| {
            calls.set(calls.get() + 1);
            read(stream)
        };
        // The descriptor is not registered yet, so the loop does not know its readiness.
        for _ in 0..2 {
            let error = one.try_io(Interest::READABLE, counted).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
        assert_eq!(calls.get(), 2);
        assert!(once(one.ready(Interest::READABLE)).await.is_none());
        for _ in 0..2 {
            let error = one.try_io(Interest::READABLE, counted).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
        assert_eq!(calls.get(), 2);
        assert_eq!(write(&other, b"x").unwrap(), 1);
        one.ready(Interest::READABLE).await.unwrap();
        assert_eq!(one.try_io(Interest::READABLE, counted).unwrap(), 1);
        assert_eq!(calls.get(), 3);
    });
}

/// Of tasks that poll with `poll_read_with`, only the last would be woken.
#[test]
fn all_tasks_that_poll_through_a_shared_reference_are_woken() {
    block_on(async {
        let (one, other) = pair();
        let counts: Vec<Arc<Count>> = (0..3).map(|_| Arc::default()).collect();
        for _ in 0..2 {
            for count in &counts {
                let waker = Waker::from(Arc::clone(count));
                let mut context = Context::from_waker(&waker);
                assert!(one.poll_read_shared(&mut context, read).is_pending());
            }
        }
        let ready = one.readable();
        assert_eq!(write(&other, b"x").unwrap(), 1);
        ready.await.unwrap();
        for count in &counts {
            // One wake, unless the two wakers of a count have different vtables, as in Miri.
            let most = if cfg!(miri) { 2 } else { 1 };
            assert!((1..=most).contains(&count.get()));
            assert_eq!(Arc::strong_count(count), 1, "a waker is kept after its use");
        }
        let mut context = Context::from_waker(Waker::noop());
        let polled = one.poll_read_shared(&mut context, read);
        assert!(matches!(polled, Poll::Ready(Ok(1))));
        assert!(
            one.poll_write_shared(&mut context, |stream| write(stream, b"y"))
                .is_ready()
        );
    });
}

/// The number of wakers that a source keeps for polls that were given up is bounded.
#[test]
#[cfg_attr(miri, ignore = "three hundred wakers in a list, which is safe code")]
fn wakers_of_polls_that_were_given_up_do_not_pile_up() {
    block_on(async {
        let (one, _other) = pair();
        let counts: Vec<Arc<Count>> = (0..300).map(|_| Arc::default()).collect();
        for count in &counts {
            let waker = Waker::from(Arc::clone(count));
            let mut context = Context::from_waker(&waker);
            assert!(one.poll_read_shared(&mut context, read).is_pending());
        }
        let kept = counts
            .iter()
            .filter(|count| Arc::strong_count(count) > 1)
            .count();
        assert!(kept <= 256, "{kept} are kept");
        // The wakers that were removed were woken, so that a future that still waits polls
        // again.
        let woken = counts.iter().filter(|count| count.get() == 1).count();
        assert_eq!(woken + kept, 300);
    });
}

#[test]
fn waits_end_with_the_runtime() {
    let runtime = Runtime::new().unwrap();
    let (one, _other) = runtime.block_on(async {
        let (one, other) = pair();
        assert!(once(one.ready(Interest::READABLE)).await.is_none());
        (one, other)
    });
    drop(runtime);
    block_on(async {
        for interest in [Interest::READABLE, Interest::WRITABLE, Interest::ERROR] {
            assert_eq!(
                one.ready(interest).await.unwrap_err().kind(),
                ErrorKind::Other
            );
        }
        let error = one.async_io(Interest::READABLE, read).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other);
        let mut context = Context::from_waker(Waker::noop());
        let polled = one.poll_read_shared(&mut context, read);
        assert!(matches!(polled, Poll::Ready(Err(_))));
    });
}
