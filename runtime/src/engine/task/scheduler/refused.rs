//! Wakers of operations that found no budget, kept until the poll has ended.
//!
//! A combinator such as `FuturesUnordered` gives each of its futures a waker of its own, and
//! polls a future again when that is woken. If it were woken during the poll, the combinator
//! would take it for a future that yields, stop its pass after two of these, and go on where
//! it stopped. With an even number of busy futures the same ones would then find the budget
//! spent in every poll. So these wakers are woken between two polls of the task: when its
//! turn comes, for which it is put in the queue, and at the latest at the end of the slice.
//!
//! The waker of a task of ours only puts the task in the queue, which has the same effect
//! at any time. It is woken at once, and nothing is kept.
//!
//! **Invariant:** these wakers are woken and dropped while no task is current, and nothing
//! is borrowed: they may panic, and spawn, wake, abort or drop whatever they reach.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::task::Waker;

use crate::engine::id::Id;
use crate::engine::panics::Foreign;
use crate::engine::task::header::{Flags, Header};
use crate::engine::task::scheduler::Scheduler;
use crate::engine::task::waker;

/// The room for wakers that is kept from poll to poll.
const KEPT_ROOM: usize = 64;

/// Wakers to be woken after the current poll.
#[derive(Default)]
pub(crate) struct Refused {
    /// The wakers of one poll stand together.
    wakers: RefCell<VecDeque<Waiting>>,
    /// Empty, but for its memory.
    spare: Cell<Vec<Foreign<Waker>>>,
}

struct Waiting {
    task: Id,
    /// Whether the task was refused in an earlier poll too.
    again: bool,
    waker: Foreign<Waker>,
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

    /// Whether `waker` wakes what the last one does. The futures of a `join!` share one
    /// waker.
    fn ends_with(&self, waker: &Waker) -> bool {
        let wakers = self.wakers.borrow();
        wakers
            .back()
            .is_some_and(|last| last.waker.will_wake(waker))
    }

    /// Takes the wakers of the oldest poll out, in the order in which they are woken.
    ///
    /// That is last first, as in tokio, so a future that just came, such as a timer, is
    /// before those that are busy. But if that were done after each poll, the order would be
    /// reversed and reversed again: of three busy futures the one in the middle would never
    /// find any budget. So if the task was refused before, its futures take turns: the
    /// first one, which has spent the budget, goes last.
    fn take_oldest(&self) -> Option<(Id, Vec<Foreign<Waker>>)> {
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

    /// Wakes the wakers of the oldest poll. Returns the task.
    fn wake_oldest(&self) -> Option<Id> {
        let (task, mut wakers) = self.take_oldest()?;
        wakers.drain(..).for_each(Foreign::wake);
        wakers.shrink_to(KEPT_ROOM);
        self.spare.set(wakers);
        Some(task)
    }
}

impl Scheduler {
    /// Wakes `waker` after the poll of the running task. If no task runs, or if it is
    /// the waker of a task, it is woken at once.
    #[inline]
    pub(crate) fn wake_after_poll(&self, waker: &Waker) {
        if waker::recognise(waker).is_some() || !self.keep_refused(waker) {
            waker.wake_by_ref();
        }
    }

    /// Keeps a waker until the poll has ended. False if no task runs, or if it has ended.
    #[cold]
    fn keep_refused(&self, waker: &Waker) -> bool {
        if self.refused.ends_with(waker) {
            return true;
        }
        // This runs code of others, which may come here in turn.
        let waker = Foreign::new(waker.clone());
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

    /// Wakes what a task was refused in its last poll, at the start of its turn.
    #[cold]
    pub(crate) fn wake_refused_of(&self, header: &Header) {
        header.clear(Flags::REFUSED);
        header.set(Flags::REFUSED_BEFORE);
        // The task is about to be polled, so a wake need not put it in the queue.
        header.set(Flags::QUEUED);
        let current = self.current.take();
        self.budget.set_unlimited();
        if self.refused.contains(header.id) {
            // What comes before it was refused to tasks that have ended, or are closing.
            while let Some(task) = self.refused.wake_oldest()
                && task != header.id
            {}
        }
        self.budget.refill();
        self.current.set(current);
        header.clear(Flags::QUEUED);
    }

    /// Wakes what is left at the end of a slice: what was refused to tasks that have ended
    /// or are closing, and to tasks whose turn has not come. No task runs.
    #[inline]
    pub(crate) fn wake_refused(&self) {
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
