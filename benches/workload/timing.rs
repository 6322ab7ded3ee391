//! Timers, written once so that every runtime does the same.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::yielding::Yield;

/// The number of polls of timers within the budget that a task of tokio, and of coreloop,
/// has before it must yield.
const AT_ONCE: usize = 64;

/// Sets `live` timers, and then, `count` times, sets one more and cancels one of the live
/// ones, like the timeouts of requests that are answered: none fires. Returns the time of
/// the `count` steps.
pub(crate) async fn set_and_cancel<S: Future>(
    live: u64,
    count: u64,
    sleep: impl Fn(Duration) -> S,
) -> Duration {
    let mut timers: Vec<_> = (0..live)
        .map(|number| Box::pin(sleep(seconds(number))))
        .collect();
    for some in timers.chunks_mut(AT_ONCE) {
        poll_fn(|context| {
            for timer in &mut *some {
                assert!(timer.as_mut().poll(context).is_pending());
            }
            Poll::Ready(())
        })
        .await;
        Yield::default().await;
    }
    let mut next = 0;
    let start = Instant::now();
    for first in (0..count).step_by(AT_ONCE) {
        poll_fn(|context| {
            for number in first..count.min(first + AT_ONCE as u64) {
                let mut timer = Box::pin(sleep(seconds(number)));
                assert!(timer.as_mut().poll(context).is_pending());
                next = (next + 7) % timers.len();
                timers[next] = timer;
            }
            Poll::Ready(())
        })
        .await;
        Yield::default().await;
    }
    start.elapsed()
}

/// Spawns `tasks` tasks that each sleep for 1 to 20 ms, and joins them.
pub(crate) async fn sleep_in_tasks<S, H: Future>(
    tasks: u64,
    sleep: impl Fn(Duration) -> S,
    spawn: impl Fn(S) -> H,
) {
    let mut handles = Vec::new();
    for number in 0..tasks {
        let micros = 1000 + number.wrapping_mul(7919) % 19_000;
        handles.push(spawn(sleep(Duration::from_micros(micros))));
    }
    for handle in handles {
        handle.await;
    }
}

/// Sleeps for `duration` repeatedly, and returns by how much each sleep was too long.
pub(crate) async fn overshoots<S: Future>(
    duration: Duration,
    count: usize,
    sleep: impl Fn(Duration) -> S,
) -> Vec<Duration> {
    let mut overshoots = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        sleep(duration).await;
        overshoots.push(start.elapsed().saturating_sub(duration));
    }
    overshoots
}

/// Returns durations from half a minute to a minute, in no order.
fn seconds(number: u64) -> Duration {
    Duration::from_micros(30_000_000 + number.wrapping_mul(7_919_113) % 30_000_000)
}
