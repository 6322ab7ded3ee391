//! The children of a scope, and how they are polled: each when it is woken.
//!
//! All children that are due make a round. If they spend the budget of the task, the
//! rest of the round is left to the next poll, as each of them would be refused and
//! wake itself, and be polled for nothing once in every poll.
//!
//! # Invariants
//!
//! 1. A child is polled by its scope's future alone, and at most once a round.
//! 2. While there are few children that wait, all are polled in each round, with
//!    the waker of the scope. A child that waits among many is given a waker of
//!    its own at its second poll, and from then on polled when that was woken.
//! 3. A wake of a child that is gone finds no child: serial numbers are not used
//!    again.
//! 4. Nothing is borrowed while a child is polled or dropped, or a waker called:
//!    each may spawn another.

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

/// Up to this number of children are polled in each round, instead of having wakers.
const FEW: usize = 8;

/// The future of a child, which puts its output where its handle finds it.
pub(super) trait Body: Future<Output = ()> {
    /// The child has returned, and has cleanups left that the output is to wait for.
    fn put_off(&self, closing: ChildCleanups);
}

/// The children of one scope.
pub(super) struct Children<'env> {
    /// What the cleanups of the children count for.
    part: Rc<CleanupGroup>,
    living: RefCell<Slab<Child<'env>>>,
    /// Those that are polled in each round, or were not polled yet.
    watched: RefCell<Vec<usize>>,
    /// How many of them were not polled yet.
    unbegun: Cell<usize>,
    serial: Cell<u64>,
    woken: Arc<Woken>,
    /// What is left of a round that the last poll did not end.
    round: RefCell<Option<Round>>,
    is_closed: Cell<bool>,
}

/// The rest of a round, in order.
struct Round {
    watched: vec::IntoIter<usize>,
    /// Whether there were many of them.
    many: bool,
    woken: vec::IntoIter<Arc<ChildWaker>>,
}

impl Round {
    fn is_empty(&self) -> bool {
        self.watched.len() == 0 && self.woken.len() == 0
    }
}

struct Child<'env> {
    /// None while it is polled.
    future: Option<Pin<Box<dyn Body + 'env>>>,
    was_polled: bool,
    serial: u64,
    /// Its own, if it has one.
    waker: Option<Waker>,
}

/// Children that were woken, and the waker of their scope.
#[derive(Default)]
struct Woken {
    children: Mutex<Vec<Arc<ChildWaker>>>,
    /// Counted once more, as to clone a waker calls others' code, which may wake
    /// a child while this is locked. None before the first poll, and when the scope has
    /// ended.
    scope: Mutex<Option<Arc<Waker>>>,
}

struct ChildWaker {
    key: usize,
    serial: u64,
    /// Whether it is among the woken.
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
            // Not kept, as it keeps the list.
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
    pub(super) fn new(part: Rc<CleanupGroup>) -> Rc<Children<'env>> {
        Rc::new(Children {
            part,
            living: RefCell::default(),
            watched: RefCell::default(),
            unbegun: Cell::new(0),
            // 0 is none: see `CleanupGroup`.
            serial: Cell::new(1),
            woken: Arc::default(),
            round: RefCell::default(),
            is_closed: Cell::new(false),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.living.borrow().is_empty()
    }

    /// Takes a child in. In a scope that is over it is dropped.
    pub(super) fn insert(&self, future: impl Body + 'env) {
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
        self.unbegun.set(self.unbegun.get() + 1);
        self.watched.borrow_mut().push(key);
    }

    /// Whether a round was begun that the next poll continues.
    pub(super) fn is_amid_round(&self) -> bool {
        self.round.borrow().is_some()
    }

    /// Begins a round, and leaves all of it to the next poll. False if no child is due.
    pub(super) fn put_off_round(&self, context: &Context<'_>) -> bool {
        self.keep_waker(context);
        let round = self.take_round();
        let is_due = !round.is_empty();
        *self.round.borrow_mut() = is_due.then_some(round);
        is_due
    }

    /// Polls the children of a round until it ends or the budget is spent, at least
    /// one. Returns whether the caller has to be polled again for those that are left
    /// or were woken meanwhile.
    ///
    /// Children that were not polled before are not begun if `is_frozen`. Calls
    /// `failed` with each panic.
    pub(super) fn poll(
        &self,
        context: &mut Context<'_>,
        is_frozen: impl Fn() -> bool,
        failed: &mut dyn FnMut(panics::Payload),
    ) -> bool {
        self.keep_waker(context);
        let left = self.round.take();
        let goes_on = left.is_some();
        let mut round = left.unwrap_or_else(|| self.take_round());
        while let Some(key) = round.watched.next() {
            if self.poll_child(key, round.many, context, &is_frozen, failed) && budget::is_spent() {
                return self.leave_round(round);
            }
        }
        while let Some(child) = round.woken.next() {
            // A swap, to see what was done before any wake that found it set.
            child.is_woken.swap(false, Ordering::AcqRel);
            if self.is_living(&child)
                && self.poll_child(child.key, true, context, &is_frozen, failed)
                && budget::is_spent()
            {
                return self.leave_round(round);
            }
        }
        // Not polled: children that share the waker of the scope.
        goes_on
    }

    #[cold]
    fn leave_round(&self, round: Round) -> bool {
        *self.round.borrow_mut() = Some(round);
        true
    }

    /// Whether a child that was woken is still there.
    fn is_living(&self, woken: &ChildWaker) -> bool {
        let living = self.living.borrow();
        let child = living.get(woken.key);
        child.is_some_and(|child| child.serial == woken.serial)
    }

    /// Those that are due now. Children that are spawned meanwhile come in the next
    /// round.
    fn take_round(&self) -> Round {
        let watched = self.watched.take();
        let woken = mem::take(&mut *lock(&self.woken.children));
        Round {
            many: watched.len() > FEW,
            watched: watched.into_iter(),
            woken: woken.into_iter(),
        }
    }

    /// Whether there are children that were not polled yet.
    pub(super) fn has_new(&self) -> bool {
        self.unbegun.get() > 0
    }

    /// Polls a child; true if it was polled and waits. With `own`, one that was polled
    /// before gets a waker of its own.
    fn poll_child(
        &self,
        key: usize,
        own: bool,
        context: &mut Context<'_>,
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
                self.unbegun.set(self.unbegun.get() - 1);
            } else if own && child.waker.is_none() {
                child.waker = Some(self.make_waker(key, child.serial));
            }
            let Some(future) = child.future.take() else {
                return false;
            };
            (future, child.waker.take(), child.serial)
        };
        self.part.set_child(serial);
        let polled = panics::catch(|| match &waker {
            Some(waker) => future.as_mut().poll(&mut Context::from_waker(waker)),
            None => future.as_mut().poll(context),
        });
        self.part.set_child(0);
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
        if let Some(closing) = ChildCleanups::of(&self.part, serial) {
            future.put_off(closing);
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

    fn keep_waker(&self, context: &Context<'_>) {
        let is_same = |kept: &Arc<Waker>| kept.will_wake(context.waker());
        if lock(&self.woken.scope).as_ref().is_some_and(is_same) {
            return;
        }
        let waker = Arc::new(context.waker().clone());
        let before = lock(&self.woken.scope).replace(waker);
        drop(before);
    }

    /// Drops every child, first spawned first, and takes no more.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        let mut children: Vec<_> = self.living.take().into_iter().collect();
        children.sort_unstable_by_key(|(_, child)| child.serial);
        for (_, child) in children {
            // While what is around may be unwinding already.
            panics::caught(|| drop(child));
        }
        let waker = lock(&self.woken.scope).take();
        panics::caught(|| drop(waker));
        self.woken.forget();
    }
}

/// What a mutex guards; no code of others runs while it is locked.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
