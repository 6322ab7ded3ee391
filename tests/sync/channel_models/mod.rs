//! Each channel against a plain model of it: random steps, and after each the
//! two are compared, and nobody may be left waiting for what is there.

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

/// What to do, and to which.
type Step = (u8, u8);

/// Runs `run` on random steps.
fn check(run: impl Fn(&[Step])) {
    sequence::each(200, run);
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
