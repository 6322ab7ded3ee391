//! Lines on the standard error.

use std::io::Write as _;

use crate::cleanup::CleanupFailure;
use crate::runtime::{SlowPoll, TaskPanic};

/// Says that a task panicked and nobody joined it.
pub(crate) fn unhandled_panic(panic: &TaskPanic) {
    print(format_args!("coreloop: {panic}"));
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
