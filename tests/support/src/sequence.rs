//! Random sequences of steps, which a test interprets as operations.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::{Arbitrary, Strategy, any};
use proptest::test_runner::{Config, TestRunner};

use crate::size;

/// Calls `run` with sequences whose length is in the given range, of a hundred thousand or a
/// million steps in all. A sequence that fails is shortened as far as possible and reported.
pub fn each<S: Arbitrary + Debug>(length: usize, run: impl Fn(&[S])) {
    let (cases, length) = if cfg!(miri) {
        (2, 60)
    } else {
        (size::pick(100_000, 1_000_000) / length, length)
    };
    run_cases(cases, vec(any::<S>(), length), |steps: Vec<S>| run(&steps));
}

/// Calls `run` with sequences of at most `longest` bytes.
pub fn of_bytes(longest: usize, run: impl Fn(&[u8])) {
    let (cases, longest) = if cfg!(miri) {
        (5, (longest / 4).max(2))
    } else {
        (500, longest)
    };
    run_cases(cases, vec(any::<u8>(), 0..longest), |bytes| run(&bytes));
}

fn run_cases<S: Strategy>(cases: usize, strategy: S, run: impl Fn(S::Value)) {
    let config = Config {
        cases: u32::try_from(cases).expect("at most a million"),
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&strategy, |value| {
            run(value);
            Ok(())
        })
        .expect("the subject agrees with its model");
}
