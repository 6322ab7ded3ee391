//! Wakers that use timers themselves: nothing of the wheel is borrowed while a waker is
//! cloned, woken or dropped, and no other timer is lost.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::spawn;
use coreloop::time::{Instant, Sleep, advance, sleep, timeout};

use coreloop_test_support::clock::paused;
use coreloop_test_support::wakers::{Call, calling};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn poll(timer: &mut Sleep, waker: &Waker) -> Poll<()> {
    Pin::new(timer).poll(&mut Context::from_waker(waker))
}

/// Timers that a waker reaches.
type Timers = Rc<RefCell<Vec<Sleep>>>;

/// A hundred timers are due together, and the first waker drops them all, while the wheel
/// has a list of the timers that it is about to wake.
#[test]
#[cfg_attr(miri, ignore = "a hundred timers in the wheel, which is safe code")]
fn one_wake_drops_a_hundred_timers() {
    paused().block_on(async {
        let timers = Timers::default();
        let wakes = Rc::new(Cell::new(0));
        for n in 0..100 {
            let mut timer = sleep(ms(10) + Duration::from_nanos(n % 3));
            let (all, wakes) = (Rc::clone(&timers), Rc::clone(&wakes));
            let waker = calling(move |call| {
                if call == Call::Wake {
                    wakes.set(wakes.get() + 1);
                    let dropped = all.take();
                    assert!(dropped.is_empty() || dropped.len() == 100);
                }
            });
            assert!(poll(&mut timer, &waker).is_pending());
            timers.borrow_mut().push(timer);
        }
        let other = spawn(sleep(ms(10)));
        sleep(ms(20)).await;
        assert!(timers.borrow().is_empty());
        assert!(wakes.get() >= 1);
        assert!(
            other.is_finished(),
            "the timer of a task, which is due with them, fires"
        );
    });
}

/// The wake of one timer drops the others that are due, and sets new ones in their
/// places: no new timer fires in place of an old one.
#[test]
#[cfg_attr(miri, ignore = "a hundred timers in the wheel, which is safe code")]
fn a_wake_puts_new_timers_in_the_places_of_old_ones() {
    paused().block_on(async {
        let start = Instant::now();
        let timers = Timers::default();
        for n in 0..50 {
            let mut timer = sleep(ms(10));
            let all = Rc::clone(&timers);
            let waker = calling(move |call| {
                if call == Call::Wake && n == 0 {
                    all.take();
                    for _ in 0..50 {
                        let mut timer = sleep(ms(30));
                        assert!(poll(&mut timer, Waker::noop()).is_pending());
                        all.borrow_mut().push(timer);
                    }
                }
            });
            assert!(poll(&mut timer, &waker).is_pending());
            timers.borrow_mut().push(timer);
        }
        sleep(ms(39)).await;
        for timer in &mut *timers.borrow_mut() {
            assert!(poll(timer, Waker::noop()).is_pending());
        }
        sleep(ms(1)).await;
        assert_eq!(start.elapsed(), ms(40));
        for timer in &mut *timers.borrow_mut() {
            assert!(poll(timer, Waker::noop()).is_ready());
        }
    });
}

/// Each call of a waker sets, drops and resets timers: its clone, its wake, and its
/// destructor, which runs when the timer is dropped, gets another waker, or has fired.
#[test]
fn every_call_of_a_waker_may_use_timers() {
    let runtime = paused();
    runtime.block_on(async {
        let timers = Timers::default();
        let mut random = fastrand::Rng::with_seed(7);
        let calls = Rc::new(Cell::new([0; 3]));
        let rounds = if cfg!(miri) { 40 } else { 2000 };
        for _ in 0..rounds {
            let (all, calls) = (Rc::clone(&timers), Rc::clone(&calls));
            let mut chance = random.fork();
            let waker = calling(move |call| {
                let mut seen = calls.get();
                seen[call as usize] += 1;
                calls.set(seen);
                let mut fresh = sleep(Duration::from_micros(chance.u64(..300)));
                let _ = poll(&mut fresh, Waker::noop());
                let mut all = all.borrow_mut();
                if all.is_empty() {
                    all.push(fresh);
                    return;
                }
                let at = chance.usize(..all.len());
                let soon = Instant::now() + Duration::from_micros(chance.u64(..300));
                Pin::new(&mut all[at]).reset(soon);
                let gone = chance.bool().then(|| all.swap_remove(at));
                if chance.bool() {
                    all.push(fresh);
                }
                drop(all);
                drop(gone);
            });
            let mut timer = sleep(Duration::from_micros(random.u64(1..300)));
            // From here on, the clones of the waker are dropped in many ways.
            let _ = poll(&mut timer, &waker);
            if random.bool() {
                let _ = poll(&mut timer, Waker::noop());
                let _ = poll(&mut timer, &waker);
            }
            if random.bool() {
                timers.borrow_mut().push(timer);
            }
            advance(Duration::from_micros(random.u64(..200))).await;
            let left = timers.borrow().len().min(50);
            let surplus = timers.borrow_mut().split_off(left);
            drop(surplus);
        }
        assert!(calls.get().iter().all(|&calls| calls > 0));
        // The timers that are left still fire.
        let mut left = timers.take();
        sleep(ms(1)).await;
        for timer in &mut left {
            assert!(poll(timer, Waker::noop()).is_ready());
        }
        drop(left);
        drop(timers.take());
    });
    assert_eq!(runtime.next_timer(), None);
}

#[test]
fn a_wake_may_reset_its_own_timer() {
    paused().block_on(async {
        let start = Instant::now();
        let timer = Rc::new(RefCell::new(sleep(ms(1))));
        let times = Rc::new(RefCell::new(Vec::new()));
        let (own, log) = (Rc::clone(&timer), Rc::clone(&times));
        let waker = calling(move |call| {
            if call == Call::Wake {
                log.borrow_mut().push(start.elapsed());
                let mut timer = own.borrow_mut();
                Pin::new(&mut *timer).reset(Instant::now() + ms(10));
                // Registers another waker, as this one is being called.
                assert!(poll(&mut timer, Waker::noop()).is_pending());
            }
        });
        assert!(poll(&mut timer.borrow_mut(), &waker).is_pending());
        sleep(ms(5)).await;
        assert_eq!(*times.borrow(), [ms(1)]);
        assert!(poll(&mut timer.borrow_mut(), Waker::noop()).is_pending());
        sleep(ms(6)).await;
        assert!(poll(&mut timer.borrow_mut(), Waker::noop()).is_ready());
    });
}

/// Tasks are woken without a `Waker`, and in the same order as foreign wakers.
#[test]
fn tasks_and_foreign_wakers_are_woken_in_one_order() {
    paused().block_on(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let handles: Vec<_> = (0..20)
            .map(|n| {
                let order = Rc::clone(&order);
                spawn(async move {
                    let mut timer = sleep(ms(10));
                    std::future::poll_fn(|context| {
                        if n % 3 != 0 {
                            return Pin::new(&mut timer).poll(context);
                        }
                        // A waker that forwards the wake, as in `FuturesUnordered`.
                        let task = context.waker().clone();
                        let passing = calling(move |call| {
                            if call == Call::Wake {
                                task.wake_by_ref();
                            }
                        });
                        poll(&mut timer, &passing)
                    })
                    .await;
                    order.borrow_mut().push(n);
                })
            })
            .collect();
        for handle in handles {
            handle.await.unwrap();
        }
        assert!(order.borrow().is_sorted());
    });
}

#[test]
fn a_waker_that_panics_does_not_keep_other_timers_from_firing() {
    paused().block_on(async {
        let mut timers = Vec::new();
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let mut timer = sleep(ms(10));
            let waker = calling(|call| assert!(call != Call::Wake, "on purpose"));
            assert!(poll(&mut timer, &waker).is_pending());
            timers.push(timer);
            tasks.push(spawn(sleep(ms(10))));
            coreloop::task::yield_now().await;
        }
        sleep(ms(11)).await;
        assert!(tasks.iter().all(coreloop::task::JoinHandle::is_finished));
        for timer in &mut timers {
            assert!(poll(timer, Waker::noop()).is_ready());
        }
    });
}

/// The wheel keeps the last cancelled timer's reference to its task, to use it again.
#[test]
fn a_cancelled_timer_keeps_no_future_of_its_task() {
    let runtime = paused();
    let held = Rc::new(());
    let inner = Rc::clone(&held);
    runtime.block_on(async move {
        let task = spawn(async move {
            let _held = inner;
            assert!(timeout(ms(5), sleep(ms(1))).await.is_ok());
        });
        task.await.unwrap();
    });
    assert_eq!(Rc::strong_count(&held), 1);
    drop(runtime);
}
