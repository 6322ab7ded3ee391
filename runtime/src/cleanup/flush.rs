//! [`flush`]: waiting for the cleanup queue.

use std::future::poll_fn;
use std::task::{Poll, ready};

use crate::engine::core::context;
use crate::engine::task::budget;

/// Waits for the cleanups of all guards that this task has dropped so far.
///
/// It also waits for the cleanups that these add, at any depth.
///
/// It does not wait for the cleanups of guards that the task drops later, in another
/// branch of a `join!` for instance.
///
/// Use it before code that opens again what a guard has closed; a
/// [`bracket`](super::bracket) waits by itself. Inside a cleanup it does not wait,
/// because the cleanups that are added there run after it.
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost.
///
/// # Examples
///
/// ```
/// use coreloop::cleanup::{flush, defer};
///
/// # coreloop::block_on(async {
/// drop(defer(async { println!("first") }));
/// flush().await;
/// println!("second");
/// # })
/// ```
pub async fn flush() {
    // The queue of the task that polled this future first; the future may move to
    // another task.
    let mut begun = None;
    poll_fn(|cx| {
        ready!(budget::poll_proceed(cx));
        let (state, mark) = match &begun {
            Some(begun) => begun,
            None => {
                let state =
                    context::with_running(|event_loop| event_loop.tasks.current_cleanup_state());
                let Some(state) = state.flatten() else {
                    return Poll::Ready(());
                };
                let Some(mark) = state.queue.mark() else {
                    return Poll::Ready(());
                };
                begun.insert((state, mark))
            }
        };
        state.queue.poll_mark(*mark, cx)
    })
    .await;
}

/// The former name of [`flush`].
///
/// # Cancel safety
///
/// Cancel safe: nothing is lost.
#[deprecated(since = "0.1.0", note = "renamed to `cleanup::flush`")]
pub async fn cleanups() {
    flush().await;
}
