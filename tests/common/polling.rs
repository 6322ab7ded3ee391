//! Futures polled by hand, outside any runtime, with wakers that count.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future with a waker of its own.
pub(crate) struct Task<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    count: Arc<Count>,
}

impl<'a, T> Task<'a, T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'a) -> Self {
        Self {
            future: Box::pin(future),
            count: Arc::default(),
        }
    }

    /// Polls with the waker of before.
    pub(crate) fn poll(&mut self) -> Poll<T> {
        self.count.0.store(0, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.count));
        self.poll_with(&waker)
    }

    pub(crate) fn poll_with(&mut self, waker: &Waker) -> Poll<T> {
        self.future.as_mut().poll(&mut Context::from_waker(waker))
    }

    /// Polls with a new waker, and asserts that the one of before is dropped.
    pub(crate) fn poll_elsewhere(&mut self) -> Poll<T> {
        let before = std::mem::take(&mut self.count);
        let poll = self.poll();
        assert_eq!(Arc::strong_count(&before), 1, "a replaced waker was kept");
        poll
    }

    /// Whether it was woken since the last poll.
    pub(crate) fn is_woken(&self) -> bool {
        self.count.0.load(Ordering::Relaxed) > 0
    }

    /// How many wakers of it are kept anywhere.
    pub(crate) fn wakers(&self) -> usize {
        Arc::strong_count(&self.count) - 1
    }

    /// What counts its wakers when it is gone.
    pub(crate) fn drop_and_count(self) -> usize {
        let Self { future, count } = self;
        drop(future);
        Arc::strong_count(&count) - 1
    }
}

thread_local! {
    static HOOK: RefCell<Option<Rc<dyn Fn()>>> = const { RefCell::new(None) };
}

fn call_hook() {
    let hook = HOOK.with_borrow(Clone::clone);
    if let Some(hook) = hook {
        hook();
    }
}

struct ComesBack;

impl Wake for ComesBack {
    fn wake(self: Arc<Self>) {
        call_hook();
    }
}

impl Drop for ComesBack {
    fn drop(&mut self) {
        call_hook();
    }
}

/// Wakers that call the closure when they are woken and when the last of them
/// is dropped, while `body` runs.
pub(crate) fn with_hook(hook: impl Fn() + 'static, body: impl FnOnce(&dyn Fn() -> Waker)) {
    HOOK.set(Some(Rc::new(hook)));
    body(&|| Waker::from(Arc::new(ComesBack)));
    HOOK.set(None);
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

/// A waker that panics when it is woken.
pub(crate) fn panicking_waker() -> Waker {
    Waker::from(Arc::new(Panics))
}
