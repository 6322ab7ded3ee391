//! A lock that its task takes again.

use std::hint::black_box;
use std::time::{Duration, Instant};

use coreloop::sync::ReentrantMutex;

/// Takes it so often, and then lets go of all.
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
