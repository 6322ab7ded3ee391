//! Timers that another executor or another loop polls, or whose runtime has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use coreloop::time::{Instant, sleep, timeout};
use coreloop::{Runtime, block_on};
use coreloop_test_support::deadline::wait_until;
use coreloop_test_support::waiter::Count;

use crate::{poll, sleep_in};
use coreloop_test_support::clock::paused;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn another_executor_polls_a_timer() {
    let runtime = paused();
    let guard = runtime.enter();
    let start = Instant::now();
    let mut timer = sleep(ms(5));
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    assert!(poll(&mut timer, &waker).is_pending());
    assert_eq!(runtime.next_timer(), Some(start + ms(5)));
    // Only turns fire timers.
    assert_eq!(count.get(), 0);
    runtime.turn(None).unwrap();
    assert_eq!(count.get(), 1);
    assert!(poll(&mut timer, &waker).is_ready());
    assert!(poll(&mut timer, &waker).is_ready());
    drop(guard);
    assert_eq!(runtime.next_timer(), None);
}

/// The loop's descriptor becomes readable when a timer is due that was set, or moved
/// forward, outside its turns.
#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(miri, ignore = "no timerfd")]
fn a_timer_makes_the_descriptor_of_its_loop_readable() {
    use coreloop_test_support::program::PATIENCE;
    use mio::unix::SourceFd;
    use std::os::fd::AsFd;
    use std::os::fd::AsRawFd;

    let runtime = Runtime::new().unwrap();
    let mut outer = mio::Poll::new().unwrap();
    let fd = runtime.as_fd().as_raw_fd();
    let readable = mio::Interest::READABLE;
    outer
        .registry()
        .register(&mut SourceFd(&fd), mio::Token(0), readable)
        .unwrap();
    let _guard = runtime.enter();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut set = sleep(ms(1));
    let mut reset = sleep(Duration::from_secs(3600));
    assert!(poll(&mut reset, &waker).is_pending());
    // On a busy machine the timer may be due before it is polled, and then it is not set.
    while poll(&mut set, &waker).is_ready() {
        Pin::new(&mut set).reset(Instant::now() + ms(1));
    }
    let mut events = mio::Events::with_capacity(4);
    for wakes in [1, 2] {
        while count.get() < wakes {
            outer.poll(&mut events, Some(PATIENCE)).unwrap();
            assert!(
                !events.is_empty(),
                "the descriptor is not readable when a timer is due"
            );
            runtime.turn(Some(Duration::ZERO)).unwrap();
        }
        let soon = Instant::now() + ms(1);
        if wakes == 1 {
            Pin::new(&mut reset).reset(soon);
        }
    }
    assert!(poll(&mut reset, &waker).is_ready());
}

#[test]
fn a_timer_of_a_paused_runtime_that_has_ended_stays_pending() {
    let runtime = paused();
    let guard = runtime.enter();
    let mut waiting = sleep(ms(5));
    let mut new = sleep(ms(5));
    let mut elapsed = sleep(Duration::ZERO);
    assert!(poll(&mut waiting, Waker::noop()).is_pending());
    drop(guard);
    drop(runtime);
    // No runtime moves the paused clock any more.
    for timer in [&mut waiting, &mut new] {
        assert!(poll(timer, Waker::noop()).is_pending());
        Pin::new(&mut *timer).reset(Instant::now() + Duration::from_secs(3600));
        assert!(poll(timer, Waker::noop()).is_pending());
        assert!(!timer.is_elapsed());
    }
    assert!(poll(&mut elapsed, Waker::noop()).is_ready());
}

#[test]
fn a_timer_of_a_runtime_that_has_ended_elapses_when_it_is_polled() {
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let mut timer = sleep(Duration::from_micros(50));
    assert!(poll(&mut timer, Waker::noop()).is_pending() || timer.is_elapsed());
    drop(guard);
    drop(runtime);
    wait_until(|| poll(&mut timer, Waker::noop()).is_ready());
    assert!(timer.is_elapsed());
    // A task of another runtime that polls the timer for another reason sees that it has
    // elapsed.
    let done = block_on(async { timeout(ms(1), timer).await });
    assert!(done.is_ok());
}

/// Two runtimes on one thread: a timer belongs to the runtime in which it was created.
#[test]
fn a_timer_of_one_runtime_is_awaited_in_another() {
    let (a, b) = (paused(), paused());
    let timer = sleep_in(&a, Duration::from_secs(5));
    let waiter = b.spawn(timer);
    b.turn(Some(Duration::ZERO)).unwrap();
    assert!(a.next_timer().is_some() && b.next_timer().is_none());
    a.turn(None).unwrap();
    b.block_on(waiter).unwrap();
}
