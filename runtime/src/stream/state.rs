//! The state that a generator and its body share: one allocation for each generator.
//!
//! # Invariants
//!
//! 1. `polled_with` is not null only while the generator polls its body. The pointer is
//!    compared with the wakers of yields, and never dereferenced.
//! 2. `item` holds an item from the poll of its yield to the end of the poll of the body,
//!    and `answer` holds an answer until the yield is polled. The next yield replaces
//!    what a leaked yield has left.
//! 3. All fields are `Cell`s, so that nothing is borrowed while a waker or a destructor
//!    runs.

use std::cell::Cell;
use std::panic::Location;
use std::ptr;
use std::task::{Context, Waker};

use crate::engine::core::context::scope_depth;

/// The progress of the body of a generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The body has not been polled yet.
    Unstarted,
    /// The body runs, or waits for something other than its consumer.
    Running,
    /// A yield has passed on its item, and waits for the answer.
    Yielded,
    /// Like `Yielded`, but the yield was polled with another waker than its generator, so
    /// the answer has to wake it.
    YieldedWithWaker,
    /// The consumer wants no more items, so every yield fails.
    Closed,
    /// The body has returned or panicked, or was dropped before it ran.
    Finished,
}

impl Phase {
    /// Returns whether a yield waits for an answer.
    pub(super) fn awaits_answer(self) -> bool {
        matches!(self, Self::Yielded | Self::YieldedWithWaker)
    }
}

/// The state that a generator, its [`Co`](super::Co) and its yields share.
pub(super) struct GeneratorState<T, R> {
    phase: Cell<Phase>,
    item: Cell<Option<T>>,
    answer: Cell<Option<R>>,
    /// The waker with which the body is being polled.
    polled_with: Cell<*const Waker>,
    /// The number of cancel scopes around the current poll of the body.
    depth: Cell<u32>,
    /// The waker of the yield that waits, if the phase is `YieldedWithWaker`.
    waker: Cell<Option<Waker>>,
}

impl<T, R> GeneratorState<T, R> {
    pub(super) fn new() -> Self {
        Self {
            phase: Cell::new(Phase::Unstarted),
            item: Cell::new(None),
            answer: Cell::new(None),
            polled_with: Cell::new(ptr::null()),
            depth: Cell::new(0),
            waker: Cell::new(None),
        }
    }

    #[inline]
    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    #[inline]
    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.set(phase);
    }

    /// For the generator, before a poll: answers the yield that waits, if one does. Returns
    /// `false` if the body has finished.
    #[inline]
    pub(super) fn start(&self, answer: Option<R>) -> bool {
        // The usual case takes one comparison.
        if self.phase.get() == Phase::Yielded {
            self.phase.set(Phase::Running);
            self.answer.set(answer);
            return true;
        }
        self.start_slowly(answer)
    }

    #[cold]
    #[inline(never)]
    fn start_slowly(&self, answer: Option<R>) -> bool {
        match self.phase.get() {
            Phase::Unstarted => self.phase.set(Phase::Running),
            Phase::Yielded | Phase::YieldedWithWaker => {
                self.phase.set(Phase::Running);
                self.answer.set(answer);
                self.wake();
            }
            Phase::Running | Phase::Closed => {}
            Phase::Finished => return false,
        }
        true
    }

    /// For the generator: marks the body as being polled until the guard is dropped.
    #[inline]
    pub(super) fn enter(&self, cx: &Context<'_>) -> Polling<'_, T, R> {
        self.polled_with.set(cx.waker());
        self.depth.set(scope_depth());
        Polling {
            state: self,
            returned: false,
        }
    }

    /// For the generator, after a poll: takes the item of the yield that was polled.
    #[inline]
    pub(super) fn take_item(&self) -> Option<T> {
        self.item.take()
    }

    /// For the generator: makes the yield that waits and all later ones fail.
    pub(super) fn close(&self) {
        self.phase.set(Phase::Closed);
        let answer = self.answer.take();
        self.wake();
        drop(answer);
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// For a yield: stores its item, and keeps its waker if the answer has to wake it.
    #[inline]
    pub(super) fn put_item(
        &self,
        item: T,
        cx: &Context<'_>,
        yielded_at: &'static Location<'static>,
    ) {
        if self.is_polled_with(cx)
            && self.depth.get() == scope_depth()
            && self.phase.get() == Phase::Running
        {
            self.phase.set(Phase::Yielded);
            self.item.set(Some(item));
        } else {
            self.put_item_slowly(item, cx, yielded_at);
        }
    }

    #[cold]
    #[inline(never)]
    fn put_item_slowly(&self, item: T, cx: &Context<'_>, yielded_at: &'static Location<'static>) {
        self.check_polled(yielded_at);
        if self.depth.get() != scope_depth() {
            nested(yielded_at);
        }
        if self.phase.get() == Phase::Closed {
            // The yield stays pending once, so that a body that ignores the error and
            // continues to yield does not block the loop.
            cx.waker().wake_by_ref();
            return;
        }
        self.phase.set(Phase::Yielded);
        self.item.set(Some(item));
        self.keep_waker(cx);
    }

    /// For a yield that waits: takes the answer to its item.
    #[inline]
    pub(super) fn take_answer(&self) -> Option<R> {
        self.answer.take()
    }

    /// For a yield that waits for its answer: keeps its waker, which the answer wakes.
    ///
    /// The waker of the generator's poll is not kept, because the poll that brings the
    /// answer polls the yield too.
    pub(super) fn keep_waker(&self, cx: &Context<'_>) {
        if !self.is_polled_with(cx) {
            self.phase.set(Phase::YieldedWithWaker);
            let before = self.waker.replace(Some(cx.waker().clone()));
            drop(before);
        }
    }

    #[inline]
    fn is_polled_with(&self, cx: &Context<'_>) -> bool {
        ptr::eq(self.polled_with.get(), cx.waker())
    }

    /// For a yield that is dropped while it waits: drops its item or the answer.
    #[cold]
    pub(super) fn withdraw(&self) {
        if self.phase.get().awaits_answer() {
            self.phase.set(Phase::Running);
        }
        let left = (self.item.take(), self.answer.take(), self.waker.take());
        drop(left);
    }

    /// For a yield: panics if its generator is not polled.
    #[inline]
    pub(super) fn check_polled(&self, yielded_at: &'static Location<'static>) {
        if self.polled_with.get().is_null() {
            not_polled(yielded_at);
        }
    }
}

/// A guard for a poll of the body, which finishes the generator if the poll panics.
pub(super) struct Polling<'a, T, R> {
    state: &'a GeneratorState<T, R>,
    returned: bool,
}

impl<T, R> Polling<'_, T, R> {
    /// Records that the poll returned instead of panicking.
    #[inline]
    pub(super) fn returned(mut self) {
        self.returned = true;
    }
}

impl<T, R> Drop for Polling<'_, T, R> {
    #[inline]
    fn drop(&mut self) {
        self.state.polled_with.set(ptr::null());
        if !self.returned {
            self.state.set_phase(Phase::Finished);
        }
    }
}

#[cold]
fn not_polled(yielded_at: &Location<'_>) -> ! {
    panic!(
        "the yield at {yielded_at} was polled while its generator was not: await it in the body \
         of the generator, not in another task; to yield what tasks produce, let them send it \
         to the body through a channel"
    )
}

#[cold]
fn nested(yielded_at: &Location<'_>) -> ! {
    panic!(
        "the yield at {yielded_at} is in a cancel scope or timeout that its generator entered, \
         and that would remain entered while the consumer runs: leave it before the yield, or \
         enter it around the loop that consumes the generator"
    )
}
