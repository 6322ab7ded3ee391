//! Programs that must not compile, and the errors that the compiler reports for them.
//!
//! The expected messages are in `cases/*.stderr`. To record them again after a deliberate
//! change, run `TRYBUILD=overwrite cargo test --test ui` and read the difference.
#![cfg(not(miri))]

use std::env;
use std::process::Command;

/// The release whose messages are recorded. Messages change from one release to the next,
/// so under any other compiler the test is skipped.
const RECORDED_WITH: &str = "rustc 1.95.";

#[test]
fn misuse_is_explained() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    if !version.starts_with(RECORDED_WITH) {
        println!(
            "skipped: the messages were recorded with {RECORDED_WITH}x, this is {}",
            version.trim_end()
        );
        return;
    }
    trybuild::TestCases::new().compile_fail("cases/*.rs");
}
