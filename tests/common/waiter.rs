//! A future that is polled by hand, outside any runtime, with a waker whose
//! wakes and references are counted.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts its wakes.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future and the waker that it was polled with last.
pub(crate) struct Waiter<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    count: Arc<Count>,
}

impl<'a, T> Waiter<'a, T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self {
            future: Box::pin(future),
            count: Arc::default(),
        }
    }

    pub(crate) fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.count));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Polls with a waker that it has not seen. The one before is let go.
    pub(crate) fn poll_afresh(&mut self) -> Poll<T> {
        let before = std::mem::take(&mut self.count);
        let polled = self.poll();
        assert_eq!(Arc::strong_count(&before), 1, "a replaced waker was kept");
        polled
    }

    pub(crate) fn is_ready(&mut self) -> bool {
        self.poll().is_ready()
    }

    /// How often the last waker was woken.
    pub(crate) fn woken(&self) -> usize {
        self.count.get()
    }

    /// Whether the last waker is still kept by somebody.
    pub(crate) fn is_registered(&self) -> bool {
        Arc::strong_count(&self.count) > 1
    }

    /// Drops the future, and checks that its waker is let go.
    pub(crate) fn cancel(self) {
        let Self { future, count } = self;
        drop(future);
        assert_eq!(
            Arc::strong_count(&count),
            1,
            "a dropped waiter's waker was kept"
        );
    }
}

/// Says when a poll that must not be pending is.
#[track_caller]
pub(crate) fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("pending"),
    }
}
