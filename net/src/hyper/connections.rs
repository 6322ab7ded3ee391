//! The open connections of a server: to tell them of its end, and to end them.
//!
//! # Invariants
//!
//! 1. A connection is listed from before its first poll until its future is
//!    dropped.
//! 2. Nothing is borrowed while a task is aborted or woken.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use coreloop_runtime::task::{self, AbortHandle};

/// The open connections. Dropping it aborts them.
#[derive(Default)]
pub(super) struct Connections {
    list: Rc<List>,
}

#[derive(Default)]
struct List {
    open: RefCell<BTreeMap<u64, Entry>>,
    next: Cell<u64>,
    stopping: Cell<bool>,
    /// Woken when the last one ends.
    waits_for_last: Cell<Option<Waker>>,
}

struct Entry {
    task: AbortHandle,
    /// Woken when the server stops.
    waker: Option<Waker>,
}

/// A connection's place in the list.
pub(super) struct Place {
    list: Rc<List>,
    key: u64,
    /// Whether the list has the waker of its task, which is one and the same for
    /// life.
    noted: Cell<bool>,
}

impl Connections {
    /// Spawns a connection, which is given its place.
    pub(super) fn spawn<F>(&self, connection: impl FnOnce(Place) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let key = self.list.next.get();
        self.list.next.set(key + 1);
        let place = Place {
            list: Rc::clone(&self.list),
            key,
            noted: Cell::new(false),
        };
        let task = task::spawn(connection(place)).abort_handle();
        let entry = Entry { task, waker: None };
        self.list.open.borrow_mut().insert(key, entry);
    }

    /// Tells every connection that the server stops.
    pub(super) fn stop(&self) {
        self.list.stopping.set(true);
        let mut open = self.list.open.borrow_mut();
        let wakers: Vec<_> = open
            .values_mut()
            .filter_map(|entry| entry.waker.take())
            .collect();
        drop(open);
        for waker in wakers {
            waker.wake();
        }
    }

    /// Ready when none is open. Wakes the last who polled.
    pub(super) fn poll_none(&self, cx: &Context<'_>) -> Poll<()> {
        if self.list.open.borrow().is_empty() {
            return Poll::Ready(());
        }
        let waker = Some(cx.waker().clone());
        drop(self.list.waits_for_last.replace(waker));
        Poll::Pending
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        let open = mem::take(&mut *self.list.open.borrow_mut());
        for entry in open.into_values() {
            entry.task.abort();
        }
    }
}

/// Tells whether a server stops.
#[derive(Clone)]
pub(super) struct Stopping(Rc<List>);

impl Stopping {
    #[inline]
    pub(super) fn get(&self) -> bool {
        self.0.stopping.get()
    }
}

impl Place {
    pub(super) fn stopping(&self) -> Stopping {
        Stopping(Rc::clone(&self.list))
    }

    /// Whether the server stops; if not, the task is woken when it does.
    pub(super) fn poll_stopping(&self, cx: &Context<'_>) -> bool {
        if self.list.stopping.get() {
            return true;
        }
        if !self.noted.replace(true) {
            let waker = cx.waker().clone();
            if let Some(entry) = self.list.open.borrow_mut().get_mut(&self.key) {
                entry.waker = Some(waker);
            }
        }
        false
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.list.open.borrow_mut();
        let entry = open.remove(&self.key);
        let is_last = open.is_empty();
        drop(open);
        drop(entry);
        if is_last && let Some(waker) = self.list.waits_for_last.take() {
            waker.wake();
        }
    }
}
