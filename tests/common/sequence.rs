//! Random sequences of numbers, which a test takes for operations.

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, TestRunner};

/// How many numbers a sequence has.
const LENGTH: usize = if cfg!(miri) { 60 } else { 500 };

/// Calls `run` with so many sequences of 500 numbers; one that fails is
/// reported when it has been made as short as it can be.
pub(crate) fn each(cases: u32, run: impl Fn(&[u16])) {
    let config = Config {
        cases: if cfg!(miri) { 2 } else { cases },
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
