//! The state that a generator and its body share: one allocation for each generator.
//!
//! # Invariants
//!
//! 1. `poll` is not null only while the generator polls its body. The pointer identifies
//!    the poll, and is never dereferenced.
//! 2. `item` holds an item from the poll of its yield to the end of the poll of the body,
//!    and `answer` holds an answer until the yield is polled. The next yield replaces
//!    what a leaked yield has left.
//! 3. While the body is polled and is not closed, the phase is `Taken`, which is right if
//!    the poll yields an item; if it does not, the phase is corrected after the poll. So
//!    nothing is written to the phase from one item to the next.
//! 4. Items spend the budget in batches, so that most items need not access the budget
//!    of the loop: `remaining` is the number of items left in the batch. Keeping a waker
//!    ends the batch, so `waker` has to be checked only at the end of a batch.
//! 5. `remaining` holds the bitwise complement of that number, which is negative, unless
//!    the phase is `Taken`. So one comparison shows that a yield waits for its answer and
//!    that the batch has not ended.
//! 6. All fields are `Cell`s, so that nothing is borrowed while a waker or a destructor
//!    runs.

use std::cell::Cell;
use std::panic::Location;
use std::ptr;
use std::task::{Context, Poll, Waker, ready};

use crate::engine::core::context::scope_depth;
use crate::engine::task::budget;

/// The number of items in a batch: several, but fewer than the budget of a poll.
const BATCH: i8 = 16;

/// The progress of the body of a generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The body has not been polled yet.
    Unstarted,
    /// The body is running, or waits for something other than its consumer.
    Running,
    /// The consumer has taken an item, and the yield waits for the answer. As a value of
    /// the field, also: the body is being polled (invariant 3).
    Taken,
    /// The consumer wants no more items, so every yield fails.
    Closed,
    /// The body has returned or panicked, or was dropped before it ran.
    Finished,
}

/// The state that a generator, its [`Co`](super::Co) and its yields share.
pub(super) struct GeneratorState<T, R> {
    phase: Cell<Phase>,
    item: Cell<Option<T>>,
    answer: Cell<Option<R>>,
    /// The address of the waker with which the body is polled. If the phase is `Closed`,
    /// the address of this state, which differs from the address of any waker.
    poll: Cell<*const ()>,
    /// The number of cancel scopes around the current poll of the body.
    depth: Cell<u32>,
    /// The number of items left in this batch, or its complement (invariant 5).
    remaining: Cell<i8>,
    /// The number of items in this batch, which is lower if the batch was ended early.
    batch: Cell<i8>,
    /// The waker of the yield that waits, if it is not the one that polls the generator.
    waker: Cell<Option<Waker>>,
}

impl<T, R> GeneratorState<T, R> {
    pub(super) fn new() -> Self {
        Self {
            phase: Cell::new(Phase::Unstarted),
            item: Cell::new(None),
            answer: Cell::new(None),
            poll: Cell::new(ptr::null()),
            depth: Cell::new(0),
            // The first item is a batch of its own, because some generators yield only
            // a few.
            remaining: Cell::new(!0),
            batch: Cell::new(1),
            waker: Cell::new(None),
        }
    }

    /// Returns the phase, as seen by users of the generator.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.get() {
            Phase::Taken if !self.poll.get().is_null() => Phase::Running,
            phase => phase,
        }
    }

    /// For the generator: counts an item, and returns `true` if a yield waits for its
    /// answer and the batch has not ended, so that nothing else is left to do.
    #[inline]
    pub(super) fn count_in_batch(&self) -> bool {
        let left = self.remaining.get() - 1;
        self.remaining.set(left);
        left >= 0
    }

    /// For the generator, when [`count_in_batch`](GeneratorState::count_in_batch) returned
    /// `false`: counts the item, and returns whether a yield waits and what to call
    /// [`enter`](GeneratorState::enter) with, or `None` if the body has finished.
    #[cold]
    #[inline(never)]
    pub(super) fn poll_start(&self, cx: &mut Context<'_>) -> Poll<Option<(bool, *const ())>> {
        self.remaining.set(self.remaining.get() + 1);
        ready!(self.poll_count(cx));
        Poll::Ready(match self.phase.get() {
            Phase::Taken => Some((true, waker_address(cx))),
            _ => self.start(cx).map(|poll| (false, poll)),
        })
    }

    /// For the generator: counts an item. At the end of a batch, all its items spend the
    /// task's budget.
    pub(super) fn poll_count(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.remaining() != 0 {
            self.set_remaining(self.remaining() - 1);
            return Poll::Ready(());
        }
        ready!(budget::poll_spend(cx, self.batch.get().into()));
        self.batch.set(BATCH);
        self.set_remaining(BATCH - 1);
        self.wake();
        Poll::Ready(())
    }

    fn remaining(&self) -> i8 {
        match self.remaining.get() {
            left if left < 0 => !left,
            left => left,
        }
    }

    /// Stores the number of items left, by invariant 5.
    fn set_remaining(&self, remaining: i8) {
        self.remaining.set(match self.phase.get() {
            Phase::Taken => remaining,
            _ => !remaining,
        });
    }

    /// Sets the phase, and keeps the number of items left.
    pub(super) fn set_phase(&self, phase: Phase) {
        let left = self.remaining();
        self.phase.set(phase);
        self.set_remaining(left);
    }

    /// For the generator, when no yield waits for an answer: returns what to call
    /// [`enter`](GeneratorState::enter) with, or `None` if the body has finished.
    #[cold]
    #[inline(never)]
    pub(super) fn start(&self, cx: &Context<'_>) -> Option<*const ()> {
        match self.phase.get() {
            Phase::Unstarted | Phase::Running | Phase::Taken => self.set_phase(Phase::Taken),
            // Not the address of a waker, so every yield takes the slow path and fails.
            Phase::Closed => return Some(ptr::from_ref(self).cast()),
            Phase::Finished => return None,
        }
        Some(waker_address(cx))
    }

    /// For the generator: marks the body as being polled until the guard is dropped.
    #[inline]
    pub(super) fn enter(&self, waker_address: *const ()) -> Polling<'_, T, R> {
        self.poll.set(waker_address);
        self.depth.set(scope_depth());
        Polling {
            state: self,
            returned: false,
        }
    }

    /// For the generator, after a poll: takes the item of the yield that was polled.
    #[inline]
    pub(super) fn take_item(&self) -> Option<T> {
        match self.item.take() {
            Some(item) => Some(item),
            None => {
                self.set_running();
                None
            }
        }
    }

    /// Corrects the phase after a poll without an item (invariant 3).
    #[cold]
    fn set_running(&self) {
        if self.phase.get() == Phase::Taken {
            self.set_phase(Phase::Running);
        }
    }

    /// For the generator: sets the answer for the yield that waits.
    #[inline]
    pub(super) fn answer(&self, answer: R) {
        self.answer.set(Some(answer));
    }

    /// For the generator: makes the yield that waits and all later ones fail.
    pub(super) fn close(&self) {
        self.set_phase(Phase::Closed);
        let answer = self.answer.take();
        self.wake();
        drop(answer);
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// For a yield: stores its item.
    ///
    /// If the yield is polled with the waker of the generator's poll, the next poll of the
    /// generator polls the yield too. Any other waker is kept, and woken by that poll.
    #[inline]
    pub(super) fn put_item(
        &self,
        item: T,
        cx: &Context<'_>,
        yielded_at: &'static Location<'static>,
    ) {
        if self.poll.get() == waker_address(cx) && self.depth.get() == scope_depth() {
            self.item.set(Some(item));
        } else {
            self.put_item_from_elsewhere(item, cx, yielded_at);
        }
    }

    #[cold]
    #[inline(never)]
    fn put_item_from_elsewhere(
        &self,
        item: T,
        cx: &Context<'_>,
        yielded_at: &'static Location<'static>,
    ) {
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
        self.item.set(Some(item));
        self.keep_waker(cx);
    }

    /// For a yield that waits: takes the answer to its item.
    #[inline]
    pub(super) fn take_answer(&self) -> Option<R> {
        self.answer.take()
    }

    /// For a yield that waits and has no answer yet: keeps its waker until the answer
    /// arrives, unless it is the waker of the generator's poll.
    pub(super) fn keep_waker(&self, cx: &Context<'_>) {
        if self.poll.get() == waker_address(cx) {
            return;
        }
        let waker = cx.waker().clone();
        self.batch.set(self.batch.get() - self.remaining());
        self.set_remaining(0);
        let before = self.waker.replace(Some(waker));
        drop(before);
    }

    /// For a yield that is dropped while it waits: drops its item or the answer.
    #[cold]
    pub(super) fn withdraw(&self) {
        if self.poll.get().is_null() {
            self.set_running();
        }
        let left = (self.item.take(), self.answer.take(), self.waker.take());
        drop(left);
    }

    /// For a yield: panics if its generator is not polled.
    pub(super) fn check_polled(&self, yielded_at: &'static Location<'static>) {
        if self.poll.get().is_null() {
            not_polled(yielded_at);
        }
    }
}

/// Returns the address of the waker of a poll, which is unique while the poll lasts.
#[inline]
pub(super) fn waker_address(cx: &Context<'_>) -> *const () {
    ptr::from_ref(cx.waker()).cast()
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
        self.state.poll.set(ptr::null());
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
