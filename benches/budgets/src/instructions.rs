//! Instructions per operation, counted by callgrind.
//!
//! One process does an operation a number of times, and another does it twice as often. The
//! difference excludes the cost of starting and ending.

use std::io::{self, ErrorKind};

use crate::child::{Counted, ENDING};
use crate::operation::Operation;
use crate::work;

/// The word before the name of an operation.
const RUN: &str = "run";

/// Returns the mean number of instructions of one operation.
pub(crate) fn per_operation(operation: Operation) -> io::Result<f64> {
    let times = operation.times();
    // Both run at the same time, because neither count depends on time.
    let shorter = start(operation, times)?;
    let longer = start(operation, 2 * times)?;
    let shorter = count(operation, &shorter.outputs()?)?;
    let longer = count(operation, &longer.outputs()?)?;
    Ok((longer - shorter) / times as f64)
}

fn start(operation: Operation, times: u64) -> io::Result<Counted> {
    // Counting is on from the start, and off in the client.
    let toggle = format!("--toggle-collect={}", work::CLIENT);
    let mut words = vec![
        "--tool=callgrind",
        "--command-line-only=yes",
        "--quiet",
        &toggle,
        "--collect-atstart=yes",
    ];
    if matches!(operation, Operation::PoolJob | Operation::PoolJobInWorker) {
        // Older versions complain of `pidfd_open`, which they do not know. Then a thread waits
        // for the end of the worker.
        words.push("--log-file=/dev/null");
    }
    if operation == Operation::PoolJobInWorker {
        words.push("--trace-children=yes");
    }
    let ending = format!("{ENDING}.%p");
    let output = ("--callgrind-out-file=", ending.as_str());
    let work = [RUN, operation.name(), &times.to_string()];
    Counted::start("valgrind", &words, output, &work)
}

/// Returns the number of instructions in the file of the process that is counted.
fn count(operation: Operation, files: &[String]) -> io::Result<f64> {
    let in_worker = operation == Operation::PoolJobInWorker;
    // A worker has no arguments.
    let is_worker = |file: &str| !command(file).contains(&format!(" {RUN} "));
    let file = files.iter().find(|file| is_worker(file) == in_worker);
    file.and_then(|file| total(file))
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "callgrind wrote no total"))
}

/// Returns the command line in a callgrind file.
fn command(file: &str) -> &str {
    let mut lines = file.lines();
    lines
        .find_map(|line| line.strip_prefix("cmd:"))
        .unwrap_or_default()
}

/// Returns the total number of instructions in a callgrind file.
fn total(file: &str) -> Option<f64> {
    file.lines()
        .find_map(|line| line.strip_prefix("totals:"))
        .and_then(|number| number.trim().parse().ok())
}
