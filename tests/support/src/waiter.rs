//! Futures polled by hand, outside any runtime, with wakers whose wakes and
//! references are counted.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts its wakes.
#[derive(Debug, Default)]
pub struct Count(AtomicUsize);

impl Count {
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The waker of one that waits, which may change.
#[derive(Debug, Default)]
pub struct Signal {
    count: Arc<Count>,
    /// How often it had been woken at the last poll.
    seen: usize,
}

impl Signal {
    /// To poll with: the waker of before, or another, of which nothing may then
    /// be left of the one before.
    pub fn poll<T>(
        &mut self,
        anew: bool,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let before = Arc::clone(&self.count);
        if anew {
            self.count = Arc::default();
        }
        self.seen = self.woken();
        let waker = Waker::from(Arc::clone(&self.count));
        let polled = poll(&mut Context::from_waker(&waker));
        drop(waker);
        if anew {
            assert_eq!(Arc::strong_count(&before), 1, "a replaced waker was kept");
        }
        polled
    }

    /// How often the last waker was woken.
    pub fn woken(&self) -> usize {
        self.count.get()
    }

    /// Whether it was woken since the last poll.
    pub fn is_woken(&self) -> bool {
        self.woken() > self.seen
    }

    /// How many of the last waker are kept anywhere.
    pub fn wakers(&self) -> usize {
        Arc::strong_count(&self.count) - 1
    }
}

/// A future with a waker of its own.
pub struct Waiter<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    signal: Signal,
}

impl<'a, T> Waiter<'a, T> {
    pub fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self {
            future: Box::pin(future),
            signal: Signal::default(),
        }
    }

    /// Polls with the waker of before.
    pub fn poll(&mut self) -> Poll<T> {
        self.signal.poll(false, |cx| self.future.as_mut().poll(cx))
    }

    /// Polls with a waker that it has not seen. The one before is let go.
    pub fn poll_afresh(&mut self) -> Poll<T> {
        self.signal.poll(true, |cx| self.future.as_mut().poll(cx))
    }

    pub fn poll_with(&mut self, waker: &Waker) -> Poll<T> {
        self.future.as_mut().poll(&mut Context::from_waker(waker))
    }

    pub fn is_ready(&mut self) -> bool {
        self.poll().is_ready()
    }

    /// How often the last waker was woken.
    pub fn woken(&self) -> usize {
        self.signal.woken()
    }

    /// Whether it was woken since the last poll.
    pub fn is_woken(&self) -> bool {
        self.signal.is_woken()
    }

    /// How many of the last waker are kept anywhere.
    pub fn wakers(&self) -> usize {
        self.signal.wakers()
    }

    /// Whether the last waker is still kept by somebody.
    pub fn is_registered(&self) -> bool {
        self.wakers() > 0
    }

    /// Drops the future, and checks that its waker is let go.
    pub fn cancel(self) {
        let Self { future, signal } = self;
        drop(future);
        assert_eq!(signal.wakers(), 0, "a dropped waiter's waker was kept");
    }
}

/// Says when a poll that must not be pending is.
#[track_caller]
pub fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("pending"),
    }
}
