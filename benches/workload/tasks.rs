//! Work that several tasks do at a time.

use std::future::Future;
use std::time::{Duration, Instant};

/// Lets a number of tasks do the work, and returns the time until all have finished.
pub(crate) async fn in_tasks<F, H>(
    tasks: usize,
    spawn: impl Fn(F) -> H,
    work: impl Fn() -> F,
) -> Duration
where
    F: Future,
    H: Future,
{
    let mut handles = Vec::with_capacity(tasks);
    let start = Instant::now();
    for _ in 0..tasks {
        handles.push(spawn(work()));
    }
    for handle in handles {
        handle.await;
    }
    start.elapsed()
}
