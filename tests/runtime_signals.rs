//! In a process of its own, without a harness, because signals go to the main thread,
//! where the loop must run. Sends a storm of signals while the loop waits.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use coreloop::Runtime;
use coreloop::time::{Instant, sleep};
use coreloop_test_support::alone::test;
use coreloop_test_support::deadline::end_if_it_hangs;
use rustix::process::{Signal, getpid, kill_process};

const SIGNALS: usize = 2_000;

fn main() {
    // Miri delivers no signals.
    if !cfg!(miri) {
        test("no_wait_is_lost_in_a_storm_of_signals", || {
            wait_in_a_storm().expect("signals that interrupt a wait cause no error");
        });
    }
}

fn wait_in_a_storm() -> io::Result<()> {
    end_if_it_hangs();
    let seen = Arc::new(AtomicUsize::new(0));
    signal_hook::flag::register_usize(signal_hook::consts::SIGUSR1, Arc::clone(&seen), 1)?;
    let runtime = Runtime::new()?;

    // The root waits for the storm to end, in waits that signals cut short.
    let over = Arc::new(AtomicBool::new(false));
    let mut storm = None;
    runtime.block_on(poll_fn(|context| {
        if over.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let (waker, over) = (context.waker().clone(), Arc::clone(&over));
        storm.get_or_insert_with(|| {
            thread::spawn(move || {
                for _ in 0..SIGNALS {
                    kill_process(getpid(), Signal::USR1).expect("a process may signal itself");
                    thread::yield_now();
                }
                over.store(true, Ordering::Release);
                waker.wake();
            })
        });
        Poll::Pending
    }));
    if let Some(storm) = storm {
        storm.join().expect("the storm does not panic");
    }
    assert_eq!(seen.load(Ordering::Relaxed), 1, "the handler ran");

    // A turn that a signal cuts short returns no error, and the timer fires in a later
    // turn.
    let over = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(0));
    let storm = thread::spawn({
        let (over, sent) = (Arc::clone(&over), Arc::clone(&sent));
        move || {
            while !over.load(Ordering::Relaxed) {
                kill_process(getpid(), Signal::USR1).expect("a process may signal itself");
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    while sent.load(Ordering::Relaxed) < SIGNALS {
        let start = Instant::now();
        let timer = runtime.spawn(async { sleep(Duration::from_millis(2)).await });
        while !timer.is_finished() {
            runtime.turn(None)?;
        }
        assert!(start.elapsed() >= Duration::from_millis(2));
    }
    over.store(true, Ordering::Relaxed);
    storm.join().expect("the storm does not panic");
    Ok(())
}
