//! The children of a scope, each of which is polled when it is woken.
//!
//! A round polls all children that are due. If they spend the budget of the task, the
//! next poll continues the round: polling the remaining children now would be useless,
//! as the operations of each would be refused and wake it again.
//!
//! # Invariants
//!
//! 1. A child is polled only by the future of its scope, and at most once per round.
//! 2. While few children wait, each round polls all of them with the waker of the
//!    scope. A child that waits among many gets its own waker at its second poll,
//!    and from then on is polled only when that waker was woken.
//! 3. Waking a child that has been removed has no effect, because serial numbers are
//!    never reused.
//! 4. Nothing is borrowed while a child is polled or dropped, or a waker is called,
//!    because each of these may spawn another child.

use std::cell::{Cell, RefCell};
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::vec;

use slab::Slab;

use crate::engine::cancel::group::CleanupGroup;
use crate::engine::cancel::site::ChildCleanups;
use crate::engine::panics;
use crate::engine::task::budget;

/// Up to this number of children, a round polls all of them and they need no own wakers.
const FEW: usize = 8;

/// The future of a child, which stores its output for its handle.
pub(super) trait ChildFuture: Future<Output = ()> {
    /// Makes the output wait for `closing`: the child has ended, and has cleanups left.
    ///
    /// Takes no shared reference: a child that panicked still has its future, which may
    /// contain references to itself.
    fn wait_for_cleanups(self: Pin<&mut Self>, closing: ChildCleanups);
}

/// The children of one scope.
pub(super) struct Children<'env> {
    /// The cleanup group of the scope, which counts the cleanups of the children.
    group: Rc<CleanupGroup>,
    living: RefCell<Slab<Child<'env>>>,
    /// The keys of the children without a waker of their own, which each round polls.
    watched: RefCell<Vec<usize>>,
    /// The number of children that have not been polled yet.
    unpolled: Cell<usize>,
    serial: Cell<u64>,
    woken: Arc<Woken>,
    /// The rest of a round that the last poll did not complete.
    round: RefCell<Option<Round>>,
    is_closed: Cell<bool>,
}

/// The children that are still to be polled in a round, in order.
struct Round {
    watched: vec::IntoIter<usize>,
    /// Whether there were more than [`FEW`] of them when the round began.
    many: bool,
    woken: vec::IntoIter<Arc<ChildWaker>>,
}

impl Round {
    fn is_empty(&self) -> bool {
        self.watched.len() == 0 && self.woken.len() == 0
    }
}

struct Child<'env> {
    /// `None` while the child is polled.
    future: Option<Pin<Box<dyn ChildFuture + 'env>>>,
    was_polled: bool,
    serial: u64,
    /// The child's own waker, if it has one.
    waker: Option<Waker>,
}

/// The children that were woken, and the waker of their scope.
#[derive(Default)]
struct Woken {
    children: Mutex<Vec<Arc<ChildWaker>>>,
    /// In an `Arc`, because cloning a waker runs user code, which might wake a child
    /// while this mutex is locked. `None` before the first poll and after the scope has
    /// ended.
    scope: Mutex<Option<Arc<Waker>>>,
}

struct ChildWaker {
    key: usize,
    serial: u64,
    /// Whether the list of woken children contains this one.
    is_woken: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for ChildWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return;
        }
        lock(&self.woken.children).push(Arc::clone(self));
        let scope = lock(&self.woken.scope).clone();
        match scope {
            Some(scope) => scope.wake_by_ref(),
            // The scope has ended. The list is cleared, because its entries hold
            // references to the list itself.
            None => self.woken.forget(),
        }
    }
}

impl Woken {
    fn forget(&self) {
        let children = mem::take(&mut *lock(&self.children));
        drop(children);
    }
}

impl<'env> Children<'env> {
    pub(super) fn new(group: Rc<CleanupGroup>) -> Rc<Self> {
        Rc::new(Self {
            group,
            living: RefCell::default(),
            watched: RefCell::default(),
            unpolled: Cell::new(0),
            // 0 stands for no child: see `CleanupGroup`.
            serial: Cell::new(1),
            woken: Arc::default(),
            round: RefCell::default(),
            is_closed: Cell::new(false),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.living.borrow().is_empty()
    }

    /// Adds a child, or drops it if the scope has ended.
    pub(super) fn insert(&self, future: impl ChildFuture + 'env) {
        if self.is_closed.get() {
            return;
        }
        let serial = self.serial.get();
        self.serial.set(serial + 1);
        let key = self.living.borrow_mut().insert(Child {
            future: Some(Box::pin(future)),
            was_polled: false,
            serial,
            waker: None,
        });
        self.unpolled.set(self.unpolled.get() + 1);
        self.watched.borrow_mut().push(key);
    }

    /// Returns `true` if the next poll continues a round instead of beginning one.
    pub(super) fn is_amid_round(&self) -> bool {
        self.round.borrow().is_some()
    }

    /// Begins a round that the next poll will run. Returns `false` if no child is due.
    pub(super) fn defer_round(&self, cx: &Context<'_>) -> bool {
        self.keep_waker(cx);
        let round = self.take_round();
        let is_due = !round.is_empty();
        *self.round.borrow_mut() = is_due.then_some(round);
        is_due
    }

    /// Polls the children of a round, at least one, until the round ends or the budget is
    /// spent. Returns `true` if the caller has to be polled again, for children that are
    /// left in the round or may have been woken since it began.
    ///
    /// While `is_frozen` returns `true`, no new child is started. Calls `failed` with
    /// each panic.
    pub(super) fn poll(
        &self,
        cx: &mut Context<'_>,
        is_frozen: impl Fn() -> bool,
        failed: &mut dyn FnMut(panics::Payload),
    ) -> bool {
        self.keep_waker(cx);
        let left = self.round.take();
        let is_continued = left.is_some();
        let mut round = left.unwrap_or_else(|| self.take_round());
        while let Some(key) = round.watched.next() {
            if self.poll_child(key, round.many, cx, &is_frozen, failed) && budget::is_spent() {
                return self.leave_round(round);
            }
        }
        while let Some(child) = round.woken.next() {
            // A swap, so that the poll sees everything that happened before a wake that
            // found the flag set.
            child.is_woken.swap(false, Ordering::AcqRel);
            if self.is_living(&child)
                && self.poll_child(child.key, true, cx, &is_frozen, failed)
                && budget::is_spent()
            {
                return self.leave_round(round);
            }
        }
        // A continued round did not poll the children that share the scope's waker and
        // were woken since it began.
        is_continued
    }

    #[cold]
    fn leave_round(&self, round: Round) -> bool {
        *self.round.borrow_mut() = Some(round);
        true
    }

    /// Returns `true` if the woken child has not been removed.
    fn is_living(&self, woken: &ChildWaker) -> bool {
        let living = self.living.borrow();
        let child = living.get(woken.key);
        child.is_some_and(|child| child.serial == woken.serial)
    }

    /// Takes the children that are due now. Children that are spawned from now on belong
    /// to the next round.
    fn take_round(&self) -> Round {
        let watched = self.watched.take();
        let woken = mem::take(&mut *lock(&self.woken.children));
        Round {
            many: watched.len() > FEW,
            watched: watched.into_iter(),
            woken: woken.into_iter(),
        }
    }

    /// Returns `true` if some children have not been polled yet.
    pub(super) fn has_new(&self) -> bool {
        self.unpolled.get() > 0
    }

    /// Polls a child, and returns `true` if it is pending. With `own`, a child that was
    /// polled before gets its own waker.
    fn poll_child(
        &self,
        key: usize,
        own: bool,
        cx: &mut Context<'_>,
        is_frozen: &impl Fn() -> bool,
        failed: &mut dyn FnMut(panics::Payload),
    ) -> bool {
        let (mut future, waker, serial) = {
            let mut living = self.living.borrow_mut();
            let Some(child) = living.get_mut(key) else {
                return false;
            };
            if !child.was_polled {
                if is_frozen() {
                    self.watched.borrow_mut().push(key);
                    return false;
                }
                child.was_polled = true;
                self.unpolled.set(self.unpolled.get() - 1);
            } else if own && child.waker.is_none() {
                child.waker = Some(self.make_waker(key, child.serial));
            }
            let Some(future) = child.future.take() else {
                return false;
            };
            (future, child.waker.take(), child.serial)
        };
        self.group.set_child(serial);
        let polled = panics::catch(|| match &waker {
            Some(waker) => future.as_mut().poll(&mut Context::from_waker(waker)),
            None => future.as_mut().poll(cx),
        });
        self.group.set_child(0);
        if let Ok(Poll::Pending) = polled
            && let Some(child) = self.living.borrow_mut().get_mut(key)
        {
            if waker.is_none() {
                self.watched.borrow_mut().push(key);
            }
            child.future = Some(future);
            child.waker = waker;
            return true;
        }
        if let Some(closing) = ChildCleanups::of(&self.group, serial) {
            future.as_mut().wait_for_cleanups(closing);
        }
        if let Err(panic) = polled {
            failed(panic);
        }
        if let Err(panic) = panics::catch(|| drop(future)) {
            failed(panic);
        }
        let child = self.living.borrow_mut().try_remove(key);
        drop(child);
        false
    }

    fn make_waker(&self, key: usize, serial: u64) -> Waker {
        Waker::from(Arc::new(ChildWaker {
            key,
            serial,
            is_woken: AtomicBool::new(false),
            woken: Arc::clone(&self.woken),
        }))
    }

    fn keep_waker(&self, cx: &Context<'_>) {
        let is_same = |kept: &Arc<Waker>| kept.will_wake(cx.waker());
        if lock(&self.woken.scope).as_ref().is_some_and(is_same) {
            return;
        }
        let waker = Arc::new(cx.waker().clone());
        let before = lock(&self.woken.scope).replace(waker);
        drop(before);
    }

    /// Drops all children in the order in which they were spawned, and accepts no more.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        let mut children: Vec<_> = self.living.take().into_iter().collect();
        children.sort_unstable_by_key(|(_, child)| child.serial);
        for (_, child) in children {
            // Caught, because the caller may be unwinding already.
            panics::caught(|| drop(child));
        }
        let waker = lock(&self.woken.scope).take();
        panics::caught(|| drop(waker));
        self.woken.forget();
    }
}

/// Locks a mutex. Poisoning has no meaning here, as no user code runs under the lock.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
