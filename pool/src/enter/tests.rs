//! Each test runs a case in a process of its own, because a process enters once.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};

use coreloop_test_support::rerun::{is_rerun, rerun};

use super::*;

/// Runs `test` of this binary in a process that is marked as a worker.
fn run_as_worker(test: &str) -> Output {
    // The master has ended, so a worker that has entered ends too.
    let (socket, master) = UnixStream::pair().unwrap();
    drop(master);
    let mut command = Command::new(env::current_exe().unwrap());
    let (_, module) = module_path!().split_once("::").unwrap();
    command.args(["--exact", &format!("{module}::{test}"), "--nocapture"]);
    mark(&mut command, &socket).unwrap();
    let output = command.stdin(OwnedFd::from(socket)).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("running 1 test\n"));
    output
}

fn standard_error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_program_that_has_not_entered_starts_no_worker() {
    let test = "a_program_that_has_not_entered_starts_no_worker";
    if is_rerun(test) {
        let error = check().unwrap_err().to_string();
        assert!(error.contains("has not called `coreloop::pool::enter_worker()`"));
        assert!(error.contains("worker_test!"), "{error}");
        // A test that is not a worker does not enter.
        enter_worker_in_test();
        check().unwrap_err();
        return;
    }
    let output = rerun(module_path!(), test);
    assert!(output.status.success(), "{}", standard_error(&output));
}

#[test]
fn a_program_enters_once() {
    let test = "a_program_enters_once";
    if is_rerun(test) {
        enter_worker_with(&Jobs::new().job(standard_error_of_nothing));
        assert_eq!(check().unwrap(), StartMode::Program);
        enter_worker();
        assert_eq!(jobs().iter().count(), 1);
        return;
    }
    let output = rerun(module_path!(), test);
    assert!(output.status.success(), "{}", standard_error(&output));
}

fn standard_error_of_nothing() -> String {
    String::new()
}

#[test]
fn a_worker_that_has_not_entered_builds_no_pool() {
    if is_worker() {
        let error = check().unwrap_err().to_string();
        assert!(error.contains("is a worker of a pool, and must not build"));
        // In a worker, the standard input is replaced only after it has entered.
        assert!(ENTERED.set(Jobs::new()).is_ok());
        assert_eq!(check().unwrap(), StartMode::Program);
        return;
    }
    let output = run_as_worker("a_worker_that_has_not_entered_builds_no_pool");
    assert!(output.status.success(), "{}", standard_error(&output));
}

#[test]
fn a_worker_does_not_return_from_entering() {
    if is_worker() {
        enter_worker();
        println!("entering has returned");
        return;
    }
    let output = run_as_worker("a_worker_does_not_return_from_entering");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(!printed.contains("entering has returned"), "{printed}");
    assert!(!printed.contains("test result"), "{printed}");
}

#[test]
fn a_program_that_a_worker_starts_is_no_worker() {
    if is_worker() {
        // The environment is inherited, and the standard input is not.
        let output = Command::new(env::current_exe().unwrap())
            .args(env::args_os().skip(1))
            .stdin(Stdio::null())
            .env("CORELOOP_TEST_RERUN", "by a worker")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", standard_error(&output));
        return;
    }
    if is_rerun("by a worker") {
        assert!(env::var_os(POOL_WORKER).is_some());
        enter_worker();
        return;
    }
    let output = run_as_worker("a_program_that_a_worker_starts_is_no_worker");
    assert!(output.status.success(), "{}", standard_error(&output));
}

#[test]
fn the_test_of_a_module_is_named_as_the_harness_names_it() {
    let first = |module| test_arguments(module).map(|argument| argument)[0].clone();
    assert_eq!(first("pool"), "coreloop_pool_worker");
    assert_eq!(
        first("pool::unit::tests"),
        "unit::tests::coreloop_pool_worker"
    );
    let [_, rest @ ..] = test_arguments("pool");
    assert_eq!(rest, ["--exact", "--nocapture", "--test-threads=1"]);
}
