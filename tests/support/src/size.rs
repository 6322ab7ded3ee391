//! [`pick`], which chooses how much of a test is run.

use std::env;

/// The environment variable that requests full size. `.ci/run full` sets it.
const VARIABLE: &str = "CORELOOP_TEST_FULL";

/// Returns `full` if the environment has `CORELOOP_TEST_FULL`, and otherwise `few`, with which
/// the gate runs on every change. A test asserts the same with both; only the number of
/// attempts differs.
pub fn pick<T>(few: T, full: T) -> T {
    if env::var_os(VARIABLE).is_some() {
        full
    } else {
        few
    }
}
