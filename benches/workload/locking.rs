//! Work with locks, written once so that every library does the same.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::yielding::Yield;

/// A mutex with a number in it.
pub(crate) trait Mutex: Default + 'static {
    /// Adds one to the number, and keeps the lock while it awaits `pause`.
    async fn count(&self, pause: impl Future<Output = ()>);
}

/// A semaphore.
pub(crate) trait Semaphore: 'static {
    fn with_permits(permits: usize) -> Self;
    async fn acquire_and_release(&self);
}

/// A signal by which one task notifies another.
pub(crate) trait Signal: Default + 'static {
    fn raise(&self);
    async fn raised(&self);
}

/// Locks and unlocks a number of times, and returns the time that it took.
pub(crate) async fn lock_and_unlock<M: Mutex>(times: u64) -> Duration {
    let mutex = black_box(M::default());
    let start = Instant::now();
    for _ in 0..times {
        mutex.count(std::future::ready(())).await;
    }
    start.elapsed()
}

/// Acquires and releases a number of times, and returns the time that it took.
pub(crate) async fn acquire_and_release<S: Semaphore>(times: u64) -> Duration {
    let semaphore = black_box(S::with_permits(10));
    let start = Instant::now();
    for _ in 0..times {
        semaphore.acquire_and_release().await;
    }
    start.elapsed()
}

/// Lets tasks lock one mutex a number of times each, and yield while they hold it. Returns
/// the time that it took.
pub(crate) async fn contend<M: Mutex, H: Future>(
    tasks: u64,
    times: u64,
    spawn: impl Fn(Pin<Box<dyn Future<Output = ()>>>) -> H,
) -> Duration {
    let mutex = Rc::new(M::default());
    let start = Instant::now();
    let handles: Vec<_> = (0..tasks)
        .map(|_| {
            let mutex = Rc::clone(&mutex);
            spawn(Box::pin(async move {
                for _ in 0..times {
                    mutex.count(Yield::default()).await;
                }
            }))
        })
        .collect();
    for handle in handles {
        handle.await;
    }
    start.elapsed()
}

/// Lets two tasks wake each other in turn a number of times, and returns the time that it
/// took.
pub(crate) async fn ping_pong<S: Signal, H: Future>(
    times: u64,
    spawn: impl Fn(Pin<Box<dyn Future<Output = ()>>>) -> H,
) -> Duration {
    let signals = Rc::new((S::default(), S::default()));
    let other = Rc::clone(&signals);
    let start = Instant::now();
    let answering = spawn(Box::pin(async move {
        for _ in 0..times {
            other.0.raised().await;
            other.1.raise();
        }
    }));
    let asking = spawn(Box::pin(async move {
        for _ in 0..times {
            signals.0.raise();
            signals.1.raised().await;
        }
    }));
    asking.await;
    answering.await;
    start.elapsed()
}

impl Mutex for coreloop::sync::Mutex<u64> {
    async fn count(&self, pause: impl Future<Output = ()>) {
        let mut guard = self.lock().await;
        *guard += 1;
        pause.await;
    }
}

impl Semaphore for coreloop::sync::Semaphore {
    fn with_permits(permits: usize) -> Self {
        Self::new(permits)
    }

    async fn acquire_and_release(&self) {
        let permit = self.acquire().await;
        drop(black_box(permit));
    }
}

impl Signal for coreloop::sync::Notify {
    fn raise(&self) {
        self.notify_one();
    }

    async fn raised(&self) {
        self.notified().await;
    }
}

impl Mutex for tokio::sync::Mutex<u64> {
    async fn count(&self, pause: impl Future<Output = ()>) {
        let mut guard = self.lock().await;
        *guard += 1;
        pause.await;
    }
}

impl Semaphore for tokio::sync::Semaphore {
    fn with_permits(permits: usize) -> Self {
        Self::new(permits)
    }

    async fn acquire_and_release(&self) {
        let permit = self.acquire().await;
        drop(black_box(permit));
    }
}

impl Signal for tokio::sync::Notify {
    fn raise(&self) {
        self.notify_one();
    }

    async fn raised(&self) {
        self.notified().await;
    }
}
