//! Deadlines that turn a hang into a failure. They are so generous that no test passes or
//! fails because of the time that an operation takes.

use std::panic::{Location, resume_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{process, thread};

use coreloop::task::yield_now;

use crate::program::PATIENCE;

/// The limit is longer under Miri, which is much slower.
const LIMIT: Duration = PATIENCE.saturating_mul(if cfg!(miri) { 20 } else { 1 });

/// Runs a test on its own thread, and panics if it has not finished in time. The thread is
/// left behind then, so a loop that waits for ever fails its own test and does not block
/// others.
///
/// # Panics
///
/// Panics if the test does.
#[track_caller]
pub fn in_time<R: Send + 'static>(test: impl FnOnce() -> R + Send + 'static) -> R {
    let (over, end) = mpsc::channel::<()>();
    let named = match thread::current().name() {
        // A panic is reported under the name of the test.
        Some(name) => thread::Builder::new().name(name.to_owned()),
        None => thread::Builder::new(),
    };
    let running = named.spawn(move || {
        // Dropped at the end, even by a panic.
        let _over = over;
        test()
    });
    let running = running.expect("a thread for the test");
    let is_over = end.recv_timeout(LIMIT) != Err(RecvTimeoutError::Timeout);
    assert!(is_over, "the test hangs");
    running.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Ends this program if it hangs. For programs without a harness, which have to run their
/// tests on the main thread.
pub fn end_if_it_hangs() {
    thread::spawn(|| {
        thread::sleep(LIMIT);
        eprintln!("the test hangs");
        process::exit(1);
    });
}

/// The deadline of a loop that checks a condition repeatedly.
#[derive(Clone, Copy)]
pub struct Deadline {
    start: Instant,
}

impl Deadline {
    /// Creates a deadline that starts now.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Panics if the deadline has passed.
    #[track_caller]
    pub fn check(self) {
        self.check_for(Location::caller());
    }

    fn check_for(self, caller: &Location<'_>) {
        let in_time = self.start.elapsed() < LIMIT;
        assert!(in_time, "what is waited for at {caller} does not happen");
    }
}

/// Checks repeatedly until the condition holds. For conditions without an event, such as what
/// `/proc` shows, or whether a process was reaped.
#[track_caller]
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    wait_for(|| condition().then_some(()));
}

/// Like [`wait_until`], but waits for a value.
#[track_caller]
pub fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Deadline::new();
    // Mostly the condition holds at once or very soon. Later, a thread that checks all the
    // time would take the processor from the code that it waits for.
    let mut looks = 0_u32;
    loop {
        if let Some(found) = look() {
            return found;
        }
        deadline.check();
        looks += 1;
        if looks < 100 {
            thread::yield_now();
        } else {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Lets the other tasks of this loop run until the condition holds. The loop does not
/// sleep meanwhile, so this is not for tests of what wakes it.
#[track_caller]
pub fn yield_until(mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let (deadline, caller) = (Deadline::new(), Location::caller());
    async move {
        while !condition() {
            deadline.check_for(caller);
            yield_now().await;
        }
    }
}
