//! Reports on standard error.

use std::io::Write as _;

use crate::engine::report::cleanup_failure::CleanupFailure;
use crate::engine::report::slow_poll::SlowPoll;
use crate::engine::report::unhandled::TaskPanic;

/// Prints the panic of a task that is not joined.
pub(crate) fn report_unhandled_panic(panic: &TaskPanic) {
    print(format_args!("coreloop: {panic}"));
}

/// Prints a poll that took too long.
pub(crate) fn report_slow_poll(slow: &SlowPoll) {
    print(format_args!("coreloop: {slow}"));
}

/// Prints a cleanup that did not finish.
pub(crate) fn report_cleanup_failure(failure: &CleanupFailure) {
    print(format_args!("coreloop: {failure}"));
}

fn print(line: std::fmt::Arguments<'_>) {
    // A failure of this write cannot be reported. `eprintln` would panic then. The line is
    // written under one lock, so that lines of several threads do not mix.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
