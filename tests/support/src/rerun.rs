//! Runs a test in a process of its own, to check the output or the end of the process.

use std::env;
use std::process::{Command, Output, Stdio};

/// The environment variable that holds the name of the test to run.
const VARIABLE: &str = "CORELOOP_TEST_RERUN";

/// Runs `test` of this binary alone in a new process, and returns its output. `module` is the
/// `module_path!()` of the place where the test is defined.
///
/// # Panics
///
/// Panics if there is no such test.
pub fn rerun(module: &str, test: &str) -> Output {
    let (_, module) = module.split_once("::").unwrap_or(("", ""));
    let name = if module.is_empty() {
        test.to_owned()
    } else {
        format!("{module}::{test}")
    };
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(VARIABLE, test)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("running 1 test\n"), "{name}: {said}");
    output
}

/// Returns whether [`rerun`] has started this process for `test`.
pub fn is_rerun(test: &str) -> bool {
    env::var_os(VARIABLE).is_some_and(|running| running == test)
}
