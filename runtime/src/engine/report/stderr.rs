//! Lines on the standard error.

use std::io::Write as _;

use crate::engine::report::cleanup_failure::CleanupFailure;
use crate::engine::report::slow_poll::SlowPoll;
use crate::engine::report::unhandled::TaskPanic;

/// Says that a task panicked and nobody joined it.
pub(crate) fn report_unhandled_panic(panic: &TaskPanic) {
    print(format_args!("coreloop: {panic}"));
}

/// Says that a poll took long.
pub(crate) fn report_slow_poll(slow: &SlowPoll) {
    print(format_args!("coreloop: {slow}"));
}

/// Says that a cleanup failed.
pub(crate) fn report_cleanup_failure(failure: &CleanupFailure) {
    print(format_args!("coreloop: {failure}"));
}

fn print(line: std::fmt::Arguments<'_>) {
    // Nobody is left to hear that this failed. In one call, and not `eprintln`,
    // which panics then.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
