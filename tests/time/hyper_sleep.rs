//! Sleeps for hyper that are polled and dropped on other threads than their loop's.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use coreloop::Runtime;
use coreloop::hyper::LoopTimer;
use coreloop::task::yield_now;
use hyper::rt::{Sleep, Timer as _};

/// Creates a sleep, and sets its timer.
fn sleeping(runtime: &Runtime, seconds: u64) -> Pin<Box<dyn Sleep>> {
    let entered = runtime.enter();
    let mut sleep = LoopTimer.sleep(Duration::from_secs(seconds));
    drop(entered);
    runtime.block_on(poll_fn(|context| {
        assert!(sleep.as_mut().poll(context).is_pending());
        Poll::Ready(())
    }));
    sleep
}

fn poll_on_another_thread(mut sleep: Pin<Box<dyn Sleep>>) -> Pin<Box<dyn Sleep>> {
    let away = thread::spawn(move || {
        let polled = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        sleep
    });
    away.join().expect("a poll that does not panic")
}

fn turn(runtime: &Runtime) {
    runtime.block_on(async {
        for _ in 0..8 {
            yield_now().await;
        }
    });
}

/// Regression: a task that was sent to the loop with the timer was aborted, so that the
/// timer stayed in the wheel until it was due.
#[test]
fn a_sleep_dropped_on_another_thread_leaves_no_timer() {
    let runtime = Runtime::new().expect("descriptors for a loop");
    let sleep = sleeping(&runtime, 1000);
    assert!(runtime.next_timer().is_some());
    let sleep = poll_on_another_thread(sleep);
    thread::spawn(move || drop(sleep)).join().expect("a drop");
    turn(&runtime);
    assert_eq!(runtime.next_timer(), None);
}

#[test]
fn a_sleep_polled_on_another_thread_may_be_dropped_before_or_after_its_loop() {
    let runtime = Runtime::new().expect("descriptors for a loop");
    let (before, after) = (sleeping(&runtime, 1000), sleeping(&runtime, 2000));
    let (before, after) = (
        poll_on_another_thread(before),
        poll_on_another_thread(after),
    );
    drop(before);
    drop(runtime);
    drop(poll_on_another_thread(after));
}

#[test]
fn a_sleep_may_be_polled_on_another_thread_again_and_again() {
    let runtime = Runtime::new().expect("descriptors for a loop");
    let mut sleep = sleeping(&runtime, 1000);
    for _ in 0..3 {
        sleep = poll_on_another_thread(sleep);
        turn(&runtime);
        assert!(runtime.next_timer().is_some());
    }
    drop(sleep);
    turn(&runtime);
    assert_eq!(runtime.next_timer(), None);
}
