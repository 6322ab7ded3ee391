//! Lines on the standard error.

use std::io::Write as _;

use crate::cleanup::CleanupFailure;
use crate::runtime::{SlowPoll, TaskMeta};

/// Says that a task panicked and nobody joined it.
pub(crate) fn unhandled_panic(task: &TaskMeta, message: Option<&str>) {
    let message = message.unwrap_or("the payload is not a string");
    print(format_args!(
        "coreloop: {task} panicked, and nobody joined it: {message}"
    ));
}

/// Says that a poll took long.
pub(crate) fn slow_poll(slow: &SlowPoll) {
    print(format_args!("coreloop: {slow}"));
}

/// Says that a cleanup failed.
pub(crate) fn cleanup_failure(failure: &CleanupFailure) {
    print(format_args!("coreloop: {failure}"));
}

fn print(line: std::fmt::Arguments<'_>) {
    // Nobody is left to hear that this failed. In one call, and not `eprintln`,
    // which panics then.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
