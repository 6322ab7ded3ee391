//! What a group and its tasks know of each other.
//!
//! The group keeps nothing of a task that has ended but its failure: a server may
//! spawn tasks into one for as long as it lives.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::engine::panics::{self, Payload};
use crate::engine::task::budget;
use crate::engine::task::join::AbortHandle;
use crate::engine::task::meta::TaskMeta;
use crate::engine::waker_cell::WakerCell;
use crate::scope::group::error::Failures;

pub(super) struct Shared<E> {
    pub(super) supervises: bool,
    is_cancelled: Cell<bool>,
    /// The number of the next member.
    next: Cell<u64>,
    /// The members that have not ended, oldest first.
    members: RefCell<BTreeMap<u64, Place>>,
    /// How many of them are tasks that are not daemons.
    tasks: Cell<usize>,
    /// How many such tasks have ended since the last one was spawned, and were not
    /// joined.
    unjoined: Cell<usize>,
    failures: RefCell<Failures<E>>,
    /// The first one, unless it supervises.
    panic: Cell<Option<Payload>>,
    /// Of the one call that waits for members to end.
    waker: WakerCell,
}

struct Place {
    abort: AbortHandle,
    is_daemon: bool,
}

impl<E> Shared<E> {
    pub(super) fn new(supervises: bool) -> Rc<Shared<E>> {
        Rc::new(Shared {
            supervises,
            is_cancelled: Cell::new(false),
            next: Cell::new(0),
            members: RefCell::default(),
            tasks: Cell::new(0),
            unjoined: Cell::new(0),
            failures: RefCell::default(),
            panic: Cell::new(None),
            waker: WakerCell::default(),
        })
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.get()
    }

    /// How many members have not ended.
    pub(super) fn len(&self) -> usize {
        self.members.borrow().len()
    }

    /// The number of a member that is about to be spawned.
    pub(super) fn take_number(&self) -> u64 {
        let number = self.next.get();
        self.next.set(number + 1);
        number
    }

    /// Takes in a member that was spawned, and has not ended.
    pub(super) fn insert(&self, number: u64, abort: AbortHandle, is_daemon: bool) {
        if !is_daemon {
            self.tasks.set(self.tasks.get() + 1);
            self.unjoined.set(0);
        }
        let place = Place { abort, is_daemon };
        self.members.borrow_mut().insert(number, place);
    }

    /// A member has ended, and its cleanups have run.
    pub(super) fn end(&self, number: u64) {
        let Some(place) = self.members.borrow_mut().remove(&number) else {
            // It was refused, by a runtime that was shut down.
            return;
        };
        if !place.is_daemon {
            self.tasks.set(self.tasks.get() - 1);
            self.unjoined.set(self.unjoined.get() + 1);
        }
        self.waker.wake();
    }

    /// Aborts every task.
    pub(super) fn cancel(&self) {
        if !self.is_cancelled.replace(true) {
            self.abort(|_| true);
        }
    }

    /// Aborts the daemons.
    pub(super) fn abort_daemons(&self) {
        self.abort(|place| place.is_daemon);
    }

    fn abort(&self, which: impl Fn(&Place) -> bool) {
        let members = self.members.borrow();
        let aborts = members.values().filter(|place| which(place));
        let aborts: Vec<_> = aborts.map(|place| place.abort.clone()).collect();
        drop(members);
        for task in aborts {
            task.abort();
        }
    }

    /// Takes the error of a task in, which cancels the group unless it supervises.
    pub(super) fn fail(&self, task: Option<TaskMeta>, error: E) {
        let left = match task {
            Some(task) => self
                .failures
                .borrow_mut()
                .push(task, error, self.supervises),
            None => Some(error),
        };
        panics::caught(|| drop(left));
        if !self.supervises {
            self.cancel();
        }
    }

    pub(super) fn take_failures(&self) -> Failures<E> {
        self.failures.take()
    }

    /// Takes the panic of a task in, which cancels the group unless it supervises. The
    /// panic hook was called with each.
    pub(super) fn keep_panic(&self, panic: Payload) {
        if self.supervises {
            return panics::discard(panic);
        }
        if let Some(first) = self.panic.take() {
            self.panic.set(Some(first));
            panics::discard(panic);
        } else {
            self.panic.set(Some(panic));
        }
        self.cancel();
    }

    pub(super) fn take_panic(&self) -> Option<Payload> {
        self.panic.take()
    }

    /// Ready when a task has ended that was not joined, which is joined by that; with
    /// `None` if no task is left.
    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<()>> {
        ready!(self.poll_until(context, |shared| {
            shared.unjoined.get() > 0 || shared.tasks.get() == 0
        }));
        let left = self.unjoined.get().checked_sub(1);
        Poll::Ready(left.map(|left| self.unjoined.set(left)))
    }

    /// Ready when no task is left but daemons.
    pub(super) fn poll_tasks(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_until(context, |shared| shared.tasks.get() == 0)
    }

    /// Ready when no member is left.
    pub(super) fn poll_all(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_until(context, |shared| shared.len() == 0)
    }

    fn poll_until(&self, context: &mut Context<'_>, is_reached: fn(&Self) -> bool) -> Poll<()> {
        ready!(budget::poll_proceed(context));
        if is_reached(self) {
            return Poll::Ready(());
        }
        if self.waker.keep(context) && is_reached(self) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
