//! Uses timers, and returns the time that it took. The parent module imports them.

use std::cell::Cell;
use std::future::{Future, poll_fn, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use super::{Instant, interval_at, sleep, sleep_until, spawn, timeout};
use crate::suite::AMONG;
use crate::timing::{overshoots, set_and_cancel, sleep_in_tasks};
use crate::yielding::Yield;

/// A timeout that is longer than any of this work.
const LONG: Duration = Duration::from_secs(60);
/// The number of operations within the budget that a task of tokio, and of coreloop, has
/// before it must yield.
const AT_ONCE: usize = 64;

pub(crate) async fn set_cancel(live: usize, pieces: u64) -> Duration {
    set_and_cancel(live as u64, pieces * AMONG, sleep).await
}

/// Measures from when the timers of all tasks are due until all tasks have run, without
/// setting the timers and waiting until they are due.
pub(crate) async fn fire(tasks: usize, pieces: u64) -> Duration {
    let mut elapsed = Duration::ZERO;
    let set_in = Duration::from_millis(2) + Duration::from_micros(tasks as u64);
    for _ in 0..pieces {
        let due = Instant::now() + set_in;
        let set = Rc::new(Cell::new(0));
        let handles: Vec<_> = (0..tasks)
            .map(|_| {
                let set = Rc::clone(&set);
                spawn(async move {
                    set.set(set.get() + 1);
                    sleep_until(due).await;
                })
            })
            .collect();
        while set.get() < tasks {
            Yield::default().await;
        }
        // tokio's timers are due at the following millisecond.
        thread::sleep(due.saturating_duration_since(Instant::now()) + Duration::from_millis(2));
        let start = Instant::now();
        for handle in handles {
            handle.await.expect("it does not panic");
        }
        elapsed += start.elapsed();
    }
    elapsed
}

/// Measures one tick of each of a number of intervals, which are all behind.
pub(crate) async fn interval(intervals: usize, pieces: u64) -> Duration {
    let behind = Instant::now() - Duration::from_secs(10);
    let period = Duration::from_nanos(1);
    let mut intervals: Vec<_> = (0..intervals)
        .map(|_| interval_at(behind, period))
        .collect();
    let start = Instant::now();
    for _ in 0..pieces {
        for interval in &mut intervals {
            black_box(interval.tick().await);
        }
    }
    start.elapsed()
}

/// Uses a timeout around a future that is ready at once.
pub(crate) async fn timeout_ready(live: usize, pieces: u64) -> Duration {
    let timers = set(live).await;
    let start = Instant::now();
    for number in 0..pieces * AMONG {
        let ready = timeout(LONG, ready(number)).await;
        black_box(ready.expect("it is ready"));
    }
    let elapsed = start.elapsed();
    drop(timers);
    elapsed
}

/// Uses a timeout around a future that is pending once.
pub(crate) async fn timeout_waits(live: usize, pieces: u64) -> Duration {
    let timers = set(live).await;
    let start = Instant::now();
    for _ in 0..pieces * AMONG {
        let yielded = timeout(LONG, Yield::default()).await;
        yielded.expect("it is soon ready");
    }
    let elapsed = start.elapsed();
    drop(timers);
    elapsed
}

/// Sets timers that are not due for a long time.
async fn set(live: usize) -> Vec<Pin<Box<impl Future>>> {
    let mut timers: Vec<_> = (0..live as u64)
        .map(|number| Box::pin(sleep(LONG + Duration::from_micros(number * 7))))
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
    timers
}

/// Runs tasks that each sleep for 1 to 20 ms.
pub(crate) async fn sleep_in_many(tasks: usize, pieces: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..pieces {
        sleep_in_tasks(tasks as u64, sleep, spawn).await;
    }
    start.elapsed()
}

/// Measures the overshoot of short sleeps on an idle loop.
pub(crate) async fn overshoot(microseconds: usize, pieces: u64) -> Duration {
    let sleeps = usize::try_from(pieces).unwrap_or(usize::MAX);
    let duration = Duration::from_micros(microseconds as u64);
    overshoots(duration, sleeps, sleep).await.iter().sum()
}
