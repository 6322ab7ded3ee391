//! [`skipped`], which reports that a part of the tests did not run.

use std::fmt;
use std::io::{Write, stderr};

/// Prints that a test was skipped, and why.
///
/// The line is written directly, because the harness hides the output of tests that succeed.
pub fn skipped(why: impl fmt::Display) {
    let line = format!("SKIPPED: {why}\n");
    drop(stderr().write_all(line.as_bytes()));
}
