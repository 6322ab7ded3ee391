//! Reports as events of `tracing`, which are printed too if there is no subscriber.
//!
//! The event is created even if there is none, because `tracing` may then pass it to the
//! crate `log`.

use tracing::dispatcher;
use tracing::subscriber::NoSubscriber;

use crate::engine::report::cleanup_failure::CleanupFailure;
use crate::engine::report::slow_poll::SlowPoll;
use crate::engine::report::stderr;
use crate::engine::report::task_meta::TaskMeta;
use crate::engine::report::unhandled::TaskPanic;

/// Reports the panic of a task that is not joined.
pub(crate) fn report_unhandled_panic(panic: &TaskPanic) {
    if !has_subscriber() {
        stderr::report_unhandled_panic(panic);
    }
    let task = panic.task();
    tracing::error!(
        target: "coreloop",
        task = %task.id(),
        name = task.name(),
        spawned_at = %task.spawned_at(),
        panic = panic.text(),
        "a task panicked and was not joined"
    );
}

/// Reports a cleanup that did not finish.
pub(crate) fn report_cleanup_failure(failure: &CleanupFailure) {
    if !has_subscriber() {
        stderr::report_cleanup_failure(failure);
    }
    tracing::error!(
        target: "coreloop",
        task = failure.task().map(|task| tracing::field::display(task.id())),
        name = failure.task().and_then(TaskMeta::name),
        place = %failure.place(),
        "{failure}"
    );
}

/// Reports a poll that took too long.
pub(crate) fn report_slow_poll(slow: &SlowPoll) {
    if !has_subscriber() {
        stderr::report_slow_poll(slow);
    }
    let task = slow.task();
    tracing::warn!(
        target: "coreloop",
        task = %task.id(),
        name = task.name(),
        spawned_at = %task.spawned_at(),
        elapsed = ?slow.elapsed(),
        "a poll took long and delayed its loop"
    );
}

/// Returns whether this thread has a subscriber.
fn has_subscriber() -> bool {
    dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>())
}
