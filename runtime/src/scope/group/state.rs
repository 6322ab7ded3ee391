//! The state that a group and its tasks share.
//!
//! The group keeps nothing of a task that has ended except its failure, so that a server
//! may spawn tasks into one group for as long as it runs.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::engine::panics::{self, Payload};
use crate::engine::report::task_meta::TaskMeta;
use crate::engine::task::budget;
use crate::engine::task::join::AbortHandle;
use crate::engine::waker_cell::WakerCell;
use crate::scope::group::error::Failures;

pub(super) struct GroupState<E> {
    pub(super) supervises: bool,
    is_cancelled: Cell<bool>,
    /// The number of the next member.
    next: Cell<u64>,
    /// The members that have not ended, in the order in which they were spawned.
    members: RefCell<BTreeMap<u64, MemberEntry>>,
    /// The number of these members that are not daemons.
    tasks: Cell<usize>,
    /// The number of such tasks that have ended since the last one was spawned and that
    /// `join_next` has not reported.
    unjoined: Cell<usize>,
    failures: RefCell<Failures<E>>,
    /// The first panic of a member. Always `None` in a supervisor.
    panic: Cell<Option<Payload>>,
    /// The waker of the one call that waits for members to end.
    waker: WakerCell,
}

struct MemberEntry {
    abort: AbortHandle,
    is_daemon: bool,
}

impl<E> GroupState<E> {
    pub(super) fn new(supervises: bool) -> Rc<Self> {
        Rc::new(Self {
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

    /// Returns the number of members that have not ended.
    pub(super) fn len(&self) -> usize {
        self.members.borrow().len()
    }

    /// Returns a number for a member that is about to be spawned.
    pub(super) fn take_number(&self) -> u64 {
        let number = self.next.get();
        self.next.set(number + 1);
        number
    }

    /// Adds a member that was spawned and has not ended.
    pub(super) fn insert(&self, number: u64, abort: AbortHandle, is_daemon: bool) {
        if !is_daemon {
            self.tasks.set(self.tasks.get() + 1);
            self.unjoined.set(0);
        }
        let entry = MemberEntry { abort, is_daemon };
        self.members.borrow_mut().insert(number, entry);
    }

    /// Removes a member that has ended and whose cleanups have run.
    pub(super) fn end(&self, number: u64) {
        let Some(entry) = self.members.borrow_mut().remove(&number) else {
            // The member was never added, because the runtime was shut down and did not
            // spawn it.
            return;
        };
        if !entry.is_daemon {
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
        self.abort(|entry| entry.is_daemon);
    }

    fn abort(&self, which: impl Fn(&MemberEntry) -> bool) {
        let members = self.members.borrow();
        let aborts = members.values().filter(|entry| which(entry));
        let aborts: Vec<_> = aborts.map(|entry| entry.abort.clone()).collect();
        drop(members);
        for task in aborts {
            task.abort();
        }
    }

    /// Keeps the error of a task, and cancels the group unless it is a supervisor.
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

    /// Keeps the first panic and cancels the group, or discards the panic in a supervisor.
    /// The panic hook has already reported each of them.
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

    /// Ready when a task that has not been reported has ended, and counts it as reported;
    /// ready with `None` if only daemons are left.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        ready!(self.poll_until(cx, |state| {
            state.unjoined.get() > 0 || state.tasks.get() == 0
        }));
        let left = self.unjoined.get().checked_sub(1);
        Poll::Ready(left.map(|left| self.unjoined.set(left)))
    }

    /// Ready when only daemons are left.
    pub(super) fn poll_tasks(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, |state| state.tasks.get() == 0)
    }

    /// Ready when no member is left.
    pub(super) fn poll_all(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, |state| state.len() == 0)
    }

    fn poll_until(&self, cx: &mut Context<'_>, is_reached: fn(&Self) -> bool) -> Poll<()> {
        ready!(budget::poll_proceed(cx));
        if is_reached(self) {
            return Poll::Ready(());
        }
        if self.waker.keep(cx) && is_reached(self) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}
