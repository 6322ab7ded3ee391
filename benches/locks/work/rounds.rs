//! One task that repeatedly notifies many.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::spawn;
use crate::yielding::Yield;

/// Lets tasks wait in every round. Another task notifies them, and begins the next round
/// when all have been notified and wait again. Returns the time that it took.
pub(super) async fn rounds(
    waiters: usize,
    rounds: u64,
    wait: impl AsyncFn(u64) + 'static,
    notify: impl AsyncFn(u64) + 'static,
) -> Duration {
    let wait = Rc::new(wait);
    let waits = Rc::new(Cell::new(0));
    let handles: Vec<_> = (0..waiters)
        .map(|_| {
            let wait = Rc::clone(&wait);
            let waits = Rc::clone(&waits);
            spawn(async move {
                for round in 0..rounds {
                    // Counts the task before its first poll of the wait. No other task runs
                    // in between.
                    waits.set(waits.get() + 1);
                    wait(round).await;
                }
                waits.set(waits.get() + 1);
            })
        })
        .collect();
    let notifier = spawn(async move {
        let all_wait_again = async |times: u64| {
            while waits.get() < waiters as u64 * times {
                Yield::default().await;
            }
        };
        all_wait_again(1).await;
        let start = Instant::now();
        for round in 0..rounds {
            notify(round).await;
            all_wait_again(round + 2).await;
        }
        start.elapsed()
    });
    let elapsed = notifier.await.expect("it does not panic");
    for handle in handles {
        handle.await.expect("it does not panic");
    }
    elapsed
}
