//! One task that tells many, again and again.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::spawn;
use crate::yielding::Yield;

/// Has so many tasks wait in every round. Another tells them, and begins the
/// next round once all have heard and wait again. Answers how long that took.
pub(super) async fn rounds(
    waiters: usize,
    rounds: u64,
    wait: impl AsyncFn(u64) + 'static,
    tell: impl AsyncFn(u64) + 'static,
) -> Duration {
    let wait = Rc::new(wait);
    let heard = Rc::new(Cell::new(0));
    let handles: Vec<_> = (0..waiters)
        .map(|_| {
            let wait = Rc::clone(&wait);
            let heard = Rc::clone(&heard);
            spawn(async move {
                for round in 0..rounds {
                    // Counted before the first poll of what it waits with,
                    // which nobody comes in between.
                    heard.set(heard.get() + 1);
                    wait(round).await;
                }
                heard.set(heard.get() + 1);
            })
        })
        .collect();
    let telling = spawn(async move {
        let all_have_heard = async |times: u64| {
            while heard.get() < waiters as u64 * times {
                Yield::default().await;
            }
        };
        all_have_heard(1).await;
        let start = Instant::now();
        for round in 0..rounds {
            tell(round).await;
            all_have_heard(round + 2).await;
        }
        start.elapsed()
    });
    let elapsed = telling.await.expect("it does not panic");
    for handle in handles {
        handle.await.expect("it does not panic");
    }
    elapsed
}
