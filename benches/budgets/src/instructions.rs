//! Instructions per operation, counted by callgrind.
//!
//! One process does an operation a number of times, and another does it twice as often. The
//! difference excludes the cost of starting and ending.

use std::io::{self, ErrorKind};

use crate::child::Counted;
use crate::operation::Operation;
use crate::work;

/// Returns the mean number of instructions of one operation.
pub(crate) fn per_operation(operation: Operation) -> io::Result<f64> {
    let times = operation.times();
    // Both run at the same time, because neither count depends on time.
    let shorter = start(operation, times)?;
    let longer = start(operation, 2 * times)?;
    let (shorter, longer) = (total(&shorter.output()?)?, total(&longer.output()?)?);
    Ok((longer - shorter) / times as f64)
}

fn start(operation: Operation, times: u64) -> io::Result<Counted> {
    // Counting is on from the start, and off in the client.
    let toggle = format!("--toggle-collect={}", work::CLIENT);
    let words = [
        "--tool=callgrind",
        "--command-line-only=yes",
        "--quiet",
        &toggle,
        "--collect-atstart=yes",
    ];
    Counted::start(
        "valgrind",
        &words,
        "--callgrind-out-file=",
        operation,
        times,
    )
}

/// Returns the total number of instructions in a callgrind file.
fn total(file: &str) -> io::Result<f64> {
    file.lines()
        .find_map(|line| line.strip_prefix("totals:"))
        .and_then(|number| number.trim().parse().ok())
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "callgrind's file has no total"))
}
