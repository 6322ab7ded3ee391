//! A lock that its task takes repeatedly.

use std::hint::black_box;
use std::time::{Duration, Instant};

use coreloop::sync::ReentrantMutex;

/// Locks it a number of times, and then drops all guards.
pub(crate) async fn lock_again(depth: usize, pieces: u64) -> Duration {
    let mutex = black_box(ReentrantMutex::new(7));
    let mut guards = Vec::with_capacity(depth);
    let start = Instant::now();
    for _ in 0..pieces {
        for _ in 0..depth {
            guards.push(mutex.lock().await);
        }
        guards.clear();
    }
    start.elapsed()
}
