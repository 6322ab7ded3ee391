//! The children of a scope, and how they are polled: each when it is woken.
//!
//! # Invariants
//!
//! 1. A child is polled by its scope's future alone, and at most once a pass.
//! 2. While there are few children that wait, all are polled in each pass, with
//!    the waker of the scope. A child that waits among many is given a waker of
//!    its own at its second poll, and from then on polled when that was woken.
//! 3. A wake of a child that is gone finds nobody: serial numbers are not used
//!    again.
//! 4. Nothing is borrowed while a child is polled or dropped, or a waker called:
//!    each may spawn another.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use slab::Slab;

use crate::panics;

/// So many children are polled in each pass, rather than to have wakers.
const FEW: usize = 8;

/// A child, which puts its output where its handle finds it.
type Body<'env> = Pin<Box<dyn Future<Output = ()> + 'env>>;

/// The children of one scope.
pub(super) struct Children<'env> {
    living: RefCell<Slab<Child<'env>>>,
    /// Those that are polled in each pass, or were not polled yet.
    watched: RefCell<Vec<usize>>,
    /// How many of them were not polled yet.
    unbegun: Cell<usize>,
    serial: Cell<u64>,
    woken: Arc<Woken>,
    is_closed: Cell<bool>,
}

struct Child<'env> {
    /// None while it is polled.
    future: Option<Body<'env>>,
    was_polled: bool,
    serial: u64,
    waker: Option<Waker>,
    /// Of its waker.
    woken: Option<Arc<ChildWaker>>,
}

/// Children that were woken, and whom to tell.
#[derive(Default)]
struct Woken {
    children: Mutex<Vec<(usize, u64)>>,
    /// Counted once more, as to clone a waker calls others' code, which may wake
    /// a child while this is locked.
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
        lock(&self.woken.children).push((self.key, self.serial));
        let scope = lock(&self.woken.scope).clone();
        if let Some(scope) = scope {
            scope.wake_by_ref();
        }
    }
}

impl<'env> Children<'env> {
    pub(super) fn new() -> Rc<Children<'env>> {
        Rc::new(Children {
            living: RefCell::default(),
            watched: RefCell::default(),
            unbegun: Cell::new(0),
            serial: Cell::new(0),
            woken: Arc::default(),
            is_closed: Cell::new(false),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.living.borrow().is_empty()
    }

    /// Takes a child in. In a scope that is over it is dropped.
    pub(super) fn insert(&self, future: impl Future<Output = ()> + 'env) {
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
            woken: None,
        });
        self.unbegun.set(self.unbegun.get() + 1);
        self.watched.borrow_mut().push(key);
    }

    /// Polls those that are to be polled, each once. Children that are not begun
    /// stay so, if `frozen`. Calls `failed` with each panic.
    pub(super) fn poll(
        &self,
        context: &mut Context<'_>,
        is_frozen: impl Fn() -> bool,
        failed: &mut dyn FnMut(panics::Payload),
    ) {
        self.keep_waker(context);
        // Those that are spawned meanwhile come in the next pass.
        let watched = self.watched.take();
        let many = watched.len() > FEW;
        for key in watched {
            if self.poll_child(key, many, context, &is_frozen, failed) {
                self.watched.borrow_mut().push(key);
            }
        }
        let woken = std::mem::take(&mut *lock(&self.woken.children));
        for (key, serial) in woken {
            let child = self.living.borrow();
            let known = child.get(key).filter(|child| child.serial == serial);
            let Some(own) = known.and_then(|child| child.woken.clone()) else {
                continue;
            };
            drop(child);
            // A swap, to see what was done before any wake that found it set.
            own.is_woken.swap(false, Ordering::AcqRel);
            self.poll_child(key, true, context, &is_frozen, failed);
        }
    }

    /// Whether there are children that were not polled yet.
    pub(super) fn has_new(&self) -> bool {
        self.unbegun.get() > 0
    }

    /// Polls a child; true if it is to be watched. With `own`, one that was
    /// polled before gets a waker of its own.
    fn poll_child(
        &self,
        key: usize,
        own: bool,
        context: &mut Context<'_>,
        is_frozen: &impl Fn() -> bool,
        failed: &mut dyn FnMut(panics::Payload),
    ) -> bool {
        let (mut future, waker) = {
            let mut living = self.living.borrow_mut();
            let Some(child) = living.get_mut(key) else {
                return false;
            };
            if !child.was_polled && is_frozen() {
                return true;
            }
            if own && child.was_polled && child.waker.is_none() {
                let woken = Arc::new(ChildWaker {
                    key,
                    serial: child.serial,
                    is_woken: AtomicBool::new(false),
                    woken: Arc::clone(&self.woken),
                });
                child.waker = Some(Waker::from(Arc::clone(&woken)));
                child.woken = Some(woken);
            }
            if !child.was_polled {
                child.was_polled = true;
                self.unbegun.set(self.unbegun.get() - 1);
            }
            let Some(future) = child.future.take() else {
                return false;
            };
            (future, child.waker.take())
        };
        let polled = panics::catch(|| match &waker {
            Some(waker) => future.as_mut().poll(&mut Context::from_waker(waker)),
            None => future.as_mut().poll(context),
        });
        if let Ok(Poll::Pending) = polled
            && let Some(child) = self.living.borrow_mut().get_mut(key)
        {
            let watched = waker.is_none();
            child.future = Some(future);
            child.waker = waker;
            return watched;
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
        drop(waker);
    }
}

/// What a mutex guards; no code of others runs while it is locked.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
