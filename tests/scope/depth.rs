//! Scopes that are nested deeper than the stack allows recursion. They cannot be polled
//! from the outside in, so they are built from the inside out: each polls the one within
//! it once.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use coreloop::cleanup::{defer, flush, shield};
use coreloop::scope::cancel_scope;
use coreloop::task::yield_now;
use coreloop::{block_on, spawn};

use coreloop_test_support::size::pick;

/// More levels than recursion fits into the stack of a test.
fn depth() -> usize {
    if cfg!(miri) {
        50
    } else {
        pick(30_000, 100_000)
    }
}

type Future = Pin<Box<dyn std::future::Future<Output = ()>>>;

/// Nests `innermost` in cancel scopes. Returns all of them, innermost first, after each
/// was polled within the next one.
async fn nest(innermost: Future) -> Vec<Future> {
    let inner = Rc::new(RefCell::new(innermost));
    let mut nested = Vec::new();
    for _ in 0..depth() {
        let within = Rc::clone(&inner);
        let mut scope: Future = Box::pin(async move {
            let body = async |_| {
                poll_fn(|context| {
                    assert!(within.borrow_mut().as_mut().poll(context).is_pending());
                    Poll::Ready(())
                })
                .await;
                pending::<()>().await;
            };
            let _ = cancel_scope(body).await;
        });
        poll_fn(|context| {
            assert!(scope.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        nested.push(inner.replace(scope));
    }
    nested.push(inner.replace(Box::pin(async {})));
    nested
}

/// A pending cleanup is counted in all scopes around it.
#[test]
fn a_shield_is_counted_in_every_scope_around_it() {
    block_on(async {
        for outermost_first in [false, true] {
            let mut nested = nest(Box::pin(shield(pending()))).await;
            if outermost_first {
                nested.reverse();
            }
            drop(nested);
        }
        // An abort visits every scope and cleanup of the task.
        let nested = Rc::new(Cell::new(None));
        let made = Rc::clone(&nested);
        let task = spawn(async move {
            made.set(Some(nest(Box::pin(shield(pending()))).await));
            pending::<()>().await;
        });
        yield_now().await;
        task.abort();
        yield_now().await;
        assert!(!task.is_finished(), "the task waits for the shield");
        drop(nested.take());
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// A cleanup is counted in all scopes around its guard, even after these were dropped.
#[test]
fn a_cleanup_is_counted_in_every_scope_around_its_guard() {
    block_on(async {
        for outermost_first in [false, true] {
            let closed = Rc::new(Cell::new(false));
            let seen = Rc::clone(&closed);
            let innermost = async {
                drop(defer(async move {
                    yield_now().await;
                    seen.set(true);
                }));
                pending::<()>().await;
            };
            let scope = async { _ = cancel_scope(async |_| innermost.await).await };
            let mut nested = nest(Box::pin(scope)).await;
            if outermost_first {
                nested.reverse();
            }
            drop(nested);
            assert!(!closed.get());
            flush().await;
            assert!(closed.get());
        }
    });
}
