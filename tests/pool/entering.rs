//! How a process becomes a worker, and which processes may build a pool.

use std::process::{Command, Output, Stdio};

use coreloop::pool::Pool;
use coreloop_test_support::program::program;

#[coreloop::job]
fn double(number: u32) -> u32 {
    number * 2
}

/// Builds a pool in a worker.
#[coreloop::job]
async fn double_elsewhere(number: u32) -> Result<u32, String> {
    let pool = Pool::builder().workers(1).build();
    let pool = pool.map_err(|error| error.to_string())?;
    let doubled = pool.run(double, number).await;
    doubled.map_err(|error| error.to_string())
}

/// Runs the program to its end, and returns its output and the lines that are not about the
/// start of a process.
fn run(mode: &str) -> (Output, usize, String) {
    let output = Command::new(program("pool_entering"))
        .arg(mode)
        .env("MODE", mode)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    let (starts, rest): (Vec<_>, Vec<_>) = errors
        .lines()
        .partition(|line| line.starts_with("process "));
    let (count, rest) = (starts.len(), rest.join("\n"));
    (output, count, rest)
}

fn assert_runs_a_job(mode: &str, printed: &str) {
    let (output, processes, errors) = run(mode);
    assert!(output.status.success(), "{mode}: {errors}");
    assert_eq!(processes, 2, "{mode}: {errors}");
    assert_eq!(errors, "", "{mode}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), printed, "{mode}");
}

#[test]
fn a_program_enters_by_hand() {
    assert_runs_a_job("by-hand", "a job has run\n");
}

#[test]
fn the_attribute_of_main_enters_before_the_body() {
    assert_runs_a_job("by-attribute", "the body\na job has run\n");
}

#[test]
fn a_program_enters_with_jobs_that_no_macro_registers() {
    assert_runs_a_job("with-jobs", "a job has run\n");
    assert_runs_a_job("by-builder", "a job has run\n");
}

#[test]
fn a_program_that_does_not_enter_starts_no_process() {
    let (output, processes, errors) = run("never");
    assert!(!output.status.success());
    assert_eq!(processes, 1, "{errors}");
    assert!(errors.contains("#[coreloop::main]"), "{errors}");
    assert!(errors.contains("enter_worker()"), "{errors}");
    assert_eq!(output.stdout, b"");
}

#[test]
fn a_worker_that_does_not_enter_starts_no_process() {
    let (output, processes, errors) = run("too-late");
    assert!(!output.status.success(), "{errors}");
    // The program, and the workers that it has started before it gave up.
    assert!((2..=4).contains(&processes), "{processes}: {errors}");
    assert!(errors.contains("in a worker: this process is a worker of a pool"));
    assert!(errors.contains("must not build a pool"), "{errors}");
    assert_eq!(output.stdout, b"");
}

#[coreloop::test]
async fn a_job_may_build_a_pool_of_its_own() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let doubled = pool.run(double_elsewhere, 4).await.unwrap();
    assert_eq!(doubled, Ok(8));
}

#[test]
fn the_harness_may_run_the_test_of_the_workers() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "coreloop_pool_worker"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("1 passed"), "{printed}");
}
