//! `timeout` and `timeout_at`.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use coreloop::block_on;
use coreloop::task::{consume_budget, coop, yield_now};
use coreloop::time::{Instant, sleep, timeout, timeout_at};
use coreloop_test_support::clock::paused;
use coreloop_test_support::deadline::in_time;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[coreloop::test(start_paused = true)]
async fn a_timeout_polls_its_future_first() {
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

/// A future that spends the whole budget in every poll, and a timeout that is polled when
/// no budget is left.
#[test]
#[cfg_attr(miri, ignore = "thousands of units of budget, in safe code")]
fn a_timeout_ends_a_future_that_spends_the_budget() {
    in_time(|| {
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
            // Ready timers spend the budget, too.
            let sleeper = async {
                loop {
                    sleep(Duration::ZERO).await;
                }
            };
            assert!(timeout(limit, sleeper).await.is_err());
        });
    });
}

#[test]
fn a_timeout_returns_the_output_or_elapses() {
    paused().block_on(async {
        let second = Duration::from_secs(1);
        assert_eq!(timeout(second, async { 1 }).await.unwrap(), 1);
        assert_eq!(timeout(Duration::ZERO, async { 2 }).await.unwrap(), 2);
        let elapsed = timeout(second, pending::<()>()).await.unwrap_err();
        assert_eq!(elapsed.to_string(), "deadline has elapsed");
        assert_eq!(
            std::io::Error::from(elapsed).kind(),
            std::io::ErrorKind::TimedOut
        );
        let soon = Instant::now() + second;
        assert!(timeout_at(soon, sleep(2 * second)).await.is_err());
        assert!(Instant::now() >= soon);
        assert!(timeout(2 * second, sleep(second)).await.is_ok());
        // If both are due at once, the future is ready, because it is polled first.
        assert!(timeout(second, sleep(second)).await.is_ok());
    });
}

#[test]
fn a_timeout_drops_its_future_with_itself() {
    paused().block_on(async {
        let held = Rc::new(());
        let inner = Rc::clone(&held);
        let limited = timeout(Duration::from_secs(1), async move {
            let _held = inner;
            pending::<()>().await;
        });
        assert!(limited.await.is_err());
        assert_eq!(Rc::strong_count(&held), 1);
    });
}
