//! What a loop does that slept for a far timer: it relies on its alarm, and must
//! not overlook what is due before that.

use std::pin::pin;
use std::time::Duration;

use coreloop::task::spawn_blocking;
use coreloop::time::{self, Instant, sleep, sleep_until, timeout};
use coreloop::{block_on, spawn};

const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_micros(700);

/// Has the loop sleep, with its alarm set, until another thread wakes it. That one
/// may be faster, but not every time.
async fn slept() {
    let rounds = if cfg!(miri) { 1 } else { 20 };
    for _ in 0..rounds {
        spawn_blocking(|| ()).await.expect("what does nothing ends");
    }
}

#[test]
fn a_nearer_timer_is_heeded() {
    block_on(async {
        let far = spawn(sleep(HOUR));
        for _ in 0..3 {
            slept().await;
            let deadline = Instant::now() + SOON;
            sleep_until(deadline).await;
            assert!(Instant::now() >= deadline);
        }
        far.abort();
    });
}

#[test]
fn a_timer_that_is_moved_nearer_is_heeded() {
    block_on(async {
        let mut moved = pin!(sleep(HOUR));
        timeout(Duration::ZERO, moved.as_mut()).await.unwrap_err();
        slept().await;
        moved.as_mut().reset(Instant::now() + SOON);
        moved.await;
    });
}

#[test]
fn a_timer_that_is_due_when_it_is_set_is_heeded() {
    block_on(async {
        let far = spawn(sleep(HOUR));
        slept().await;
        // The loop may not have looked at the clock since.
        let past = Instant::from_std(std::time::Instant::now());
        sleep_until(past).await;
        far.abort();
    });
}

#[test]
fn timers_on_either_side_of_the_alarm_fire() {
    block_on(async {
        let start = Instant::now();
        let mut timers = Vec::new();
        // Each nearer, or farther, than what the alarm is set for by then.
        for millis in [12, 4, 16, 8, 20, 6, 10, 14, 18] {
            timers.push(spawn(async move {
                let deadline = start + Duration::from_millis(millis);
                sleep_until(deadline).await;
                assert!(Instant::now() >= deadline);
            }));
            slept().await;
        }
        for timer in timers {
            timer.await.unwrap();
        }
    });
}

#[test]
fn the_clock_is_stopped_while_the_alarm_is_set() {
    block_on(async {
        let far = spawn(sleep(HOUR));
        slept().await;
        time::pause();
        // It is on its hour, and nothing else is set that would have the loop look.
        far.await.unwrap();
        time::resume();
        slept().await;
        sleep(SOON).await;
    });
}

// Elsewhere the descriptor does not tell of timers.
#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
#[test]
fn an_alarm_that_goes_off_between_turns_is_heeded() {
    use coreloop::Runtime;
    use coreloop_test_support::program::PATIENCE;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let runtime = Runtime::new().unwrap();
    let timer = runtime.spawn(async { sleep(SOON).await });
    // Sets the alarm on its way out.
    runtime.turn(Some(Duration::ZERO)).unwrap();
    while !timer.is_finished() {
        let mut descriptors = [PollFd::new(&runtime, PollFlags::IN)];
        let patience = Timespec::try_from(PATIENCE).unwrap();
        let readable = poll(&mut descriptors, Some(&patience)).unwrap();
        assert_eq!(readable, 1, "the alarm does not show");
        runtime.turn(Some(Duration::ZERO)).unwrap();
    }
}
