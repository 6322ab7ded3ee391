//! The open connections of a server: to shut them down with the server, and to abort them.
//!
//! # Invariants
//!
//! 1. A connection is in the list from before its first poll until its future is dropped.
//! 2. Nothing is borrowed while a task is aborted or woken.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use coreloop_runtime::task::{self, AbortHandle};

/// The open connections of a server. Dropping this aborts them.
#[derive(Default)]
pub(super) struct Connections {
    list: Rc<ConnectionList>,
}

#[derive(Default)]
struct ConnectionList {
    open: RefCell<BTreeMap<u64, ConnectionEntry>>,
    next: Cell<u64>,
    shutting_down: Cell<bool>,
    /// The waker to wake when the last connection ends.
    waits_for_last: Cell<Option<Waker>>,
}

struct ConnectionEntry {
    task: AbortHandle,
    /// The waker to wake when the server shuts down.
    waker: Option<Waker>,
}

/// Keeps a connection in the list until it is dropped.
pub(super) struct ConnectionGuard {
    list: Rc<ConnectionList>,
    key: u64,
    /// Whether the list has the waker of the task, which is the same for all its life.
    has_waker: Cell<bool>,
}

impl Connections {
    /// Spawns a connection, which owns the guard that it is given.
    pub(super) fn spawn<F>(&self, connection: impl FnOnce(ConnectionGuard) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let key = self.list.next.get();
        self.list.next.set(key + 1);
        let guard = ConnectionGuard {
            list: Rc::clone(&self.list),
            key,
            has_waker: Cell::new(false),
        };
        let task = task::spawn(connection(guard)).abort_handle();
        let entry = ConnectionEntry { task, waker: None };
        self.list.open.borrow_mut().insert(key, entry);
    }

    /// Requests every connection to shut down.
    pub(super) fn begin_shutdown(&self) {
        self.list.shutting_down.set(true);
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

    /// Waits until no connection is open. Only the task that polled last is woken.
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

/// Whether a server shuts down.
#[derive(Clone)]
pub(super) struct ShutdownFlag(Rc<ConnectionList>);

impl ShutdownFlag {
    #[inline]
    pub(super) fn get(&self) -> bool {
        self.0.shutting_down.get()
    }
}

impl ConnectionGuard {
    pub(super) fn shutting_down(&self) -> ShutdownFlag {
        ShutdownFlag(Rc::clone(&self.list))
    }

    /// Returns whether the server shuts down. If not, the task is woken when it does.
    pub(super) fn poll_shutting_down(&self, cx: &Context<'_>) -> bool {
        if self.list.shutting_down.get() {
            return true;
        }
        if !self.has_waker.replace(true) {
            let waker = cx.waker().clone();
            if let Some(entry) = self.list.open.borrow_mut().get_mut(&self.key) {
                entry.waker = Some(waker);
            }
        }
        false
    }
}

impl Drop for ConnectionGuard {
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
