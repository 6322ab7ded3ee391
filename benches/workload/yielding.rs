//! Yielding once, written once so that no runtime's own `yield_now` counts.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that wakes its task, and is ready when it is polled again.
#[derive(Default)]
pub(crate) struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
