//! Sleeps for hyper that are dropped on other threads than their loop's.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
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

fn drop_on_another_thread(sleep: Pin<Box<dyn Sleep>>) {
    thread::spawn(move || drop(sleep)).join().expect("a drop");
}

fn turn(runtime: &Runtime) {
    runtime.block_on(async {
        for _ in 0..8 {
            yield_now().await;
        }
    });
}

#[test]
fn a_sleep_dropped_on_another_thread_leaves_no_timer() {
    let runtime = Runtime::new().expect("descriptors for a loop");
    let sleep = sleeping(&runtime, 1000);
    assert!(runtime.next_timer().is_some());
    drop_on_another_thread(sleep);
    turn(&runtime);
    assert_eq!(runtime.next_timer(), None);
}

#[test]
fn a_sleep_may_be_dropped_on_another_thread_before_or_after_its_loop() {
    let runtime = Runtime::new().expect("descriptors for a loop");
    let (before, after) = (sleeping(&runtime, 1000), sleeping(&runtime, 2000));
    drop_on_another_thread(before);
    drop(runtime);
    drop_on_another_thread(after);
}
