//! Instructions per operation, counted by callgrind.
//!
//! An operation is done so often in one process and twice as often in another;
//! the difference is free of what it takes to start and to end.

use std::io::{self, ErrorKind};

use crate::child::Counted;
use crate::operation::Operation;
use crate::work;

/// The mean of one time.
pub(crate) fn per_operation(operation: Operation) -> io::Result<f64> {
    let times = operation.times();
    // Beside each other: neither count depends on the time.
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

/// The instructions that a file of callgrind sums up.
fn total(file: &str) -> io::Result<f64> {
    file.lines()
        .find_map(|line| line.strip_prefix("totals:"))
        .and_then(|number| number.trim().parse().ok())
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "callgrind's file has no total"))
}
