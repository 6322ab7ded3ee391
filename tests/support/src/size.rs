//! How much of a test is run: [`pick`].

use std::env;

/// The variable that asks for all of it. `.ci/run full` sets it.
const VARIABLE: &str = "CORELOOP_TEST_FULL";

/// `full` if the environment has `CORELOOP_TEST_FULL`, and otherwise `few`, which is
/// what the gate runs on every change. What a test asserts is the same in both; only
/// how often it tries differs.
pub fn pick<T>(few: T, full: T) -> T {
    if env::var_os(VARIABLE).is_some() {
        full
    } else {
        few
    }
}
