//! A loop that has parked with its alarm set for a far timer relies on the alarm, and
//! must not overlook timers that are due before it.

use std::pin::pin;
use std::time::Duration;

use coreloop::task::spawn_blocking;
use coreloop::time::{self, Instant, sleep, sleep_until, timeout};
use coreloop::{block_on, spawn};

const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_micros(700);

/// Lets the loop park, with its alarm set, until another thread wakes it. The thread may
/// be faster than the loop, but not in every round.
async fn parked() {
    let rounds = if cfg!(miri) { 1 } else { 20 };
    for _ in 0..rounds {
        spawn_blocking(|| ()).await.expect("the job finishes");
    }
}

#[test]
fn a_nearer_timer_fires_in_time() {
    block_on(async {
        let far = spawn(sleep(HOUR));
        for _ in 0..3 {
            parked().await;
            let deadline = Instant::now() + SOON;
            sleep_until(deadline).await;
            assert!(Instant::now() >= deadline);
        }
        far.abort();
    });
}

#[test]
fn a_timer_that_is_moved_nearer_fires_in_time() {
    block_on(async {
        let mut moved = pin!(sleep(HOUR));
        timeout(Duration::ZERO, moved.as_mut()).await.unwrap_err();
        parked().await;
        moved.as_mut().reset(Instant::now() + SOON);
        moved.await;
    });
}

#[test]
fn a_timer_that_is_due_when_it_is_set_fires_at_once() {
    block_on(async {
        let far = spawn(sleep(HOUR));
        parked().await;
        // The loop may not have read its clock since.
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
        // Each deadline is nearer or farther than the alarm is by then.
        for millis in [12, 4, 16, 8, 20, 6, 10, 14, 18] {
            timers.push(spawn(async move {
                let deadline = start + Duration::from_millis(millis);
                sleep_until(deadline).await;
                assert!(Instant::now() >= deadline);
            }));
            parked().await;
        }
        for timer in timers {
            timer.await.unwrap();
        }
    });
}

#[test]
fn the_clock_may_be_paused_while_the_alarm_is_set() {
    block_on(async {
        let far = spawn(sleep(HOUR));
        parked().await;
        time::pause();
        // The alarm is still an hour away, and no other event would make the loop check
        // its timers.
        far.await.unwrap();
        time::resume();
        parked().await;
        sleep(SOON).await;
    });
}

// On other systems the loop's descriptor does not become readable for timers.
#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
#[test]
fn an_alarm_that_goes_off_between_turns_makes_the_descriptor_readable() {
    use coreloop::Runtime;
    use coreloop_test_support::program::PATIENCE;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let runtime = Runtime::new().unwrap();
    let timer = runtime.spawn(async { sleep(SOON).await });
    // The turn sets the alarm at its end.
    runtime.turn(Some(Duration::ZERO)).unwrap();
    while !timer.is_finished() {
        let mut descriptors = [PollFd::new(&runtime, PollFlags::IN)];
        let patience = Timespec::try_from(PATIENCE).unwrap();
        let readable = poll(&mut descriptors, Some(&patience)).unwrap();
        assert_eq!(
            readable, 1,
            "the descriptor is not readable after the alarm"
        );
        runtime.turn(Some(Duration::ZERO)).unwrap();
    }
}
