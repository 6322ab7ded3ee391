//! Events of `tracing`.

use crate::cleanup::CleanupFailure;
use crate::runtime::{SlowPoll, TaskMeta};

/// Says that a task panicked and nobody joined it.
pub(crate) fn unhandled_panic(task: &TaskMeta, message: Option<&str>) {
    tracing::error!(
        target: "coreloop",
        task = %task.id(),
        name = task.name(),
        spawned_at = %task.spawned_at(),
        panic = message.unwrap_or("the payload is not a string"),
        "a task panicked, and nobody joined it"
    );
}

/// Says that a cleanup failed.
pub(crate) fn cleanup_failure(failure: &CleanupFailure) {
    tracing::error!(
        target: "coreloop",
        task = failure.task().map(|task| tracing::field::display(task.id())),
        name = failure.task().and_then(TaskMeta::name),
        place = %failure.place(),
        "{failure}"
    );
}

/// Says that a poll took long.
pub(crate) fn slow_poll(slow: &SlowPoll) {
    let task = slow.task();
    tracing::warn!(
        target: "coreloop",
        task = %task.id(),
        name = task.name(),
        spawned_at = %task.spawned_at(),
        elapsed = ?slow.elapsed(),
        "a poll took long: its loop stood still"
    );
}
