//! Each channel compared with a simple model: after each random step, both must agree, and
//! no task may wait for something that is available.

mod broadcast;
mod mpsc;
mod oneshot;
mod queue;
mod watch;

use std::fmt::Debug;
use std::pin::Pin;
use std::task::Poll;

use coreloop_test_support::sequence;
use coreloop_test_support::waiter::Signal;

/// What a step does, and with which handle.
type Step = (u8, u8);

/// Runs `run` on random steps.
fn check(run: impl Fn(&[Step])) {
    sequence::each(200, run);
}

type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

/// An operation that was begun, and its number in the model.
struct Operation<T> {
    id: usize,
    future: Boxed<T>,
    signal: Signal,
    /// Whether the last poll was pending.
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

    /// Asserts that the operation, if it waits, was woken exactly if it can proceed.
    fn check(&self, can_proceed: bool) {
        if self.waits {
            assert_eq!(self.signal.is_woken(), can_proceed, "operation {}", self.id);
        }
    }

    /// Drops the operation, and asserts that its wakers are dropped with it.
    fn cancel(self) {
        let Self { future, signal, .. } = self;
        drop(future);
        assert_eq!(signal.wakers(), 0, "a dropped operation left its waker");
    }
}

/// Returns an index into `all`, unless it is empty.
fn pick<T>(all: &[T], which: u8) -> Option<usize> {
    usize::from(which).checked_rem(all.len())
}

fn assert_ready<T: Debug + PartialEq>(poll: &Poll<T>, expected: Option<T>) {
    assert_eq!(*poll, expected.map_or(Poll::Pending, Poll::Ready));
}
