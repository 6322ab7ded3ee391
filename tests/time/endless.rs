//! Durations that reach past the end of time.

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
