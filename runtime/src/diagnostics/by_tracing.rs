//! Events of `tracing`.

use crate::cleanup::CleanupFailure;
use crate::runtime::{SlowPoll, TaskMeta, TaskPanic};

/// Says that a task panicked and nobody joined it.
pub(crate) fn unhandled_panic(panic: &TaskPanic) {
    let task = panic.task();
    tracing::error!(
        target: "coreloop",
        task = %task.id(),
        name = task.name(),
        spawned_at = %task.spawned_at(),
        panic = panic.text(),
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
