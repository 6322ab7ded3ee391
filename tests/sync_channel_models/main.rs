//! Each channel against a plain model of it: random steps, and after each the
//! two are compared, and nobody may be left waiting for what is there.
#![cfg(feature = "sync")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod broadcast;
mod mpsc;
mod oneshot;
mod queue;
mod watch;

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestRunner};

/// What to do, and to which.
type Step = (u8, u8);

const CASES: u32 = if cfg!(miri) { 2 } else { 5000 };
const STEPS: usize = if cfg!(miri) { 60 } else { 200 };

/// Runs `run` on random steps, a million in all.
fn check(run: impl Fn(&[Step])) {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let steps = vec(any::<Step>(), STEPS);
    TestRunner::new(config)
        .run(&steps, |steps| {
            run(&steps);
            Ok(())
        })
        .unwrap();
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The waker of one that waits, which may change.
#[derive(Default)]
struct Signal(Arc<Count>);

impl Signal {
    /// To poll with: the waker of before, or another, of which nothing may then
    /// be left of the one before.
    fn poll<T>(&mut self, anew: bool, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let before = self.0.clone();
        if anew {
            self.0 = Arc::default();
        }
        self.0.0.store(0, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&self.0));
        let result = poll(&mut Context::from_waker(&waker));
        drop(waker);
        if anew {
            assert_eq!(Arc::strong_count(&before), 1, "a replaced waker was kept");
        }
        result
    }

    fn is_woken(&self) -> bool {
        self.0.0.load(Ordering::Relaxed) > 0
    }

    fn wakers(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

/// An operation that was begun, with what the model calls it.
struct Operation<T> {
    id: usize,
    future: Boxed<T>,
    signal: Signal,
    /// Pending at its last poll.
    waits: bool,
}

impl<T> Operation<T> {
    fn new(id: usize, future: impl Future<Output = T> + 'static) -> Self {
        Self {
            id,
            future: Box::pin(future),
            signal: Signal::default(),
            waits: false,
        }
    }

    fn poll(&mut self, anew: bool) -> Poll<T> {
        let future = &mut self.future;
        let poll = self.signal.poll(anew, |cx| future.as_mut().poll(cx));
        self.waits = poll.is_pending();
        poll
    }

    /// Asserts that it was woken if it waits and can go on, and only then.
    fn check(&self, can_go_on: bool) {
        if self.waits {
            assert_eq!(self.signal.is_woken(), can_go_on, "operation {}", self.id);
        }
    }

    /// Drops it, and asserts that its wakers go with it.
    fn abandon(self) {
        let Self { future, signal, .. } = self;
        drop(future);
        assert_eq!(signal.wakers(), 0, "a dropped operation left its waker");
    }
}

/// One of them, if there is any.
fn pick<T>(all: &[T], which: u8) -> Option<usize> {
    usize::from(which).checked_rem(all.len())
}

fn assert_ready<T: Debug + PartialEq>(poll: &Poll<T>, expected: Option<T>) {
    assert_eq!(*poll, expected.map_or(Poll::Pending, Poll::Ready));
}
