//! `Sleep`, `timeout` and the far end of time: resets, deadlines, durations
//! without end, and timers that other executors poll.

#[path = "common/waiter.rs"]
mod waiter;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::runtime::Builder;
use coreloop::task::{consume_budget, coop, yield_now};
use coreloop::time::{Instant, Sleep, advance, interval, sleep, sleep_until, timeout, timeout_at};
use coreloop::{Runtime, block_on, spawn};
use waiter::Count;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn paused() -> Runtime {
    Builder::new()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

fn poll(sleep: &mut Sleep, waker: &Waker) -> Poll<()> {
    Pin::new(sleep).poll(&mut Context::from_waker(waker))
}

#[coreloop::test(start_paused = true)]
async fn a_reset_puts_off_and_brings_forward() {
    let start = Instant::now();
    let mut later = pin!(sleep(ms(10)));
    later.as_mut().reset(start + ms(50));
    assert_eq!(later.deadline(), start + ms(50));
    later.as_mut().await;
    assert_eq!(start.elapsed(), ms(50));
    let start = Instant::now();
    let mut sooner = Box::pin(sleep(ms(1000)));
    sooner.as_mut().reset(start + ms(5));
    sooner.await;
    assert_eq!(start.elapsed(), ms(5));
}

#[coreloop::test(start_paused = true)]
async fn a_reset_of_a_timer_that_waits_wakes_at_the_new_time() {
    for (old, new) in [(10, 50), (1000, 5), (10, 10), (10, 0)] {
        let start = Instant::now();
        let mut timer = sleep(ms(old));
        let mut polls = 0;
        poll_fn(|context| {
            polls += 1;
            if polls == 1 {
                assert!(Pin::new(&mut timer).poll(context).is_pending());
                Pin::new(&mut timer).reset(start + ms(new));
                return Poll::Pending;
            }
            Pin::new(&mut timer).poll(context)
        })
        .await;
        assert_eq!((start.elapsed(), polls), (ms(new), 2));
    }
}

#[coreloop::test(start_paused = true)]
async fn a_reset_after_the_end_starts_anew() {
    let mut timer = pin!(sleep(ms(1)));
    for _ in 0..3 {
        timer.as_mut().await;
        assert!(timer.is_elapsed());
        let now = Instant::now();
        timer.as_mut().reset(now + ms(20));
        assert!(!timer.is_elapsed());
        timer.as_mut().await;
        assert_eq!(now.elapsed(), ms(20));
    }
    // Fired, but not polled since.
    timer.as_mut().reset(Instant::now() + ms(1));
    assert!(poll(&mut timer, Waker::noop()).is_pending());
    advance(ms(2)).await;
    let again = Instant::now() + ms(5);
    timer.as_mut().reset(again);
    timer.await;
    assert_eq!(Instant::now(), again);
}

#[coreloop::test(start_paused = true)]
async fn a_reset_into_the_past_is_over_at_once() {
    advance(ms(100)).await;
    let mut timer = sleep(ms(10));
    assert!(poll(&mut timer, Waker::noop()).is_pending());
    let past = Instant::now() - ms(50);
    Pin::new(&mut timer).reset(past);
    assert_eq!(timer.deadline(), past);
    assert!(timer.is_elapsed());
    assert!(poll(&mut timer, Waker::noop()).is_ready());
}

/// One limit on the time between messages, reset by each.
#[coreloop::test(start_paused = true)]
async fn an_idle_limit_is_reset_very_often() {
    let start = Instant::now();
    let mut idle = pin!(sleep(ms(10)));
    let resets = if cfg!(miri) { 10 } else { 1000 };
    for _ in 0..resets {
        assert!(timeout(ms(9), idle.as_mut()).await.is_err());
        idle.as_mut().reset(Instant::now() + ms(10));
    }
    idle.await;
    assert_eq!(start.elapsed(), ms(9 * resets + 10));
}

#[coreloop::test(start_paused = true)]
async fn equal_deadlines_end_in_the_order_of_their_setting() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for n in 0..50 {
        let order = Rc::clone(&order);
        tasks.push(spawn(async move {
            let mut timer = sleep(ms(n % 3));
            if n % 2 == 0 {
                // A reset is a setting.
                Pin::new(&mut timer).reset(start + ms(100));
                timer.await;
            } else {
                sleep_until(start + ms(100)).await;
            }
            order.borrow_mut().push(n);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(order.borrow().is_sorted());
    assert_eq!(start.elapsed(), ms(100));
}

#[coreloop::test(start_paused = true)]
async fn time_without_end_does_not_come() {
    let start = Instant::now();
    let years = |years: u64| Duration::from_secs(86_400 * 365 * years);
    let endless = [Duration::MAX, Duration::from_secs(u64::MAX), years(600)];
    for duration in endless {
        let task = spawn(sleep(duration));
        let limited = spawn(timeout(duration, pending::<()>()));
        let until = start.checked_add(duration).map(sleep_until).map(spawn);
        let mut ticker = interval(duration);
        ticker.tick().await;
        let ticker = spawn(async move { ticker.tick().await });
        let mut reset = sleep(ms(10));
        if let Some(far) = start.checked_add(duration) {
            Pin::new(&mut reset).reset(far);
        } else {
            reset = sleep(duration);
        }
        assert!(reset.deadline() > start + years(500));
        assert!(!reset.is_elapsed());
        let reset = spawn(reset);
        sleep(years(100)).await;
        assert!(!task.is_finished() && !limited.is_finished());
        assert!(!ticker.is_finished() && !reset.is_finished());
        assert!(until.is_none_or(|until| !until.is_finished()));
    }
    assert_eq!(start.elapsed(), years(300));
    // What is nearer is not in their way.
    assert_eq!(timeout(Duration::MAX, async { 5 }).await, Ok(5));
    let slow = timeout(Duration::MAX, sleep(years(1)));
    assert!(slow.await.is_ok());
    // One that was endless can be brought back.
    let mut timer = sleep(Duration::MAX);
    assert!(poll(&mut timer, Waker::noop()).is_pending());
    Pin::new(&mut timer).reset(Instant::now() + ms(1));
    timer.await;
    assert_eq!(start.elapsed(), years(301) + ms(1));
}

#[test]
fn time_without_end_is_no_timer() {
    let runtime = paused();
    let endless = runtime.spawn(async { sleep(Duration::MAX).await });
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(runtime.next_timer(), None);
    // Nothing to jump to.
    let before = runtime.block_on(async { Instant::now() });
    runtime.turn(Some(Duration::ZERO)).unwrap();
    runtime.turn(Some(ms(1))).unwrap();
    assert_eq!(runtime.block_on(async { Instant::now() }), before);
    assert!(!endless.is_finished());
}

/// Nobody looked at the clock since: then the timer fires in the next turn.
#[test]
fn a_deadline_that_passed_before_the_first_poll() {
    block_on(async {
        let timer = sleep(Duration::from_micros(20));
        let late = sleep(Duration::from_micros(20));
        let system = std::time::Instant::now();
        while system.elapsed() < Duration::from_micros(40) {}
        timer.await;
        // Now it is known.
        assert!(Instant::now() >= late.deadline());
        assert_eq!(poll(&mut { late }, Waker::noop()), Poll::Ready(()));
    });
}

#[coreloop::test(start_paused = true)]
async fn a_timeout_looks_at_the_future_first() {
    let second = ms(1000);
    let both = timeout(second, sleep(second));
    assert!(both.await.is_ok());
    assert_eq!(timeout(Duration::ZERO, async { 1 }).await, Ok(1));
    assert!(timeout(Duration::ZERO, yield_now()).await.is_err());
    let past = Instant::now() - second;
    assert_eq!(timeout_at(past, async { 2 }).await, Ok(2));
    assert!(timeout_at(past, pending::<()>()).await.is_err());
    let mut limited = timeout(second, std::future::ready(3));
    *limited.get_mut() = std::future::ready(4);
    assert_eq!(limited.get_ref().clone().into_inner(), 4);
    assert_eq!(limited.into_inner().await, 4);
}

#[coreloop::test(start_paused = true)]
async fn the_tighter_of_two_timeouts_wins() {
    let start = Instant::now();
    let inner = timeout(ms(10), pending::<()>());
    assert!(timeout(ms(20), inner).await.unwrap().is_err());
    assert_eq!(start.elapsed(), ms(10));
    let inner = timeout(ms(20), pending::<()>());
    assert!(timeout(ms(10), inner).await.is_err());
    assert_eq!(start.elapsed(), ms(20));
}

/// A future that spends the whole budget in every poll, and one that is polled
/// where nothing is left of it.
#[test]
fn a_timeout_wins_against_a_future_that_eats_the_budget() {
    block_on(async {
        let greedy = async {
            loop {
                consume_budget().await;
            }
        };
        let limit = Duration::from_micros(200);
        assert!(timeout(limit, greedy).await.is_err());
        let polls = Cell::new(0);
        let spent = poll_fn(|context| {
            polls.set(polls.get() + 1);
            while coop::poll_proceed(context).is_ready() {}
            Poll::<()>::Pending
        });
        let nested = timeout(limit, timeout(Duration::MAX, spent));
        assert!(nested.await.is_err());
        assert!(polls.get() > 0);
        // Ready timers spend budget too.
        let sleeper = async {
            loop {
                sleep(Duration::ZERO).await;
            }
        };
        assert!(timeout(limit, sleeper).await.is_err());
    });
}

#[test]
fn another_executor_polls_a_timer() {
    let runtime = paused();
    let guard = runtime.enter();
    let start = Instant::now();
    let mut timer = sleep(ms(5));
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    assert!(poll(&mut timer, &waker).is_pending());
    assert_eq!(runtime.next_timer(), Some(start + ms(5)));
    // Only turns fire timers.
    assert_eq!(count.get(), 0);
    runtime.turn(None).unwrap();
    assert_eq!(count.get(), 1);
    assert!(poll(&mut timer, &waker).is_ready());
    assert!(poll(&mut timer, &waker).is_ready());
    drop(guard);
    assert_eq!(runtime.next_timer(), None);
}

/// The loop's descriptor says that there is something to do, also for a timer
/// that was set, or brought forward, outside its turns.
#[test]
#[cfg(target_os = "linux")]
#[cfg_attr(miri, ignore = "no timerfd")]
fn another_loop_is_told_of_a_timer() {
    use mio::unix::SourceFd;
    use std::os::fd::AsFd;
    use std::os::fd::AsRawFd;

    let runtime = Runtime::new().unwrap();
    let mut outer = mio::Poll::new().unwrap();
    let fd = runtime.as_fd().as_raw_fd();
    let readable = mio::Interest::READABLE;
    outer
        .registry()
        .register(&mut SourceFd(&fd), mio::Token(0), readable)
        .unwrap();
    let _guard = runtime.enter();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut set = sleep(ms(1));
    let mut reset = sleep(Duration::from_secs(3600));
    assert!(poll(&mut reset, &waker).is_pending());
    assert!(poll(&mut set, &waker).is_pending());
    let mut events = mio::Events::with_capacity(4);
    for wakes in [1, 2] {
        while count.get() < wakes {
            outer.poll(&mut events, None).unwrap();
            runtime.turn(Some(Duration::ZERO)).unwrap();
        }
        let soon = Instant::now() + ms(1);
        if wakes == 1 {
            Pin::new(&mut reset).reset(soon);
        }
    }
    assert!(poll(&mut reset, &waker).is_ready());
}

#[test]
fn a_timer_of_a_runtime_that_is_gone() {
    let runtime = paused();
    let guard = runtime.enter();
    let mut waiting = sleep(ms(5));
    let mut new = sleep(ms(5));
    let mut over = sleep(Duration::ZERO);
    assert!(poll(&mut waiting, Waker::noop()).is_pending());
    drop(guard);
    drop(runtime);
    // Nobody moves its clock any more.
    for timer in [&mut waiting, &mut new] {
        assert!(poll(timer, Waker::noop()).is_pending());
        Pin::new(&mut *timer).reset(Instant::now() + Duration::from_secs(3600));
        assert!(poll(timer, Waker::noop()).is_pending());
        assert!(!timer.is_elapsed());
    }
    assert!(poll(&mut over, Waker::noop()).is_ready());
}

#[test]
fn a_timer_of_a_runtime_that_is_gone_ends_if_it_is_polled() {
    let runtime = Runtime::new().unwrap();
    let guard = runtime.enter();
    let mut timer = sleep(Duration::from_micros(50));
    assert!(poll(&mut timer, Waker::noop()).is_pending() || timer.is_elapsed());
    drop(guard);
    drop(runtime);
    while poll(&mut timer, Waker::noop()).is_pending() {}
    assert!(timer.is_elapsed());
    // As another runtime's task sees it, which is polled for other reasons.
    let done = block_on(async { timeout(ms(1), timer).await });
    assert!(done.is_ok());
}

/// On the real clock, where timers share wakes: none is early, whatever it
/// shares with.
#[test]
fn no_timer_is_early_that_shares_a_wake() {
    const TIMERS: u64 = if cfg!(miri) { 20 } else { 2000 };
    block_on(async {
        let tasks: Vec<_> = (0..TIMERS)
            .map(|n| {
                spawn(async move {
                    let duration = Duration::from_micros(n * 7919 % 8000);
                    let start = std::time::Instant::now();
                    sleep(duration).await;
                    assert!(start.elapsed() >= duration, "early");
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}
