//! Tasks that wake themselves, written once so that every runtime does the
//! same.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How a [`Waking`] task wakes itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wake {
    /// `wake_by_ref` on the borrowed waker, which is the cheapest way through the queue.
    ByRef,
    /// A clone that is then consumed, like in a leaf future that keeps its waker.
    ByClone,
}

/// A future that wakes itself and waits, a number of times, and then is ready.
#[derive(Debug)]
pub(crate) struct Waking {
    left: u64,
    wake: Wake,
}

impl Future for Waking {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.left == 0 {
            return Poll::Ready(());
        }
        self.left -= 1;
        match self.wake {
            Wake::ByRef => cx.waker().wake_by_ref(),
            Wake::ByClone => {
                let kept = cx.waker().clone();
                kept.wake();
            }
        }
        Poll::Pending
    }
}

/// Runs `tasks` tasks that each wake themselves `wakes` times; returns the time until all
/// have finished.
pub(crate) async fn wake_through_queue<H: Future>(
    tasks: usize,
    wakes: u64,
    wake: Wake,
    spawn: impl Fn(Waking) -> H,
) -> Duration {
    let mut handles = Vec::with_capacity(tasks);
    let start = Instant::now();
    for _ in 0..tasks {
        handles.push(spawn(Waking { left: wakes, wake }));
    }
    for handle in handles {
        handle.await;
    }
    start.elapsed()
}
