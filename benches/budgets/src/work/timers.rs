//! Timers on a paused clock, which jumps to the next of them.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use coreloop::spawn;
use coreloop::task::yield_now;
use coreloop::time::sleep;

/// The number of tasks that sleep.
const SLEEPERS: u64 = 100;
/// The number of other timers beside which one is set.
const LIVE: u64 = 1000;
/// The number of polls of timers that fit in one poll of a task.
const AT_ONCE: usize = 100;

/// Runs tasks that sleep repeatedly, each from 1 to 19 ms; about five are due at a time.
pub(super) async fn fire(times: u64) {
    let handles: Vec<_> = (0..SLEEPERS)
        .map(|sleeper| {
            spawn(async move {
                for number in 0..times / SLEEPERS {
                    let millis = 1 + (number + 7 * sleeper) % 19;
                    sleep(Duration::from_millis(millis)).await;
                }
            })
        })
        .collect();
    for handle in handles {
        handle.await.expect("the task is not aborted");
    }
}

/// Sets and cancels timers like the timeouts of requests that are answered: none fires.
pub(super) async fn cancel(times: u64) {
    let mut timers: Vec<_> = (0..LIVE)
        .map(|number| Box::pin(sleep(late(number))))
        .collect();
    let mut next = 0;
    for first in (0..times + LIVE).step_by(AT_ONCE) {
        poll_fn(|context| {
            for number in first..first + AT_ONCE as u64 {
                let mut timer = Box::pin(sleep(late(number)));
                assert!(timer.as_mut().poll(context).is_pending());
                next = (next + 7) % timers.len();
                timers[next] = timer;
            }
            Poll::Ready(())
        })
        .await;
        yield_now().await;
    }
}

/// Returns durations from half a minute to a minute, in no order.
fn late(number: u64) -> Duration {
    Duration::from_micros(30_000_000 + number.wrapping_mul(7_919_113) % 30_000_000)
}
