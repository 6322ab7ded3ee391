//! `Interval`: when it ticks, what happens to missed ticks, and how it is reset. Exact to
//! the nanosecond, with a paused clock.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::task::yield_now;
use coreloop::time::{
    Instant, Interval, MissedTickBehavior, advance, interval, interval_at, sleep, timeout,
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A way to reset an interval.
type Reset = fn(&mut Interval);

/// Asserts that exactly these ticks are ready, in milliseconds since `start`.
#[track_caller]
fn assert_ticks(interval: &mut Interval, start: Instant, ticks: &[u64]) {
    let context = &mut Context::from_waker(Waker::noop());
    for &tick in ticks {
        assert_eq!(interval.poll_tick(context), Poll::Ready(start + ms(tick)));
    }
    assert_eq!(interval.poll_tick(context), Poll::Pending);
}

/// Creates an interval of 300 ms whose tick at 600 ms is polled at 950 ms.
async fn late(behavior: MissedTickBehavior) -> (Interval, Instant) {
    let start = Instant::now();
    let mut interval = interval_at(start, ms(300));
    interval.set_missed_tick_behavior(behavior);
    assert_eq!(interval.missed_tick_behavior(), behavior);
    assert_ticks(&mut interval, start, &[0]);
    advance(ms(100)).await;
    assert_ticks(&mut interval, start, &[]);
    advance(ms(200)).await;
    assert_ticks(&mut interval, start, &[300]);
    advance(ms(650)).await;
    (interval, start)
}

#[coreloop::test(start_paused = true)]
async fn the_first_tick_comes_at_once_and_the_others_after_a_period() {
    let start = Instant::now();
    let mut interval = interval(ms(10));
    assert_eq!(interval.period(), ms(10));
    assert_eq!(interval.missed_tick_behavior(), MissedTickBehavior::Burst);
    for tick in 0..20 {
        assert_eq!(interval.tick().await, start + tick * ms(10));
        assert_eq!(Instant::now(), start + tick * ms(10));
        // Work between two ticks does not delay the next one.
        sleep(ms(7)).await;
    }
}

#[coreloop::test(start_paused = true)]
async fn ticks_count_from_the_call() {
    let start = Instant::now();
    let mut interval = interval(ms(100));
    sleep(ms(3)).await;
    assert_eq!(interval.tick().await, start);
    assert_eq!(interval.tick().await, start + ms(100));
}

#[coreloop::test(start_paused = true)]
async fn an_interval_starts_at_the_given_instant() {
    let start = Instant::now() + ms(50);
    let mut later = interval_at(start, ms(20));
    assert_eq!(later.tick().await, start);
    assert_eq!(Instant::now(), start);
    assert_eq!(later.tick().await, start + ms(20));
    // A start in the past counts as a tick.
    let past = Instant::now() - ms(30);
    let mut earlier = interval_at(past, ms(20));
    assert_ticks(&mut earlier, past, &[0, 20]);
}

#[coreloop::test(start_paused = true)]
async fn burst_catches_up() {
    let (mut interval, start) = late(MissedTickBehavior::Burst).await;
    assert_ticks(&mut interval, start, &[600, 900]);
    advance(ms(249)).await;
    assert_ticks(&mut interval, start, &[]);
    advance(ms(1)).await;
    assert_ticks(&mut interval, start, &[1200]);
    advance(ms(1000)).await;
    assert_ticks(&mut interval, start, &[1500, 1800, 2100]);
}

#[coreloop::test(start_paused = true)]
async fn delay_counts_from_the_late_tick() {
    let (mut interval, start) = late(MissedTickBehavior::Delay).await;
    assert_ticks(&mut interval, start, &[600]);
    advance(ms(299)).await;
    assert_ticks(&mut interval, start, &[]);
    advance(ms(1)).await;
    assert_ticks(&mut interval, start, &[1250]);
    advance(ms(300)).await;
    assert_ticks(&mut interval, start, &[1550]);
}

#[coreloop::test(start_paused = true)]
async fn skip_continues_at_the_next_multiple() {
    let (mut interval, start) = late(MissedTickBehavior::Skip).await;
    assert_ticks(&mut interval, start, &[600]);
    advance(ms(249)).await;
    assert_ticks(&mut interval, start, &[]);
    advance(ms(1)).await;
    assert_ticks(&mut interval, start, &[1200]);
    // The tick is polled exactly when a later one is due, which is skipped as well.
    advance(ms(900)).await;
    assert_ticks(&mut interval, start, &[1500]);
    advance(ms(300)).await;
    assert_ticks(&mut interval, start, &[2400]);
}

/// As in tokio.
#[coreloop::test(start_paused = true)]
async fn a_tick_that_is_late_by_five_milliseconds_is_not_missed() {
    for behavior in [
        MissedTickBehavior::Burst,
        MissedTickBehavior::Delay,
        MissedTickBehavior::Skip,
    ] {
        let start = Instant::now();
        let mut interval = interval_at(start, ms(100));
        interval.set_missed_tick_behavior(behavior);
        advance(ms(5)).await;
        assert_ticks(&mut interval, start, &[0]);
        advance(ms(95)).await;
        assert_ticks(&mut interval, start, &[100]);
    }
    let start = Instant::now();
    let mut interval = interval_at(start, ms(100));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    advance(ms(5) + Duration::from_nanos(1)).await;
    assert_ticks(&mut interval, start, &[0]);
    advance(ms(100) - Duration::from_nanos(1)).await;
    assert_ticks(&mut interval, start, &[]);
    advance(Duration::from_nanos(1)).await;
    let context = &mut Context::from_waker(Waker::noop());
    let late = start + ms(105) + Duration::from_nanos(1);
    assert_eq!(interval.poll_tick(context), Poll::Ready(late));
}

#[coreloop::test(start_paused = true)]
async fn a_reset_determines_the_next_tick() {
    let period = ms(300);
    // Each reset, which happens at 400 ms, and how many milliseconds later the next tick
    // is due.
    let resets: [(Reset, u64); 6] = [
        (|interval| interval.reset(), 300),
        (|interval| interval.reset_immediately(), 0),
        (|interval| interval.reset_after(ms(20)), 20),
        (|interval| interval.reset_after(ms(1000)), 1000),
        (|interval| interval.reset_at(Instant::now() + ms(40)), 40),
        (|interval| interval.reset_at(Instant::now() + ms(900)), 900),
    ];
    for (reset, wait) in resets {
        let start = Instant::now();
        let mut interval = interval_at(start, period);
        assert_ticks(&mut interval, start, &[0]);
        advance(period).await;
        assert_ticks(&mut interval, start, &[300]);
        advance(ms(100)).await;
        assert_ticks(&mut interval, start, &[]);
        reset(&mut interval);
        assert_eq!(interval.tick().await, start + ms(400 + wait));
        assert_eq!(Instant::now(), start + ms(400 + wait));
        assert_eq!(interval.tick().await, start + ms(700 + wait));
    }
}

#[coreloop::test(start_paused = true)]
async fn a_reset_discards_missed_ticks() {
    let start = Instant::now();
    let mut interval = interval(ms(10));
    sleep(ms(100)).await;
    interval.reset();
    assert_ticks(&mut interval, start, &[]);
    advance(ms(10)).await;
    assert_ticks(&mut interval, start, &[110]);
    // After a reset into the past, the ticks since then are due.
    interval.reset_at(start + ms(85));
    assert_ticks(&mut interval, start, &[85, 95, 105]);
}

/// A task whose poll returned pending is woken at the new time.
#[coreloop::test(start_paused = true)]
async fn a_reset_wakes_the_waiting_task_at_the_new_time() {
    let start = Instant::now();
    let mut ticker = interval_at(start + ms(1000), ms(1000));
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        if polls == 1 {
            assert!(ticker.poll_tick(context).is_pending());
            ticker.reset_after(ms(10));
            return Poll::Pending;
        }
        ticker.poll_tick(context).map(drop)
    })
    .await;
    assert_eq!((start.elapsed(), polls), (ms(10), 2));
}

/// A poll that returned a tick does not register the task for the next tick.
#[coreloop::test(start_paused = true)]
async fn a_ready_tick_causes_no_later_wake() {
    let start = Instant::now();
    let mut ticker = interval(ms(10));
    let mut ready = 0;
    let stalled = timeout(
        ms(100),
        poll_fn(|context| {
            ready += 1;
            assert!(ticker.poll_tick(context).is_ready());
            Poll::<()>::Pending
        }),
    );
    assert!(stalled.await.is_err());
    assert_eq!(start.elapsed(), ms(100));
    assert_eq!(ready, 2, "polled at the start, and when the timeout fired");
}

#[coreloop::test(start_paused = true)]
async fn a_tick_that_is_dropped_is_not_lost() {
    let start = Instant::now();
    let mut interval = interval(ms(10));
    interval.tick().await;
    assert!(timeout(ms(3), interval.tick()).await.is_err());
    assert_eq!(interval.tick().await, start + ms(10));
}

#[coreloop::test(start_paused = true)]
async fn an_endless_period_is_thirty_years() {
    let start = Instant::now();
    let mut interval = interval(Duration::MAX);
    assert_eq!(interval.period(), Duration::MAX);
    assert_eq!(interval.tick().await, start);
    let decades = Duration::from_secs(86_400 * 365 * 29);
    assert!(timeout(decades, interval.tick()).await.is_err());
    assert_eq!(start.elapsed(), decades);
    interval.reset();
    interval.reset_after(Duration::MAX);
    assert!(timeout(decades, interval.tick()).await.is_err());
    interval.reset_after(ms(1));
    interval.tick().await;
    assert_eq!(start.elapsed(), 2 * decades + ms(1));
    for behavior in [MissedTickBehavior::Delay, MissedTickBehavior::Skip] {
        interval.set_missed_tick_behavior(behavior);
        interval.reset_immediately();
        sleep(ms(10)).await;
        interval.tick().await;
        assert!(timeout(decades, interval.tick()).await.is_err());
    }
}

#[coreloop::test(start_paused = true)]
async fn a_period_may_be_a_nanosecond() {
    let start = Instant::now();
    let mut interval = interval(Duration::from_nanos(1));
    let ticks = if cfg!(miri) { 20 } else { 1000 };
    for _ in 0..ticks {
        interval.tick().await;
    }
    assert_eq!(start.elapsed(), Duration::from_nanos(ticks - 1));
}

/// Because ticks spend the budget, an interval that is always behind does not starve
/// other tasks.
#[coreloop::test(start_paused = true)]
async fn an_interval_that_catches_up_lets_others_run() {
    let mut interval = interval(Duration::from_nanos(10));
    advance(ms(1)).await;
    let other = coreloop::spawn(yield_now());
    let mut ticks = 0;
    while !other.is_finished() {
        interval.tick().await;
        ticks += 1;
        assert!(ticks < 1000, "the other task never runs");
    }
}

#[coreloop::test]
#[should_panic(expected = "the period of an interval must not be zero")]
async fn a_period_of_zero_panics() {
    drop(interval(Duration::ZERO));
}

#[coreloop::test]
#[should_panic(expected = "the period of an interval must not be zero")]
async fn a_period_of_zero_with_a_start_panics() {
    drop(interval_at(Instant::now(), Duration::ZERO));
}

#[test]
#[should_panic(expected = "called outside a coreloop runtime")]
fn an_interval_outside_a_runtime_panics() {
    drop(interval(ms(1)));
}
