//! Tasks that are spawned, joined and woken.

use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};

use coreloop::spawn;

const AT_ONCE: u64 = 100;

pub(super) async fn spawn_and_join(times: u64) {
    let mut handles = Vec::new();
    for _ in 0..times / AT_ONCE {
        for number in 0..AT_ONCE {
            let future: Ready<u64> = ready(number);
            handles.push(spawn(future));
        }
        for handle in handles.drain(..) {
            black_box(handle.await.expect("the task is not aborted"));
        }
    }
}

pub(super) async fn self_wake(times: u64) {
    let handles: Vec<_> = (0..AT_ONCE)
        .map(|_| spawn(Waking(times / AT_ONCE)))
        .collect();
    for handle in handles {
        handle.await.expect("the task is not aborted");
    }
}

/// A future that wakes itself and waits, a number of times.
struct Waking(u64);

impl Future for Waking {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
