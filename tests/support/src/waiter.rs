//! Futures that are polled by hand, outside any runtime, with wakers that count their wakes
//! and references.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A waker that counts its wakes.
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

/// The current waker of a future.
#[derive(Debug, Default)]
pub struct Signal {
    count: Arc<Count>,
    /// How often the waker had been woken at the last poll.
    seen: usize,
}

impl Signal {
    /// Returns the waker for the next poll: the same as before, or a new one. After a poll with
    /// a new one, no reference to the old waker may be left.
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

    /// Returns how often the last waker was woken.
    pub fn woken(&self) -> usize {
        self.count.get()
    }

    /// Returns whether the waker was woken since the last poll.
    pub fn is_woken(&self) -> bool {
        self.woken() > self.seen
    }

    /// Returns how many references to the last waker there are elsewhere.
    pub fn wakers(&self) -> usize {
        Arc::strong_count(&self.count) - 1
    }
}

/// A future with its own waker.
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

    /// Polls with the same waker as before.
    pub fn poll(&mut self) -> Poll<T> {
        self.signal.poll(false, |cx| self.future.as_mut().poll(cx))
    }

    /// Polls with a new waker. The future has to drop the old one.
    pub fn poll_afresh(&mut self) -> Poll<T> {
        self.signal.poll(true, |cx| self.future.as_mut().poll(cx))
    }

    pub fn poll_with(&mut self, waker: &Waker) -> Poll<T> {
        self.future.as_mut().poll(&mut Context::from_waker(waker))
    }

    pub fn is_ready(&mut self) -> bool {
        self.poll().is_ready()
    }

    /// Returns how often the last waker was woken.
    pub fn woken(&self) -> usize {
        self.signal.woken()
    }

    /// Returns whether the waker was woken since the last poll.
    pub fn is_woken(&self) -> bool {
        self.signal.is_woken()
    }

    /// Returns how many references to the last waker there are elsewhere.
    pub fn wakers(&self) -> usize {
        self.signal.wakers()
    }

    /// Returns whether the last waker is still registered anywhere.
    pub fn is_registered(&self) -> bool {
        self.wakers() > 0
    }

    /// Drops the future, and checks that its waker was dropped too.
    pub fn cancel(self) {
        let Self { future, signal } = self;
        drop(future);
        assert_eq!(signal.wakers(), 0, "a dropped waiter's waker was kept");
    }
}

/// The message for a poll that must not be pending.
#[track_caller]
pub fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("pending"),
    }
}
