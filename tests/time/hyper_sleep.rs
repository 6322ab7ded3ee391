//! hyper's sleeps, polled and dropped away from the loop that made them.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use coreloop::Runtime;
use coreloop::hyper::LoopTimer;
use coreloop::task::yield_now;
use hyper::rt::{Sleep, Timer as _};

/// A sleep whose timer is set.
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

fn poll_away(mut sleep: Pin<Box<dyn Sleep>>) -> Pin<Box<dyn Sleep>> {
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

/// Its timer was on the way home with a task that was then aborted, and stayed in
/// the wheel until its time.
#[test]
fn a_sleep_dropped_before_its_timer_is_home_leaves_none() {
    let runtime = Runtime::new().expect("descriptors for a loop");
    let sleep = sleeping(&runtime, 1000);
    assert!(runtime.next_timer().is_some());
    let sleep = poll_away(sleep);
    thread::spawn(move || drop(sleep)).join().expect("a drop");
    turn(&runtime);
    assert_eq!(runtime.next_timer(), None);
}

#[test]
fn a_sleep_that_is_away_goes_with_its_loop_or_after_it() {
    let runtime = Runtime::new().expect("descriptors for a loop");
    let (before, after) = (sleeping(&runtime, 1000), sleeping(&runtime, 2000));
    let (before, after) = (poll_away(before), poll_away(after));
    drop(before);
    drop(runtime);
    drop(poll_away(after));
}

#[test]
fn a_sleep_comes_home_and_goes_away_again() {
    let runtime = Runtime::new().expect("descriptors for a loop");
    let mut sleep = sleeping(&runtime, 1000);
    for _ in 0..3 {
        sleep = poll_away(sleep);
        turn(&runtime);
        assert!(runtime.next_timer().is_some());
    }
    drop(sleep);
    turn(&runtime);
    assert_eq!(runtime.next_timer(), None);
}
