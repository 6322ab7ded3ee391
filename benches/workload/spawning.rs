//! Spawning and joining, written once so that every runtime does the same.

use std::future::{Ready, ready};
use std::time::{Duration, Instant};

/// Spawns `tasks` tasks that are ready at once and joins them, `rounds` times; returns the
/// time that it took.
pub(crate) async fn spawn_and_join<H: Future>(
    tasks: usize,
    rounds: u64,
    spawn: impl Fn(Ready<usize>) -> H,
) -> Duration {
    let mut handles = Vec::with_capacity(tasks);
    let start = Instant::now();
    for _ in 0..rounds {
        for number in 0..tasks {
            handles.push(spawn(ready(number)));
        }
        for handle in handles.drain(..) {
            handle.await;
        }
    }
    start.elapsed()
}
