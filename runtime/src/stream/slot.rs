//! What a generator and its body share: one allocation for each generator.
//!
//! # Invariants
//!
//! 1. `poll` is set only while the body is polled by its generator. It tells one
//!    poll from another, and nothing is reached through it.
//! 2. `item` holds what a yield has left from then until the poll of the body is
//!    over, and `answer` what the consumer has left until the yield is polled.
//!    What a leaked yield left behind is replaced by the next.
//! 3. While the body is polled and not to end, the phase is `Taken`, as it will
//!    be if there is an item; if there is none, that is put right after the poll.
//!    So from one item to the next nothing is written.
//! 4. Items are counted in laps, which spares most of them a look at the loop's
//!    budget: `left` is what is left of the lap. If a waker is kept, the lap is
//!    cut short to none left, so that is looked for at the end of a lap only.
//! 5. `left` is negative, which is its complement, unless the phase is `Taken`.
//!    So that an item is due, in a lap that goes on, is seen at one look.
//! 6. All is in `Cell`s: whatever a waker or a destructor calls, nothing is
//!    borrowed.

use std::cell::Cell;
use std::panic::Location;
use std::ptr;
use std::task::{Context, Poll, Waker, ready};

use crate::engine::core::context::scope_depth;
use crate::engine::task::budget;

/// How many items there are in a lap: some, but fewer than a poll may spend.
const LAP: i8 = 16;

/// How far the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It was not polled yet.
    Unstarted,
    /// It is at work, or waits for something that is not its consumer.
    Running,
    /// The consumer has an item, and the yield waits for the answer. In the slot
    /// it is also that the body is polled: see the third invariant.
    Taken,
    /// It is to end: the consumer wants no more items.
    Closed,
    /// It is over.
    Over,
}

/// See the invariants above.
pub(super) struct Slot<T, R> {
    phase: Cell<Phase>,
    item: Cell<Option<T>>,
    answer: Cell<Option<R>>,
    /// Where the waker lies by which the body is polled. Of a body that is to
    /// end, where this lies, which is no waker's place.
    poll: Cell<*const ()>,
    /// How many cancel scopes the body is polled within.
    depth: Cell<u32>,
    /// How many items there are still to come in this lap, or its complement.
    left: Cell<i8>,
    /// How many it has, if it was cut short.
    lap: Cell<i8>,
    /// Of the yield that waits, if that was polled by another waker.
    waker: Cell<Option<Waker>>,
}

impl<T, R> Slot<T, R> {
    pub(super) fn new() -> Slot<T, R> {
        Slot {
            phase: Cell::new(Phase::Unstarted),
            item: Cell::new(None),
            answer: Cell::new(None),
            poll: Cell::new(ptr::null()),
            depth: Cell::new(0),
            // The first item is a lap of its own, as there are generators that
            // are over soon.
            left: Cell::new(!0),
            lap: Cell::new(1),
            waker: Cell::new(None),
        }
    }

    /// How far the body is, as it is seen from outside.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.get() {
            Phase::Taken if !self.poll.get().is_null() => Phase::Running,
            phase => phase,
        }
    }

    /// For the generator: counts an item, if that is all there is to do before
    /// the yield that waits is answered.
    #[inline]
    pub(super) fn count_in_lap(&self) -> bool {
        let left = self.left.get() - 1;
        self.left.set(left);
        left >= 0
    }

    /// For the generator, when [`count_in_lap`](Slot::count_in_lap) was false:
    /// counts the item, and says whether a yield waits, and what to enter the
    /// next poll with, unless the body is over.
    #[cold]
    #[inline(never)]
    pub(super) fn poll_start(&self, context: &mut Context<'_>) -> Poll<Option<(bool, *const ())>> {
        self.left.set(self.left.get() + 1);
        ready!(self.poll_count(context));
        Poll::Ready(match self.phase.get() {
            Phase::Taken => Some((true, place(context))),
            _ => self.start(context).map(|poll| (false, poll)),
        })
    }

    /// For the generator: counts an item; at the end of a lap its items spend
    /// the task's budget.
    pub(super) fn poll_count(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.left_in_lap() != 0 {
            self.set_left(self.left_in_lap() - 1);
            return Poll::Ready(());
        }
        ready!(budget::poll_spend(context, self.lap.get().into()));
        self.lap.set(LAP);
        self.set_left(LAP - 1);
        self.wake();
        Poll::Ready(())
    }

    fn left_in_lap(&self) -> i8 {
        match self.left.get() {
            left if left < 0 => !left,
            left => left,
        }
    }

    /// Keeps to the fifth invariant.
    fn set_left(&self, left: i8) {
        self.left.set(match self.phase.get() {
            Phase::Taken => left,
            _ => !left,
        });
    }

    /// Says how far the body is, without a change to the lap.
    pub(super) fn set_phase(&self, phase: Phase) {
        let left = self.left_in_lap();
        self.phase.set(phase);
        self.set_left(left);
    }

    /// For the generator, when no yield waits for an answer: what to enter the
    /// next poll with, unless the body is over.
    #[cold]
    #[inline(never)]
    pub(super) fn start(&self, context: &Context<'_>) -> Option<*const ()> {
        match self.phase.get() {
            Phase::Unstarted | Phase::Running | Phase::Taken => self.set_phase(Phase::Taken),
            // No waker's place.
            Phase::Closed => return Some(ptr::from_ref(self).cast()),
            Phase::Over => return None,
        }
        Some(place(context))
    }

    /// For the generator: says that the body is polled, until the guard is
    /// dropped.
    #[inline]
    pub(super) fn enter(&self, place: *const ()) -> Polling<'_, T, R> {
        self.poll.set(place);
        self.depth.set(scope_depth());
        Polling {
            slot: self,
            returned: false,
        }
    }

    /// For the generator, after a poll: the item that a yield has left.
    #[inline]
    pub(super) fn take_item(&self) -> Option<T> {
        match self.item.take() {
            Some(item) => Some(item),
            None => {
                self.go_on();
                None
            }
        }
    }

    /// For the generator: there was no item.
    #[cold]
    fn go_on(&self) {
        if self.phase.get() == Phase::Taken {
            self.set_phase(Phase::Running);
        }
    }

    /// For the generator: answers the yield that waits.
    #[inline]
    pub(super) fn answer(&self, answer: R) {
        self.answer.set(Some(answer));
    }

    /// For the generator: tells the yield that waits, and those to come.
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

    /// For a yield: leaves its item.
    ///
    /// Whoever polls the yield by the waker that the generator is polled by gets
    /// to it when the generator is polled next. Others are woken then.
    #[inline]
    pub(super) fn leave(
        &self,
        item: T,
        context: &Context<'_>,
        yielded_at: &'static Location<'static>,
    ) {
        if self.poll.get() == place(context) && self.depth.get() == scope_depth() {
            self.item.set(Some(item));
        } else {
            self.leave_from_afar(item, context, yielded_at);
        }
    }

    #[cold]
    #[inline(never)]
    fn leave_from_afar(
        &self,
        item: T,
        context: &Context<'_>,
        yielded_at: &'static Location<'static>,
    ) {
        self.check_polled(yielded_at);
        if self.depth.get() != scope_depth() {
            nested(yielded_at);
        }
        if self.phase.get() == Phase::Closed {
            // Gives way, so that a body that takes no notice and goes on
            // yielding does not stop the loop.
            context.waker().wake_by_ref();
            return;
        }
        self.item.set(Some(item));
        self.keep_waker(context);
    }

    /// For a yield that waits: the answer to its item.
    #[inline]
    pub(super) fn take_answer(&self) -> Option<R> {
        self.answer.take()
    }

    /// For a yield that waits and was polled for nothing: has it woken when it
    /// is answered.
    pub(super) fn keep_waker(&self, context: &Context<'_>) {
        if self.poll.get() == place(context) {
            return;
        }
        let waker = context.waker().clone();
        self.lap.set(self.lap.get() - self.left_in_lap());
        self.set_left(0);
        let before = self.waker.replace(Some(waker));
        drop(before);
    }

    /// For a yield that is dropped while it waits: takes its item back, or lets
    /// the answer go.
    #[cold]
    pub(super) fn withdraw(&self) {
        if self.poll.get().is_null() {
            self.go_on();
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

/// Where the waker of a poll lies: no two do at the same place and time.
#[inline]
pub(super) fn place(context: &Context<'_>) -> *const () {
    ptr::from_ref(context.waker()).cast()
}

/// Held while the body is polled. If that panics, the generator is over.
pub(super) struct Polling<'a, T, R> {
    slot: &'a Slot<T, R>,
    returned: bool,
}

impl<T, R> Polling<'_, T, R> {
    /// The poll did not panic.
    #[inline]
    pub(super) fn returned(mut self) {
        self.returned = true;
    }
}

impl<T, R> Drop for Polling<'_, T, R> {
    #[inline]
    fn drop(&mut self) {
        self.slot.poll.set(ptr::null());
        if !self.returned {
            self.slot.set_phase(Phase::Over);
        }
    }
}

#[cold]
fn not_polled(yielded_at: &Location<'_>) -> ! {
    panic!(
        "the yield at {yielded_at} was polled while its generator was not: await it in the body \
         of the generator, not in a task of its own; to yield what tasks produce, have them send \
         it to the body through a channel"
    )
}

#[cold]
fn nested(yielded_at: &Location<'_>) -> ! {
    panic!(
        "the yield at {yielded_at} is in a cancel scope or a time limit that was opened in its \
         generator, and would leave that open while others run: leave it before the yield, or \
         open it around the loop that consumes the generator"
    )
}
