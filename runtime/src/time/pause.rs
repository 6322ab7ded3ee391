//! Stopping the clock, and moving it.

use std::rc::Rc;
use std::time::Duration;

use crate::engine::core::context;
use crate::engine::core::event_loop::EventLoop;
use crate::task::yield_now;

/// Stops the clock of the runtime.
///
/// From then on [`Instant::now`](super::Instant::now) shows the same time, until
/// [`advance`] moves the clock, or it moves itself: when no task is ready and
/// nothing came from the kernel or another thread, it jumps to the next timer.
/// The clock of the standard library goes on.
///
/// A clock that is to stand still from the start is made by
/// [`Builder::start_paused`](crate::runtime::Builder::start_paused), or
/// `#[coreloop::test(start_paused = true)]`.
///
/// # Panics
///
/// If the clock is paused already, and outside a runtime.
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

/// Sets a paused clock going again, from the time that it shows.
///
/// # Panics
///
/// If the clock is not paused, and outside a runtime.
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

/// Moves a paused clock on by `duration`, at one jump.
///
/// The timers that are due by then fire at once, in the order of their
/// deadlines, and the tasks that wait for them run once before this is over.
/// They all see the time after the jump. So timers that such a task sets count
/// from there: where a test wants each to fire at its own time, it awaits
/// [`sleep`](super::sleep) instead, for which the clock moves from timer to timer.
///
/// # Cancel safety
///
/// Not cancel safe: the clock has moved from the first poll on, even if the rest
/// is dropped.
///
/// # Panics
///
/// If the clock is not paused, if it does not reach so far, and outside a
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
