//! Random sequences of steps, which a test takes for operations.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::{Arbitrary, any};
use proptest::test_runner::{Config, TestRunner};

/// How many steps there are in all.
const STEPS: usize = 1_000_000;

/// Calls `run` with sequences of so many steps; one that fails is reported when
/// it has been made as short as it can be.
pub(crate) fn each<S: Arbitrary + Debug>(length: usize, run: impl Fn(&[S])) {
    let (cases, length) = if cfg!(miri) {
        (2, 60)
    } else {
        (STEPS / length, length)
    };
    let config = Config {
        cases: u32::try_from(cases).expect("at most a million"),
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&vec(any::<S>(), length), |steps| {
            run(&steps);
            Ok(())
        })
        .expect("the subject agrees with its model");
}
