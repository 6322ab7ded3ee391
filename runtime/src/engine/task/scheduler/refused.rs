//! [`Refused`]: the wakers of refused operations, kept until the poll has ended.
//!
//! A combinator such as `FuturesUnordered` gives each of its futures a waker of its own, and
//! polls a future again when that waker was woken. If the waker of a refused operation were
//! woken during the poll, the combinator would take its future for one that yields. It would
//! end its pass after two such futures, and continue from there in its next poll. With an
//! even number of busy futures the same ones would then find the budget spent in every poll.
//! So these wakers are woken between two polls of the task: when the task, which is put in
//! the ready queue for this, next runs, and at the latest at the end of the slice.
//!
//! The waker of a task only puts the task in a queue, which has the same effect during the
//! poll and after it. It is woken at once, and is not kept.
//!
//! **Invariant:** these wakers are woken and dropped while no task is current and nothing
//! is borrowed, because they may panic, and may spawn, wake, abort or drop anything.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::task::Waker;

use crate::engine::id::Id;
use crate::engine::panics::UserValue;
use crate::engine::task::header::{Flags, Header};
use crate::engine::task::scheduler::Scheduler;
use crate::engine::task::waker;

/// The maximum capacity for wakers that is kept from one poll to the next.
const KEPT_ROOM: usize = 64;

/// Wakers to be woken after the current poll.
#[derive(Default)]
pub(super) struct Refused {
    /// The wakers of one poll are next to each other.
    wakers: RefCell<VecDeque<Waiting>>,
    /// An empty vector, kept for its memory.
    spare: Cell<Vec<UserValue<Waker>>>,
}

/// The waker of a refused operation.
struct Waiting {
    task: Id,
    /// Whether an operation of the task was refused in an earlier poll too.
    again: bool,
    waker: UserValue<Waker>,
}

impl Refused {
    #[inline]
    fn is_empty(&self) -> bool {
        self.wakers.borrow().is_empty()
    }

    fn contains(&self, task: Id) -> bool {
        let wakers = self.wakers.borrow();
        wakers.iter().any(|waiting| waiting.task == task)
    }

    /// Returns whether the last waker and `waker` wake the same future. The futures of a
    /// `join!` share one waker.
    fn ends_with(&self, waker: &Waker) -> bool {
        let wakers = self.wakers.borrow();
        wakers
            .back()
            .is_some_and(|last| last.waker.will_wake(waker))
    }

    /// Takes out the wakers of the oldest poll, in the order in which to wake them.
    ///
    /// The last waker is woken first, as in tokio, so a future that has just become ready,
    /// such as a timer, comes before futures that are always ready. But if the order were
    /// reversed after each poll, the middle one of three busy futures would never find any
    /// budget. So if the task was refused in an earlier poll too, its futures take turns: the
    /// first one, which has spent the budget, becomes the last.
    fn take_oldest(&self) -> Option<(Id, Vec<UserValue<Waker>>)> {
        let mut oldest = self.spare.take();
        let mut wakers = self.wakers.borrow_mut();
        let (task, again) = wakers.front().map(|first| (first.task, first.again))?;
        let count = wakers.iter().take_while(|next| next.task == task).count();
        oldest.extend(wakers.drain(..count).map(|first| first.waker));
        wakers.shrink_to(KEPT_ROOM);
        if again {
            oldest.rotate_left(1);
        } else {
            oldest.reverse();
        }
        Some((task, oldest))
    }

    /// Wakes the wakers of the oldest poll. Returns the id of its task.
    fn wake_oldest(&self) -> Option<Id> {
        let (task, mut wakers) = self.take_oldest()?;
        wakers.drain(..).for_each(UserValue::wake);
        wakers.shrink_to(KEPT_ROOM);
        self.spare.set(wakers);
        Some(task)
    }
}

impl Scheduler {
    /// Wakes `waker` after the poll of the current task; or at once, if no task runs or if it
    /// is the waker of a task.
    #[inline]
    pub(crate) fn wake_after_poll(&self, waker: &Waker) {
        if waker::recognise(waker).is_some() || !self.keep_refused(waker) {
            waker.wake_by_ref();
        }
    }

    /// Keeps a waker until the poll has ended. Returns false if no task runs, or if the task
    /// has finished.
    #[cold]
    fn keep_refused(&self, waker: &Waker) -> bool {
        if self.refused.ends_with(waker) {
            return true;
        }
        // Cloning a waker runs user code, which may call this function in turn.
        let waker = UserValue::new(waker.clone());
        let running = self.mark_current(Flags::REFUSED, |header| {
            let again = header.has(Flags::REFUSED_BEFORE);
            (header.id, again)
        });
        let Some((task, again)) = running else {
            return false;
        };
        self.refused
            .wakers
            .borrow_mut()
            .push_back(Waiting { task, again, waker });
        true
    }

    /// Wakes the operations that were refused in a task's last poll, before its next one.
    #[cold]
    pub(crate) fn wake_refused_of(&self, header: &Header) {
        header.clear(Flags::REFUSED);
        header.set(Flags::REFUSED_BEFORE);
        // The task is about to be polled, so a wake need not put it in the queue.
        header.set(Flags::QUEUED);
        let current = self.current.take();
        self.budget.set_unlimited();
        if self.refused.contains(header.id) {
            // The wakers before them are of tasks that have finished or are flushing.
            while let Some(task) = self.refused.wake_oldest()
                && task != header.id
            {}
        }
        self.budget.refill();
        self.current.set(current);
        header.clear(Flags::QUEUED);
    }

    /// Wakes the refused operations that are left at the end of a slice: of tasks that have
    /// finished or are flushing, and of tasks that have not run again. No task is current.
    #[inline]
    pub(super) fn wake_refused(&self) {
        if !self.refused.is_empty() {
            self.wake_all_refused();
        }
    }

    #[cold]
    fn wake_all_refused(&self) {
        while self.refused.wake_oldest().is_some() {}
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").finish_non_exhaustive()
    }
}
