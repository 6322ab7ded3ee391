//! Pausing the clock, and moving it.

use std::rc::Rc;
use std::time::Duration;

use crate::engine::core::context;
use crate::engine::core::event_loop::EventLoop;
use crate::task::yield_now;

/// Pauses the clock of the runtime.
///
/// From then on [`Instant::now`](super::Instant::now) returns the same time, until
/// [`advance`] moves the clock, or the clock moves by itself: when no task is ready and
/// nothing has arrived from the kernel or another thread, it jumps to the next timer.
/// The clock of the standard library continues.
///
/// To pause the clock from the start, use
/// [`Builder::start_paused`](crate::runtime::Builder::start_paused) or
/// `#[coreloop::test(start_paused = true)]`.
///
/// # Panics
///
/// Panics if the clock is paused already, or outside a runtime.
///
/// # Examples
///
/// ```
/// use coreloop::time::{self, Instant, sleep};
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// time::pause();
/// let start = Instant::now();
/// sleep(Duration::from_secs(86_400)).await;
/// assert_eq!(start.elapsed(), Duration::from_secs(86_400));
/// # })
/// ```
#[track_caller]
pub fn pause() {
    let event_loop = current("pause");
    assert!(
        event_loop.timers.pause(),
        "the clock is paused already; call `resume` before it is paused again"
    );
}

/// Resumes a paused clock, from the time that it shows.
///
/// # Panics
///
/// Panics if the clock is not paused, or outside a runtime.
///
/// # Examples
///
/// ```
/// use coreloop::time::{self, Instant};
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// time::pause();
/// let paused = Instant::now();
/// assert_eq!(Instant::now(), paused);
/// time::resume();
/// while Instant::now() == paused {}
/// # })
/// ```
#[track_caller]
pub fn resume() {
    let event_loop = current("resume");
    assert!(
        event_loop.resume_clock(),
        "the clock is not paused; `resume` undoes `pause` or `start_paused`"
    );
}

/// Moves a paused clock by `duration`, in one jump.
///
/// The timers that are due by then fire at once, in the order of their deadlines, and
/// the tasks that wait for them run once before this returns. They all see the time
/// after the jump, so timers that such a task sets count from there. If a test needs
/// each timer to fire at its own time, it should await [`sleep`](super::sleep) instead,
/// for which the clock moves from timer to timer.
///
/// # Cancel safety
///
/// Not cancel safe: the clock moves at the first poll, even if the future is dropped
/// then.
///
/// # Panics
///
/// Panics if the clock is not paused, if the result is out of its range, or outside a
/// runtime.
///
/// # Examples
///
/// ```
/// use coreloop::time::{self, sleep};
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// time::pause();
/// let minute = Duration::from_secs(60);
/// let task = coreloop::spawn(sleep(minute));
/// time::advance(minute / 2).await;
/// assert!(!task.is_finished());
/// time::advance(minute / 2).await;
/// assert!(task.is_finished());
/// # })
/// ```
pub async fn advance(duration: Duration) {
    assert!(
        current("advance").advance_clock(duration),
        "the clock is not paused; call `pause`, or start with `start_paused`"
    );
    yield_now().await;
}

#[track_caller]
fn current(what: &str) -> Rc<EventLoop> {
    context::current().unwrap_or_else(|| context::missing(what))
}
