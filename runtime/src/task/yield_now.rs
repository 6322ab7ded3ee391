//! Letting the others run.

use std::future::poll_fn;
use std::task::{Poll, ready};

use crate::engine::task::budget::{poll_thawed, wake_after_poll};

/// Lets every task that is ready now run before this one goes on.
///
/// The task goes to the tail of the ready queue. Sockets and timers are looked
/// at in between as often as the loop's time slice asks for, however many tasks
/// yield.
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
    poll_fn(|context| {
        ready!(poll_thawed());
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        wake_after_poll(context);
        Poll::Pending
    })
    .await;
}
