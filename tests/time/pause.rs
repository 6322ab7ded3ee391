//! The paused clock: pausing, resuming, advancing, and how it jumps to timers by itself.

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::Runtime;
use coreloop::spawn;
use coreloop::time::{Instant, advance, pause, resume, sleep, sleep_until, timeout};
use coreloop_test_support::clock::paused;
use coreloop_test_support::deadline::wait_until;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

#[coreloop::test(start_paused = true)]
async fn the_clock_jumps_exactly_to_the_deadline() {
    for duration in [
        1,
        2,
        999,
        1000,
        1023,
        1024,
        1025,
        16_383,
        16_384,
        16_385,
        999_999,
        1_000_000,
        1_048_577,
        51_592_000,
        3_600_000_000_001,
        86_400_000_000_007,
    ] {
        let start = Instant::now();
        sleep(nanos(duration)).await;
        assert_eq!(start.elapsed(), nanos(duration));
    }
}

#[coreloop::test(start_paused = true)]
async fn each_timer_sees_its_own_time() {
    let start = Instant::now();
    let tasks = if cfg!(miri) { 20 } else { 200 };
    let tasks: Vec<_> = (0..tasks)
        .map(|n| {
            // Many deadlines within a microsecond, in no order.
            let deadline = start + ms(5) + nanos(n * 7919 % 1000);
            spawn(async move {
                sleep_until(deadline).await;
                assert_eq!(Instant::now(), deadline);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[coreloop::test(start_paused = true)]
async fn only_sleeping_moves_a_paused_clock() {
    let start = Instant::now();
    let system = std::time::Instant::now();
    while system.elapsed() < Duration::from_micros(50) {
        assert_eq!(Instant::now(), start);
    }
    for _ in 0..100 {
        coreloop::task::yield_now().await;
    }
    assert_eq!(Instant::now(), start);
    sleep(ms(1)).await;
    assert_eq!(start.elapsed(), ms(1));
}

#[coreloop::test]
async fn a_resumed_clock_continues_from_where_it_was_paused() {
    pause();
    let start = Instant::now();
    let hour = Duration::from_secs(3600);
    sleep(hour).await;
    assert_eq!(start.elapsed(), hour);
    resume();
    let resumed = Instant::now();
    assert!(resumed.duration_since(start) >= hour);
    assert!(resumed.duration_since(start) < 2 * hour);
    wait_until(|| Instant::now() != resumed);
    // Timers follow the resumed clock.
    sleep(Duration::from_micros(300)).await;
    assert!(resumed.elapsed() >= Duration::from_micros(300));
    pause();
    let again = Instant::now();
    assert!(again >= resumed);
    assert_eq!(Instant::now(), again);
    resume();
}

/// Regression: the alarm that was set for the timer went off while the clock was paused,
/// but the loop still counted on it.
#[test]
fn a_timer_outlasts_a_pause() {
    let runtime = Runtime::new().unwrap();
    let _guard = runtime.enter();
    let timer = runtime.spawn(sleep(ms(2)));
    // The turn sets the alarm at its end.
    runtime.turn(Some(Duration::ZERO)).unwrap();
    pause();
    let system = std::time::Instant::now();
    while system.elapsed() < ms(4) {}
    resume();
    runtime.block_on(timer).unwrap();
}

#[coreloop::test]
async fn a_timer_made_due_by_an_advance_fires_after_the_resume() {
    let timer = spawn(sleep(Duration::from_secs(1000)));
    sleep(Duration::from_micros(10)).await;
    pause();
    advance(Duration::from_secs(999)).await;
    assert!(!timer.is_finished());
    advance(Duration::from_secs(1)).await;
    resume();
    timer.await.unwrap();
}

#[coreloop::test(start_paused = true)]
async fn advance_moves_the_clock_by_exactly_its_duration() {
    for duration in [nanos(0), nanos(1), nanos(51_592), ms(1), ms(3_141_592)] {
        let start = Instant::now();
        advance(duration).await;
        assert_eq!(start.elapsed(), duration);
    }
}

#[coreloop::test(start_paused = true)]
async fn advance_wakes_the_due_timers_in_order() {
    let start = Instant::now();
    let order = Rc::new(RefCell::new(Vec::new()));
    let tasks: Vec<_> = [30, 10, 20, 40, 10]
        .into_iter()
        .enumerate()
        .map(|(n, millis)| {
            let order = Rc::clone(&order);
            spawn(async move {
                sleep(ms(millis)).await;
                // The clock has already made its whole jump.
                order.borrow_mut().push((millis, n, start.elapsed()));
            })
        })
        .collect();
    coreloop::task::yield_now().await;
    advance(ms(9)).await;
    assert!(order.borrow().is_empty());
    advance(ms(26)).await;
    let at = ms(35);
    assert_eq!(
        *order.borrow(),
        [(10, 1, at), (10, 4, at), (20, 2, at), (30, 0, at)]
    );
    assert!(!tasks[3].is_finished());
    advance(ms(5)).await;
    assert!(tasks[3].is_finished());
}

#[coreloop::test(start_paused = true)]
async fn advance_does_not_wait_for_timers_that_are_set_after_the_jump() {
    let task = spawn(async {
        for _ in 0..3 {
            sleep(ms(10)).await;
        }
    });
    coreloop::task::yield_now().await;
    advance(ms(1000)).await;
    assert!(!task.is_finished(), "the second sleep began after the jump");
    let start = Instant::now();
    task.await.unwrap();
    assert_eq!(start.elapsed(), ms(20));
}

/// The steps are smaller than tokio's granularity.
#[coreloop::test(start_paused = true)]
async fn a_timer_is_ready_after_the_last_of_several_advances() {
    let mut timer = sleep(ms(1));
    let poll = |timer: &mut coreloop::time::Sleep| {
        let context = &mut Context::from_waker(Waker::noop());
        std::pin::Pin::new(timer).poll(context)
    };
    assert_eq!(poll(&mut timer), Poll::Pending);
    for _ in 0..3 {
        advance(Duration::from_micros(250)).await;
        assert_eq!(poll(&mut timer), Poll::Pending);
        assert!(!timer.is_elapsed());
    }
    advance(Duration::from_micros(250)).await;
    assert!(timer.is_elapsed());
    assert_eq!(poll(&mut timer), Poll::Ready(()));
}

#[coreloop::test(start_paused = true)]
async fn an_advance_does_nothing_before_it_is_polled() {
    let start = Instant::now();
    drop(advance(ms(10)));
    assert_eq!(Instant::now(), start);
}

#[test]
fn a_turn_does_not_jump_past_its_limit() {
    let runtime = paused();
    let _guard = runtime.enter();
    let start = Instant::now();
    let task = runtime.spawn(sleep(ms(100)));
    runtime.turn(Some(Duration::ZERO)).unwrap();
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(
        Instant::now(),
        start,
        "a turn that may not wait does not jump"
    );
    assert_eq!(runtime.next_timer(), Some(start + ms(100)));
    runtime.turn(Some(ms(30))).unwrap();
    assert_eq!(start.elapsed(), ms(30));
    runtime.turn(Some(ms(30))).unwrap();
    assert_eq!(start.elapsed(), ms(60));
    assert!(!task.is_finished());
    runtime.turn(Some(ms(50))).unwrap();
    assert_eq!(
        start.elapsed(),
        ms(100),
        "the clock moves no further than the timer"
    );
    assert!(task.is_finished());
    assert_eq!(runtime.next_timer(), None);
}

#[test]
fn a_turn_without_a_limit_jumps_to_the_next_timer() {
    let runtime = paused();
    let _guard = runtime.enter();
    let start = Instant::now();
    let far = runtime.spawn(sleep(Duration::from_secs(1 << 30)));
    let near = runtime.spawn(sleep(Duration::from_secs(7)));
    runtime.turn(None).unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(7));
    assert!(near.is_finished() && !far.is_finished());
}

#[test]
fn every_runtime_has_its_own_clock() {
    let (paused, other) = (paused(), Runtime::new().unwrap());
    let day = Duration::from_secs(86_400);
    let start = paused.block_on(async { Instant::now() });
    paused.block_on(async { sleep(day).await });
    other.block_on(async { assert!(Instant::now() < start + day) });
    assert_eq!(paused.block_on(async { Instant::now() }), start + day);
    // Outside of both runtimes, the clock is the system's.
    assert!(Instant::now() < start + day);
    let _guard = paused.enter();
    assert_eq!(Instant::now(), start + day);
}

#[coreloop::test(start_paused = true)]
async fn a_timeout_of_hours_takes_no_time() {
    let start = Instant::now();
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, pending::<()>()).await.is_err());
    assert_eq!(start.elapsed(), hour);
}

#[test]
fn a_paused_clock_may_be_advanced_from_outside_the_loop() {
    let runtime = paused();
    let _guard = runtime.enter();
    let task = runtime.spawn(sleep(ms(10)));
    runtime.turn(Some(Duration::ZERO)).unwrap();
    // Advances as another executor would: only the next turn wakes the task.
    let mut moving = std::pin::pin!(advance(ms(10)));
    let context = &mut Context::from_waker(Waker::noop());
    assert!(moving.as_mut().poll(context).is_pending());
    assert!(!task.is_finished());
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert!(task.is_finished());
}

#[coreloop::test(start_paused = true)]
#[should_panic(expected = "the clock is paused already")]
async fn pausing_twice_panics() {
    pause();
}

#[coreloop::test]
#[should_panic(expected = "the clock is not paused")]
async fn resuming_a_running_clock_panics() {
    resume();
}

#[coreloop::test]
#[should_panic(expected = "the clock is not paused")]
async fn advancing_a_running_clock_panics() {
    advance(ms(1)).await;
}

#[coreloop::test(start_paused = true)]
#[should_panic(expected = "the clock cannot be advanced by")]
async fn advancing_for_ever_panics() {
    advance(Duration::MAX).await;
}

#[test]
#[should_panic(expected = "pause called outside a coreloop runtime")]
fn pausing_outside_a_runtime_panics() {
    pause();
}

#[test]
#[should_panic(expected = "resume called outside a coreloop runtime")]
fn resuming_outside_a_runtime_panics() {
    resume();
}
