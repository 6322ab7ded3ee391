//! `Sleep::reset`: moving the deadline.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Poll, Waker};
use std::time::Duration;

use coreloop::time::{Instant, advance, sleep, timeout};

use crate::poll;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[coreloop::test(start_paused = true)]
async fn a_reset_moves_the_deadline_later_or_earlier() {
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
async fn a_reset_of_a_waiting_timer_wakes_its_task_at_the_new_time() {
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
async fn a_reset_restarts_an_elapsed_timer() {
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
    // The timer has fired, but has not been polled since.
    timer.as_mut().reset(Instant::now() + ms(1));
    assert!(poll(&mut timer, Waker::noop()).is_pending());
    advance(ms(2)).await;
    let again = Instant::now() + ms(5);
    timer.as_mut().reset(again);
    timer.await;
    assert_eq!(Instant::now(), again);
}

#[coreloop::test(start_paused = true)]
async fn a_sleep_reset_into_the_past_has_elapsed_at_once() {
    advance(ms(100)).await;
    let mut timer = sleep(ms(10));
    assert!(poll(&mut timer, Waker::noop()).is_pending());
    let past = Instant::now() - ms(50);
    Pin::new(&mut timer).reset(past);
    assert_eq!(timer.deadline(), past);
    assert!(timer.is_elapsed());
    assert!(poll(&mut timer, Waker::noop()).is_ready());
}

/// A limit on the time between messages, which each message resets.
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
