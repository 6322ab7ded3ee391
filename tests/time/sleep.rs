//! `sleep` and `sleep_until`: they end in order, none is early, and none is lost.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use coreloop::task::yield_now;
use coreloop::time::{Instant, Sleep, advance, sleep, sleep_until};
use coreloop::{block_on, spawn};
use coreloop_test_support::wakers::{Call, calling};

use crate::{poll, sleep_in};
use coreloop_test_support::clock::paused;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
#[cfg_attr(miri, ignore = "about the wheel, which is safe code")]
fn timers_fire_in_the_order_of_their_deadlines() {
    paused().block_on(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let durations = [50, 3_000_000, 1, 999, 0, 86_400_000, 64, 65, 4096, 2];
        let handles: Vec<_> = durations
            .into_iter()
            .map(|millis| {
                let order = Rc::clone(&order);
                spawn(async move {
                    let (start, duration) = (Instant::now(), Duration::from_millis(millis));
                    sleep(duration).await;
                    assert_eq!(start.elapsed(), duration);
                    order.borrow_mut().push(millis);
                })
            })
            .collect();
        for handle in handles {
            handle.await.unwrap();
        }
        let mut sorted = durations;
        sorted.sort_unstable();
        assert_eq!(*order.borrow(), sorted);
    });
}

#[test]
#[cfg_attr(miri, ignore = "about the wheel, which is safe code")]
fn timers_with_equal_deadlines_fire_in_the_order_in_which_they_were_set() {
    paused().block_on(async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let deadline = Instant::now() + Duration::from_secs(100);
        let mut handles = Vec::new();
        for n in 0..20_u64 {
            let order = Rc::clone(&order);
            handles.push(spawn(async move {
                sleep_until(deadline).await;
                order.borrow_mut().push(n);
            }));
            // The distance to the deadline changes, and with it the level of the wheel.
            sleep(Duration::from_millis(n * n)).await;
        }
        for handle in handles {
            handle.await.unwrap();
        }
        assert!(order.borrow().is_sorted());
    });
}

#[test]
fn a_sleep_of_zero_is_ready_at_once() {
    paused().block_on(async {
        let start = Instant::now();
        assert!(poll(&mut sleep(Duration::ZERO), Waker::noop()).is_ready());
        assert!(poll(&mut sleep_until(start), Waker::noop()).is_ready());
        assert!(
            poll(
                &mut sleep_until(start - Duration::from_nanos(1)),
                Waker::noop()
            )
            .is_ready()
        );
        assert_eq!(Instant::now(), start);
    });
}

#[test]
fn sub_millisecond_sleeps_are_not_rounded_up() {
    paused().block_on(async {
        for nanos in [1, 999, 1_000, 1_024, 1_025, 50_000, 999_999] {
            let start = Instant::now();
            let duration = Duration::from_nanos(nanos);
            sleep(duration).await;
            assert_eq!(start.elapsed(), duration);
        }
    });
}

/// On the real clock: never early, whatever the kernel's granularity.
#[test]
fn no_sleep_is_early_on_the_real_clock() {
    block_on(async {
        for micros in [1, 10, 100, 700, 1_300] {
            let duration = Duration::from_micros(micros);
            let (start, system) = (Instant::now(), std::time::Instant::now());
            sleep(duration).await;
            assert!(start.elapsed() >= duration);
            assert!(system.elapsed() >= duration);
        }
    });
}

#[test]
fn a_sleep_counts_from_the_call() {
    paused().block_on(async {
        let start = Instant::now();
        let second = sleep(Duration::from_secs(2));
        sleep(Duration::from_secs(1)).await;
        second.await;
        let late = sleep_until(start + Duration::from_secs(1));
        late.await;
        assert_eq!(start.elapsed(), Duration::from_secs(2));
    });
}

#[test]
fn a_dropped_sleep_is_cancelled() {
    let runtime = paused();
    runtime.block_on(async {
        let start = Instant::now();
        let mut cancelled = sleep(Duration::from_secs(1));
        let waker = calling(|call| assert!(call != Call::Wake, "the sleep was cancelled"));
        assert!(poll(&mut cancelled, &waker).is_pending());
        drop(cancelled);
        sleep(Duration::from_secs(3)).await;
        assert!(start.elapsed() >= Duration::from_secs(3));
    });
    assert_eq!(runtime.next_timer(), None);
}

#[test]
fn a_sleep_moves_from_task_to_task() {
    paused().block_on(async {
        let mut timer = sleep(Duration::from_secs(1));
        let first = calling(|call| assert!(call != Call::Wake, "the waker was replaced"));
        assert!(poll(&mut timer, &first).is_pending());
        let moved = spawn(async move {
            timer.await;
            "fired"
        });
        assert_eq!(moved.await.unwrap(), "fired");
    });
}

/// As in tokio, a sleep has not elapsed before it is polled or reset.
#[coreloop::test(start_paused = true)]
async fn a_sleep_has_elapsed_once_it_was_polled() {
    let now = Instant::now();
    let past = now - Duration::from_secs(1);
    for timer in [sleep_until(now), sleep_until(past), sleep(Duration::ZERO)] {
        let mut timer = pin!(timer);
        assert!(!timer.is_elapsed());
        timer.as_mut().await;
        assert!(timer.is_elapsed());
    }
    // This also holds if the deadline passes before the first poll.
    let mut timer = pin!(sleep(Duration::from_secs(1)));
    advance(Duration::from_secs(2)).await;
    assert!(!timer.is_elapsed());
    timer.as_mut().await;
    assert!(timer.is_elapsed());
    // A reset sets the timer, as a poll does.
    let now = Instant::now();
    timer.as_mut().reset(now + Duration::from_secs(1));
    assert!(!timer.is_elapsed());
    timer.as_mut().reset(now);
    assert!(timer.is_elapsed());
    timer.as_mut().await;
    assert_eq!(now.elapsed(), Duration::ZERO);
    let mut timer = pin!(sleep(Duration::from_secs(1)));
    timer.as_mut().reset(past);
    assert!(timer.is_elapsed());
}

#[test]
fn an_elapsed_sleep_stays_elapsed() {
    paused().block_on(async {
        let mut timer = sleep(Duration::from_millis(1));
        assert!(!timer.is_elapsed());
        (&mut timer).await;
        assert!(timer.is_elapsed());
        (&mut timer).await;
        assert!(timer.deadline() <= Instant::now());
    });
}

/// One wake drops a hundred timers, some of which fire in the same turn.
#[test]
#[cfg_attr(miri, ignore = "thousands of timers in the wheel, which is safe code")]
fn a_waker_drops_timers_while_they_fire() {
    let runtime = paused();
    let slot: Rc<RefCell<Vec<Sleep>>> = Rc::default();
    runtime.block_on(async {
        for n in 0..100_u64 {
            let mut timer = sleep(Duration::from_micros(100 + n % 7));
            let own = Rc::clone(&slot);
            let waker = calling(move |call| {
                if call == Call::Wake {
                    let all = own.take();
                    drop(all);
                    // New timers take the places of the old ones in the wheel.
                    for n in 0..50 {
                        let mut timer = sleep(Duration::from_micros(n));
                        let _ = poll(&mut timer, Waker::noop());
                        own.borrow_mut().push(timer);
                    }
                }
            });
            assert!(poll(&mut timer, &waker).is_pending());
            slot.borrow_mut().push(timer);
        }
        sleep(Duration::from_millis(1)).await;
    });
    assert_eq!(slot.borrow().len(), 50);
}

#[test]
fn a_waker_that_runs_a_turn_while_it_is_cloned_misses_no_timer() {
    let runtime = Rc::new(paused());
    let guard = runtime.enter();
    let mut timer = sleep(Duration::from_millis(1));
    drop(guard);
    assert!(poll(&mut timer, Waker::noop()).is_pending());
    let turned = Rc::clone(&runtime);
    let waker = calling(move |call| {
        if call == Call::Clone {
            // The clock jumps to the timer.
            turned.turn(None).unwrap();
        }
    });
    assert!(poll(&mut timer, &waker).is_ready());
}

/// Regression: the timer fired while its new waker was cloned, and the waker panicked
/// when it was dropped. The sleep still used the number of its timer, and removed another
/// timer.
#[test]
fn a_waker_that_panics_when_dropped_removes_no_other_timer() {
    let runtime = Rc::new(paused());
    let _guard = runtime.enter();
    let mut timer = sleep(Duration::from_millis(1));
    assert!(poll(&mut timer, Waker::noop()).is_pending());
    let (turned, panics) = (Rc::clone(&runtime), Cell::new(true));
    let waker = calling(move |call| match call {
        Call::Clone => drop(turned.turn(None)),
        Call::Drop if panics.take() => panic!("dropped"),
        Call::Drop | Call::Wake => {}
    });
    let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut timer, &waker)));
    assert!(polled.is_err());
    let mut next = sleep(Duration::from_millis(1));
    assert!(poll(&mut next, Waker::noop()).is_pending());
    assert!(poll(&mut timer, Waker::noop()).is_ready());
    drop(timer);
    runtime.turn(None).unwrap();
    assert!(poll(&mut next, Waker::noop()).is_ready());
}

#[test]
fn a_paused_clock_does_not_move_until_nothing_else_can_happen() {
    let runtime = paused();
    runtime.block_on(async {
        let start = Instant::now();
        for _ in 0..100 {
            yield_now().await;
        }
        assert_eq!(Instant::now(), start);
        // A wake from another thread arrives before the clock moves, as no task waits for
        // a timer.
        let mut first = true;
        poll_fn(|context| {
            if std::mem::take(&mut first) {
                let waker = context.waker().clone();
                thread::spawn(move || waker.wake());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(Instant::now(), start);
    });
    // A later run continues from the time of the first.
    let hour = Duration::from_secs(3600);
    runtime.block_on(sleep_in(&runtime, hour));
    let _guard = runtime.enter();
    let before = Instant::now();
    runtime.block_on(sleep(hour));
    assert!(before.elapsed() >= hour);
}

#[test]
#[should_panic(expected = "sleep called outside a coreloop runtime")]
fn a_sleep_outside_a_runtime_panics() {
    drop(sleep(Duration::ZERO));
}

#[test]
#[cfg_attr(miri, ignore = "hundreds of timers in the wheel, which is safe code")]
fn twenty_thousand_timers_fire_in_order() {
    const TIMERS: u32 = if cfg!(miri) { 300 } else { 20_000 };

    paused().block_on(async {
        let fired = Rc::new(Cell::new(0));
        let last = Rc::new(Cell::new(Instant::now()));
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..TIMERS {
            let distance = random.u32(1..50);
            let duration = Duration::from_nanos(random.u64(0..1 << distance));
            let (fired, last) = (Rc::clone(&fired), Rc::clone(&last));
            drop(spawn(async move {
                let deadline = Instant::now() + duration;
                sleep(duration).await;
                assert!(Instant::now() >= deadline);
                assert!(Instant::now() >= last.get());
                last.set(Instant::now());
                fired.set(fired.get() + 1);
            }));
        }
        sleep(Duration::from_nanos(1 << 51)).await;
        assert_eq!(fired.get(), TIMERS);
    });
}

#[coreloop::test(start_paused = true)]
async fn sleeps_with_equal_deadlines_end_in_the_order_in_which_they_were_set() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for n in 0..50 {
        let order = Rc::clone(&order);
        tasks.push(spawn(async move {
            let mut timer = sleep(ms(n % 3));
            if n % 2 == 0 {
                // A reset sets the timer, too.
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

/// The loop has not read its clock since the deadline passed, so the timer fires in the
/// next turn.
#[test]
fn a_deadline_may_pass_before_the_first_poll() {
    block_on(async {
        let timer = sleep(Duration::from_micros(20));
        let late = sleep(Duration::from_micros(20));
        let system = std::time::Instant::now();
        while system.elapsed() < Duration::from_micros(40) {}
        timer.await;
        // The loop has read its clock by now.
        assert!(Instant::now() >= late.deadline());
        assert_eq!(poll(&mut { late }, Waker::noop()), Poll::Ready(()));
    });
}

/// On the real clock, where timers that are due at about the same time fire together.
#[test]
fn no_timer_that_fires_together_with_others_is_early() {
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
