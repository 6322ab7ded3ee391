//! [`cleanups`]: waiting for the lane.

use std::future::poll_fn;
use std::task::{Poll, ready};

use crate::context;
use crate::task::coop;

/// Waits until the cleanups of all guards that this task has dropped so far are
/// over.
///
/// Needed where something is opened again that a guard has closed; a
/// [`bracket`](super::bracket) does it by itself. Inside a cleanup it does not
/// wait, as what was dropped there runs after it.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost.
///
/// # Examples
///
/// ```
/// use coreloop_runtime::cleanup::{cleanups, defer};
///
/// # coreloop_runtime::block_on(async {
/// drop(defer(async { println!("first") }));
/// cleanups().await;
/// println!("second");
/// # })
/// ```
pub async fn cleanups() {
    // Of the lane of the task that polled it first; it may move to another.
    let mut begun = None;
    poll_fn(|context| {
        ready!(coop::poll_proceed(context));
        let (upkeep, mark) = match &begun {
            Some(begun) => begun,
            None => {
                let upkeep = context::with_running(|event_loop| event_loop.tasks.current_upkeep());
                let Some(upkeep) = upkeep.flatten() else {
                    return Poll::Ready(());
                };
                let mark = upkeep.lane.mark();
                begun.insert((upkeep, mark))
            }
        };
        upkeep.lane.poll_mark(*mark, context)
    })
    .await;
}
