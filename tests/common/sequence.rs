//! Random sequences of numbers, which a test takes for operations.

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestRunner};

/// How many sequences there are, and how many numbers each has: a million in
/// all.
const CASES: u32 = if cfg!(miri) { 2 } else { 2000 };
const LENGTH: usize = if cfg!(miri) { 60 } else { 500 };

/// Calls `run` with each sequence; one that fails is reported when it has been
/// made as short as it can be.
pub(crate) fn each(run: impl Fn(&[u16])) {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&vec(any::<u16>(), LENGTH), |numbers| {
            run(&numbers);
            Ok(())
        })
        .expect("the subject agrees with its model");
}
