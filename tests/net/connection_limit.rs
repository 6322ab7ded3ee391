//! A connection limit by itself: in which order waiting tasks get permits, and at what cost.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Waker};

use coreloop::net::{ConnectionLimit, ConnectionPermit};
use coreloop::task::{JoinSet, unconstrained, yield_now};
use coreloop::{block_on, spawn};
use coreloop_test_support::panics::text_of;
use coreloop_test_support::wakers::{Call, calling};
use futures_lite::future::poll_once;

const MANY: usize = if cfg!(miri) { 20 } else { 2000 };

#[test]
fn permits_are_given_in_the_order_in_which_they_were_asked_for() {
    block_on(async {
        let limit = ConnectionLimit::new(2);
        let permits = [limit.acquire().await, limit.acquire().await];
        let order = Rc::new(RefCell::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for number in 0..20 {
            let (limit, order) = (limit.clone(), Rc::clone(&order));
            tasks.spawn(async move {
                let _permit = limit.acquire().await;
                order.borrow_mut().push(number);
                yield_now().await;
            });
            yield_now().await;
        }
        drop(permits);
        tasks.join_all().await;
        assert_eq!(*order.borrow(), Vec::from_iter(0..20));
        assert_eq!(limit.active(), 0);
    });
}

/// Each permit used to wake all waiting tasks, of which one took it: n²/2 polls.
#[test]
fn a_permit_wakes_one_task() {
    block_on(async {
        let limit = ConnectionLimit::new(1);
        let permit = limit.acquire().await;
        let polls = Rc::new(Cell::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..MANY {
            let (limit, polls) = (limit.clone(), Rc::clone(&polls));
            tasks.spawn(async move {
                let mut acquire = pin!(limit.acquire());
                let permit = poll_fn(|context| {
                    polls.set(polls.get() + 1);
                    acquire.as_mut().poll(context)
                });
                let _permit = permit.await;
                yield_now().await;
            });
        }
        yield_now().await;
        assert_eq!(polls.get(), MANY);
        drop(permit);
        tasks.join_all().await;
        assert_eq!(polls.get(), 2 * MANY);
    });
}

#[test]
fn a_task_that_acquires_again_at_once_starves_no_other() {
    block_on(async {
        let limit = ConnectionLimit::new(1);
        let taken = Rc::new(Cell::new(0));
        let greedy = spawn({
            let (limit, taken) = (limit.clone(), Rc::clone(&taken));
            async move {
                loop {
                    let permit = limit.acquire().await;
                    taken.set(taken.get() + 1);
                    yield_now().await;
                    drop(permit);
                }
            }
        });
        yield_now().await;
        for number in 1..10 {
            drop(limit.acquire().await);
            // The greedy task has had one turn since the last permit.
            assert!(
                taken.get() <= number + 1,
                "{} in turn {number}",
                taken.get()
            );
        }
        greedy.abort();
    });
}

/// No task waits and no permit is missing, so that only the budget ends the loop.
#[test]
fn a_task_that_acquires_for_ever_lets_others_run() {
    block_on(async {
        let limit = ConnectionLimit::new(1);
        let other = spawn(async {});
        while !other.is_finished() {
            drop(limit.acquire().await);
        }
    });
}

#[test]
fn a_task_without_budget_keeps_its_place_in_the_queue() {
    block_on(async {
        let limit = ConnectionLimit::new(1);
        let permit = limit.acquire().await;
        let order = Rc::new(RefCell::new(Vec::new()));
        let wait = |name, spends: bool| {
            let (limit, order) = (limit.clone(), Rc::clone(&order));
            spawn(async move {
                let spare = ConnectionLimit::new(1);
                while spends && poll_once(spare.acquire()).await.is_some() {}
                let _permit = limit.acquire().await;
                order.borrow_mut().push(name);
            })
        };
        let tasks = [wait("first", true), wait("second", false)];
        yield_now().await;
        drop(permit);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.borrow(), ["first", "second"]);
    });
}

#[test]
fn a_permit_that_was_given_to_a_dropped_future_goes_to_the_next() {
    block_on(unconstrained(async {
        let limit = ConnectionLimit::new(1);
        let permit = limit.acquire().await;
        let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(limit.acquire())).collect();
        for acquire in &mut waiting {
            assert!(poll_once(acquire).await.is_none());
        }
        // A waiting future that is dropped leaves the queue.
        drop(waiting.remove(1));
        drop(permit);
        assert!(limit.try_acquire().is_none(), "the permit has an owner");
        assert_eq!(limit.active(), 0);
        // The first future was granted the permit, and has not taken it.
        drop(waiting.remove(0));
        assert!(limit.try_acquire().is_none());
        let mut last = waiting.pop().unwrap();
        assert!(poll_once(&mut last).await.is_none());
        let permit = poll_once(waiting.pop().unwrap()).await.unwrap();
        assert_eq!(limit.active(), 1);
        drop(permit);
        drop(last);
        assert!(limit.try_acquire().is_some());
    }));
}

#[test]
fn permits_that_are_returned_together_wake_different_tasks() {
    block_on(async {
        let limit = ConnectionLimit::new(3);
        let permits: Vec<_> = (0..3).map(|_| limit.try_acquire().unwrap()).collect();
        let mut tasks = JoinSet::new();
        for _ in 0..3 {
            let limit = limit.clone();
            tasks.spawn(async move { limit.acquire().await });
        }
        yield_now().await;
        drop(permits);
        let permits = tasks.join_all().await;
        assert_eq!((permits.len(), limit.active()), (3, 3));
        assert!(limit.try_acquire().is_none());
    });
}

/// The waker returns the permit while it is cloned; the future must not wait for it then.
#[test]
fn a_permit_that_is_returned_while_a_waker_is_cloned_is_found() {
    for polls_before in 0..2 {
        let limit = ConnectionLimit::new(1);
        let permit = Rc::new(Cell::new(limit.try_acquire()));
        let waker = calling({
            let permit = Rc::clone(&permit);
            move |call| {
                if call == Call::Clone {
                    drop(permit.take());
                }
            }
        });
        let mut acquire = pin!(limit.acquire());
        for _ in 0..polls_before {
            let mut noop = Context::from_waker(Waker::noop());
            assert!(acquire.as_mut().poll(&mut noop).is_pending());
        }
        assert!(acquire.poll(&mut Context::from_waker(&waker)).is_ready());
    }
}

/// The waker drops all waiting futures, and then may panic.
#[test]
fn a_waker_may_drop_the_other_waiting_futures() {
    type Waiting = Pin<Box<dyn Future<Output = ConnectionPermit>>>;

    for panics in [false, true] {
        let limit = Rc::new(ConnectionLimit::new(1));
        let permit = limit.try_acquire();
        let waiting: Rc<RefCell<Vec<Waiting>>> = Rc::default();
        let waker = calling({
            let waiting = Rc::clone(&waiting);
            move |call| {
                if call == Call::Wake {
                    drop(waiting.take());
                    assert!(!panics, "on purpose");
                }
            }
        });
        for _ in 0..3 {
            let limit = Rc::clone(&limit);
            let mut acquire: Waiting = Box::pin(async move { limit.acquire().await });
            let polled = acquire.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            waiting.borrow_mut().push(acquire);
        }
        let dropped = text_of(|| drop(permit));
        assert_eq!(dropped.is_some(), panics);
        assert!(waiting.borrow().is_empty());
        assert_eq!(limit.active(), 0);
        assert!(limit.try_acquire().is_some(), "the permit is left");
    }
}
