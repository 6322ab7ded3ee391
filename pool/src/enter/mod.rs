//! Entering a worker: how a process finds out, at the start of `main`, that it is a worker.
//!
//! A worker is this program, started again, so its `main` runs again too. Before `main` does
//! anything else, it has to call [`enter_worker`], which does not return in a worker. If it
//! does not, a worker would start a pool of workers, each of which would start a pool.
//! [`check`] makes that an error: a process builds a pool only after it has entered.
//!
//! A test binary has no `main` of the user from which to enter. Its workers run the one test that
//! `worker_test!` defines, which enters.

#[cfg(test)]
mod tests;

use std::env;
use std::io;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::OnceLock;

use coreloop_process::__pool::{POOL_WORKER, identity};

use crate::job::list::Jobs;
use crate::linked::WORKER_TESTS;
use crate::worker;

/// The name of the test that `worker_test!` defines.
const TEST: &str = "coreloop_pool_worker";

/// The jobs with which this process has entered. Empty until then.
static ENTERED: OnceLock<Jobs> = OnceLock::new();

/// How workers of this process are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StartMode {
    /// Without arguments: `main` enters.
    Program,
    /// As a test binary that runs one test, which enters.
    Test { arguments: [String; 4] },
}

/// Runs this process as a worker of a pool, if it was started as one, and never returns then.
///
/// The workers of a [pool](crate) are this program, started again. Call this function at the
/// start of `main`, before anything that a worker should not do. `#[coreloop::main]` calls it
/// before it builds the runtime. In the program itself the function returns at once. A second
/// call in a process does nothing.
///
/// A test has no `main`: use [`worker_test!`](crate::worker_test) there.
///
/// # Examples
///
/// ```no_run
/// use std::io;
///
/// fn main() -> io::Result<()> {
///     coreloop::pool::enter_worker();
///
///     // Everything below runs in the program itself only.
///     println!("process {}", std::process::id());
///     coreloop::block_on(async { Ok(()) })
/// }
/// ```
pub fn enter_worker() {
    enter_worker_with(&Jobs::new());
}

/// Like [`enter_worker`], but the worker also runs the functions of `jobs`, which are not
/// registered.
///
/// Only the first call in a process counts, and `#[coreloop::main]` enters before the body of
/// `main`. So a program that needs this function writes a `main` without the attribute, which
/// calls [`block_on`](coreloop_runtime::block_on).
pub fn enter_worker_with(jobs: &Jobs) {
    // A job may call this function too: it is in a worker, which has entered.
    if ENTERED.set(jobs.clone()).is_ok() && is_worker() {
        worker::run();
    }
}

/// Runs this process as a worker, if it was started as one. Otherwise this does not count as
/// entering, because other tests may build a pool before the harness runs this one.
#[doc(hidden)]
pub fn enter_worker_in_test() {
    if is_worker() {
        enter_worker();
    }
}

/// Returns the jobs with which this process has entered.
pub(crate) fn jobs() -> &'static Jobs {
    static NONE: Jobs = Jobs::new();
    ENTERED.get().unwrap_or(&NONE)
}

/// Sets the variable that makes the process of `command` a worker. The caller makes `socket` its
/// standard input.
///
/// The variable identifies the socket, so that a program that inherits the variable from a
/// worker, and not its standard input, is not mistaken for a worker.
pub(crate) fn mark(command: &mut Command, socket: impl AsFd) -> io::Result<()> {
    command.env(POOL_WORKER, identity(socket)?);
    Ok(())
}

/// Checks that this process may start workers, and returns how it starts them.
///
/// # Errors
///
/// Returns an error if this process has not entered, so that its workers would not enter
/// either, or is a worker that has not entered.
pub(crate) fn check() -> io::Result<StartMode> {
    let has_entered = ENTERED.get().is_some();
    if !has_entered && is_worker() {
        return Err(io::Error::other(
            "this process is a worker of a pool, and must not build a pool before it has \
             called `coreloop::pool::enter_worker()`, which belongs at the start of `main`. \
             `#[coreloop::main]` calls it",
        ));
    }
    // The workers of a test binary are started as a test, even if a test has called a
    // function that enters.
    if let Some(module) = WORKER_TESTS.iter().min() {
        return Ok(StartMode::Test {
            arguments: test_arguments(module),
        });
    }
    if has_entered {
        return Ok(StartMode::Program);
    }
    Err(io::Error::other(
        "this process has not called `coreloop::pool::enter_worker()`. Workers are this program, \
         started again, so write `#[coreloop::main]` on `main`, or call the function at the \
         start of `main`; in tests, write `coreloop::pool::worker_test!();` once, outside of \
         functions",
    ))
}

/// Returns the arguments with which a test binary runs the test in `module`.
fn test_arguments(module: &str) -> [String; 4] {
    let path = match module.split_once("::") {
        // The harness leaves out the name of the crate.
        Some((_, module)) => format!("{module}::{TEST}"),
        None => TEST.to_owned(),
    };
    // The harness need not start threads for tests that it does not run.
    let options = ["--exact", "--nocapture", "--test-threads=1"].map(str::to_owned);
    let [exact, no_capture, one_thread] = options;
    [path, exact, no_capture, one_thread]
}

/// Returns whether this process was started as a worker, and has not entered yet, because a
/// worker replaces its standard input.
fn is_worker() -> bool {
    env::var(POOL_WORKER)
        .is_ok_and(|expected| identity(io::stdin()).is_ok_and(|identity| identity == expected))
}
