//! `Condvar`: it unlocks and waits in one step, and locks again. No notification is lost.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use coreloop::sync::{Condvar, Mutex, MutexGuard};
use coreloop::task::yield_now;
use coreloop::time::{Instant, sleep};

use coreloop_test_support::sequence;
use coreloop_test_support::waiter::{Waiter, ready};

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.try_lock().expect("the mutex is not locked")
}

#[test]
fn wait_unlocks_in_the_first_poll_and_locks_before_it_returns() {
    let (mutex, condvar) = (Mutex::new(0), Condvar::new());
    let mut wait = Waiter::new(condvar.wait(locked(&mutex)));
    assert!(mutex.try_lock().is_err(), "the wait was not polled yet");
    assert!(!wait.is_ready());
    *locked(&mutex) = 1;
    let held = locked(&mutex);
    condvar.notify_one();
    assert_eq!(wait.woken(), 1);
    assert!(!wait.is_ready(), "the mutex is locked");
    drop(held);
    assert_eq!(wait.woken(), 2);
    let guard = ready(wait.poll());
    assert_eq!(*guard, 1);
    assert!(mutex.try_lock().is_err());
}

#[test]
fn a_notification_is_not_kept() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    condvar.notify_one();
    condvar.notify_all();
    assert!(!Waiter::new(condvar.wait(locked(&mutex))).is_ready());
}

/// tokio #4668, anyio #1075: a waiter that was notified and then cancelled took
/// the notification along, also while it waited for the lock.
#[test]
fn a_wait_that_is_dropped_after_its_notification_passes_it_on() {
    for relocking in [false, true] {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let mut first = Waiter::new(condvar.wait(locked(&mutex)));
        assert!(!first.is_ready());
        let mut second = Waiter::new(condvar.wait(locked(&mutex)));
        assert!(!second.is_ready());
        condvar.notify_one();
        assert_eq!((first.woken(), second.woken()), (1, 0));
        if relocking {
            let _held = locked(&mutex);
            assert!(!first.is_ready());
            first.cancel();
        } else {
            first.cancel();
        }
        assert_eq!(second.woken(), 1);
        assert!(second.is_ready());
        assert!(mutex.try_lock().is_ok());
    }
}

#[test]
fn a_wait_that_returned_passes_nothing_on() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let mut first = Waiter::new(condvar.wait(locked(&mutex)));
    assert!(!first.is_ready());
    let mut second = Waiter::new(condvar.wait(locked(&mutex)));
    assert!(!second.is_ready());
    condvar.notify_one();
    drop(ready(first.poll()));
    first.cancel();
    assert_eq!(second.woken(), 0);
    condvar.notify_all();
    assert_eq!(second.woken(), 1);
}

#[test]
fn wait_while_waits_while_the_condition_is_true() {
    coreloop::block_on(async {
        let shared = Rc::new((Mutex::new(VecDeque::new()), Condvar::new()));
        let consumers: Vec<_> = (0..3)
            .map(|_| {
                let shared = Rc::clone(&shared);
                coreloop::spawn(async move {
                    let (queue, filled) = &*shared;
                    let mut sum = 0;
                    for _ in 0..10 {
                        let guard = queue.lock().await;
                        let mut guard = filled.wait_while(guard, |queue| queue.is_empty()).await;
                        sum += guard.pop_front().unwrap();
                    }
                    sum
                })
            })
            .collect();
        let (queue, filled) = &*shared;
        for number in 1..=30 {
            queue.lock().await.push_back(number);
            if number % 3 == 0 {
                filled.notify_all();
            } else {
                filled.notify_one();
            }
            yield_now().await;
        }
        let mut sum = 0;
        for consumer in consumers {
            sum += consumer.await.unwrap();
        }
        assert_eq!(sum, 30 * 31 / 2);
    });
}

#[coreloop::test(start_paused = true)]
async fn a_timeout_ends_the_wait() {
    let (mutex, condvar) = (Rc::new(Mutex::new(1)), Rc::new(Condvar::new()));
    let start = Instant::now();
    let guard = mutex.lock().await;
    let (guard, result) = condvar.wait_timeout(guard, Duration::from_secs(1)).await;
    assert!(result.timed_out());
    assert_eq!(start.elapsed().as_secs(), 1);
    drop(guard);

    coreloop::spawn({
        let (mutex, condvar) = (Rc::clone(&mutex), Rc::clone(&condvar));
        async move {
            for _ in 0..3 {
                sleep(Duration::from_secs(1)).await;
                *mutex.lock().await += 1;
                condvar.notify_one();
            }
        }
    });
    let guard = mutex.lock().await;
    let (guard, result) = condvar.wait_timeout(guard, Duration::from_secs(5)).await;
    assert!(!result.timed_out());
    assert_eq!(*guard, 2);
    let limit = Duration::from_secs(5);
    let (guard, result) = condvar.wait_timeout_while(guard, limit, |n| *n < 4).await;
    assert!(!result.timed_out());
    assert_eq!((*guard, start.elapsed().as_secs()), (4, 4));
    let (guard, result) = condvar.wait_timeout_while(guard, limit, |n| *n < 5).await;
    assert!(result.timed_out());
    assert_eq!((*guard, start.elapsed().as_secs()), (4, 9));
}

/// A notification in the turn in which the time passes counts.
#[coreloop::test(start_paused = true)]
async fn a_notification_is_not_lost_to_a_timeout() {
    let (mutex, condvar) = (Rc::new(Mutex::new(())), Rc::new(Condvar::new()));
    let waits = [(); 2].map(|()| {
        let (mutex, condvar) = (Rc::clone(&mutex), Rc::clone(&condvar));
        coreloop::spawn(async move {
            let guard = mutex.lock().await;
            let (_guard, result) = condvar.wait_timeout(guard, Duration::from_secs(1)).await;
            !result.timed_out()
        })
    });
    yield_now().await;
    sleep(Duration::from_secs(1)).await;
    condvar.notify_one();
    let mut notified = 0;
    for wait in waits {
        notified += u32::from(wait.await.unwrap());
    }
    assert!(notified <= 1);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Waiting,
    /// And by `notify_one`.
    Notified(bool),
    Relocking(bool),
}

struct Live<'a> {
    waiter: Waiter<'a, MutexGuard<'a, ()>>,
    number: usize,
    state: State,
}

/// Locks the mutex in the first poll, and waits. So there can be many of these futures at a
/// time.
async fn lock_and_wait<'a>(mutex: &'a Mutex<()>, condvar: &'a Condvar) -> MutexGuard<'a, ()> {
    condvar.wait(locked(mutex)).await
}

#[test]
fn a_condvar_agrees_with_its_model() {
    sequence::each(500, |numbers: &[u16]| {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let mut waiting: VecDeque<usize> = VecDeque::new();
        let mut live: Vec<Live<'_>> = Vec::new();
        // It is locked only in operations, so waits that lock it again wait only for it.
        let mut held: Option<MutexGuard<'_, ()>> = None;
        let notify_one = |waiting: &mut VecDeque<usize>, live: &mut [Live<'_>]| {
            let number = waiting.pop_front();
            for it in live.iter_mut().filter(|it| Some(it.number) == number) {
                it.state = State::Notified(true);
            }
        };
        for (step, &number) in numbers.iter().enumerate() {
            let at = usize::from(number / 32).checked_rem(live.len());
            match (number % 32, at) {
                (0..8, _) if live.len() < 8 => live.push(Live {
                    waiter: Waiter::new(lock_and_wait(&mutex, &condvar)),
                    number: step,
                    state: State::New,
                }),
                (8..20, Some(at)) => {
                    let it = &mut live[at];
                    let is_free = mutex.try_lock().is_ok();
                    if it.state == State::New && !is_free {
                        continue;
                    }
                    let polled = if number % 2 == 0 || it.state == State::New {
                        it.waiter.poll()
                    } else {
                        it.waiter.poll_afresh()
                    };
                    match (it.state, polled) {
                        (State::New, Poll::Pending) => {
                            it.state = State::Waiting;
                            waiting.push_back(it.number);
                        }
                        (State::Waiting, Poll::Pending) => {}
                        (State::Notified(one), Poll::Pending) => {
                            assert!(!is_free, "step {step}: the mutex was free");
                            it.state = State::Relocking(one);
                        }
                        (State::Relocking(_), Poll::Pending) => {}
                        (State::Notified(_), Poll::Ready(guard)) => {
                            assert!(is_free);
                            drop(guard);
                            live.swap_remove(at).waiter.cancel();
                        }
                        (State::Relocking(_), Poll::Ready(guard)) => {
                            drop(guard);
                            live.swap_remove(at).waiter.cancel();
                        }
                        (state, Poll::Ready(_)) => panic!("step {step}: ready as {state:?}"),
                    }
                }
                (20..23, Some(at)) => {
                    let it = live.swap_remove(at);
                    waiting.retain(|&number| number != it.number);
                    it.waiter.cancel();
                    if let State::Notified(true) | State::Relocking(true) = it.state {
                        notify_one(&mut waiting, &mut live);
                    }
                }
                (23..27, _) => {
                    condvar.notify_one();
                    notify_one(&mut waiting, &mut live);
                }
                (27, _) => {
                    condvar.notify_all();
                    waiting.clear();
                    for it in live.iter_mut().filter(|it| it.state == State::Waiting) {
                        it.state = State::Notified(false);
                    }
                }
                (28, _) if held.is_none() => held = mutex.try_lock().ok(),
                (29..32, _) => drop(held.take()),
                _ => {}
            }
            for it in &live {
                let is_waiting = it.state == State::Waiting;
                let woken = it.waiter.woken();
                match it.state {
                    State::New | State::Waiting => assert_eq!(woken, 0),
                    State::Notified(_) => assert_eq!(woken, 1),
                    State::Relocking(_) => assert!(woken <= 2),
                }
                assert!(it.waiter.is_registered() || !is_waiting);
            }
        }
        drop(held);
        assert_rest(live);
    });
}

/// Once the mutex is free, all waits that were notified lock it.
fn assert_rest(mut live: Vec<Live<'_>>) {
    let is_waiting = |it: &Live<'_>| matches!(it.state, State::New | State::Waiting);
    loop {
        let before = live.len();
        live.retain_mut(|it| is_waiting(it) || !it.waiter.is_ready());
        if live.len() == before {
            break;
        }
    }
    assert!(live.iter().all(is_waiting));
}
