//! Durations that reach past the end of the clock.

use std::future::pending;
use std::pin::Pin;
use std::task::Waker;
use std::time::Duration;

use coreloop::spawn;
use coreloop::time::{Instant, interval, sleep, sleep_until, timeout};

use crate::poll;
use coreloop_test_support::clock::paused;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn years(years: u64) -> Duration {
    Duration::from_secs(86_400 * 365 * years)
}

/// Durations that are longer than the clock can represent.
fn endless() -> [Duration; 4] {
    [
        Duration::MAX,
        Duration::MAX - ms(1),
        Duration::from_secs(u64::MAX),
        years(600),
    ]
}

#[coreloop::test(start_paused = true)]
async fn a_limit_without_end_never_passes() {
    let start = Instant::now();
    for duration in endless() {
        let limited = spawn(timeout(duration, pending::<()>()));
        let until = start.checked_add(duration).map(sleep_until).map(spawn);
        let reset = start.checked_add(duration).map(|far| {
            let mut reset = sleep(ms(10));
            Pin::new(&mut reset).reset(far);
            assert!(reset.deadline() > start + years(500));
            assert!(!reset.is_elapsed());
            spawn(reset)
        });
        sleep(years(100)).await;
        assert!(!limited.is_finished());
        assert!(until.is_none_or(|until| !until.is_finished()));
        assert!(reset.is_none_or(|reset| !reset.is_finished()));
    }
    assert_eq!(start.elapsed(), years(400));
    // Nearer limits and timers work beside endless ones.
    assert_eq!(timeout(Duration::MAX, async { 5 }).await, Ok(5));
    let slow = timeout(Duration::MAX, sleep(years(1)));
    assert!(slow.await.is_ok());
    // An endless timer can be reset to a near deadline.
    let mut timer = sleep(Duration::MAX);
    assert!(poll(&mut timer, Waker::noop()).is_pending());
    Pin::new(&mut timer).reset(Instant::now() + ms(1));
    timer.await;
    assert_eq!(start.elapsed(), years(401) + ms(1));
}

/// As in tokio, so that a test with a paused clock continues.
#[coreloop::test(start_paused = true)]
async fn a_sleep_without_end_takes_thirty_years() {
    for duration in endless() {
        let start = Instant::now();
        let timer = sleep(duration);
        assert_eq!(timer.deadline(), start + years(30));
        timer.await;
        assert_eq!(start.elapsed(), years(30));
        let mut ticks = interval(duration);
        assert_eq!(ticks.period(), duration);
        ticks.tick().await;
        ticks.tick().await;
        assert_eq!(start.elapsed(), years(60));
        if duration == years(600) {
            // A duration that the clock can represent is not cut short.
            sleep(years(31)).await;
            assert_eq!(start.elapsed(), years(91));
        }
    }
}

#[coreloop::test(start_paused = true)]
async fn an_interval_without_end_is_reset_to_thirty_years() {
    let start = Instant::now();
    let mut ticks = interval(Duration::MAX);
    ticks.tick().await;
    sleep(years(1)).await;
    ticks.reset();
    ticks.tick().await;
    assert_eq!(start.elapsed(), years(31));
    ticks.reset_after(Duration::MAX);
    ticks.tick().await;
    assert_eq!(start.elapsed(), years(61));
}

/// At the end of its range the paused clock does not jump any further.
#[test]
fn the_clock_stops_at_the_end_of_its_range() {
    let runtime = paused();
    runtime.block_on(async {
        for _ in 0..18 {
            sleep(Duration::MAX).await;
        }
    });
    let beyond = runtime.spawn(async { sleep(Duration::MAX).await });
    while runtime.turn(Some(Duration::ZERO)).unwrap() {}
    runtime.turn(Some(ms(1))).unwrap();
    assert!(!beyond.is_finished());
    // Nearer deadlines are still reached.
    runtime.block_on(async { sleep(ms(1)).await });
}

#[test]
fn a_limit_without_end_sets_no_timer() {
    let runtime = paused();
    let endless = runtime.spawn(async { timeout(Duration::MAX, pending::<()>()).await });
    runtime.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(runtime.next_timer(), None);
    // The clock has no timer to jump to.
    let before = runtime.block_on(async { Instant::now() });
    runtime.turn(Some(Duration::ZERO)).unwrap();
    runtime.turn(Some(ms(1))).unwrap();
    assert_eq!(runtime.block_on(async { Instant::now() }), before);
    assert!(!endless.is_finished());
}

#[test]
fn an_endless_sleep_neither_overflows_nor_fires() {
    paused().block_on(async {
        let endless = [
            Duration::MAX,
            Duration::from_secs(u64::MAX),
            Duration::from_secs(i64::MAX.unsigned_abs()),
            Duration::from_secs(86_400 * 365 * 1000),
        ];
        let handles: Vec<_> = endless
            .into_iter()
            .map(|duration| spawn(async move { sleep(duration).await }))
            .collect();
        let limited = timeout(Duration::MAX, async { "in time" }).await;
        assert_eq!(limited.unwrap(), "in time");
        sleep(Duration::from_secs(86_400 * 365)).await;
        assert!(handles.iter().all(|handle| !handle.is_finished()));
    });
}
