//! [`yield_now`]: letting other tasks run.

use std::future::poll_fn;
use std::task::{Poll, ready};

use crate::engine::task::budget::{poll_thawed, wake_after_poll};

/// Lets every task that is ready now run before this one continues.
///
/// The task goes to the tail of the ready queue. The loop still polls sockets and
/// timers whenever its time slice ends, however many tasks yield.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost.
///
/// # Examples
///
/// ```
/// # coreloop::block_on(async {
/// let other = coreloop::spawn(async { "ran" });
/// coreloop::task::yield_now().await;
/// assert!(other.is_finished());
/// # })
/// ```
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        ready!(poll_thawed());
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        wake_after_poll(cx);
        Poll::Pending
    })
    .await;
}
