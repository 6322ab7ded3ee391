//! [`Prefetch`], how many jobs a worker holds, so that the next one is there when one ends.

use std::time::Duration;

use crate::frame::SLOTS;

/// The bounds of [`Prefetch::Adaptive`].
const LEAST: usize = 2;
const MOST: usize = 32;

/// Jobs that are shorter on average need a deeper prefetch: waking a worker for each of them
/// would cost more than the jobs do.
const SHORT: Duration = Duration::from_micros(200);

/// Jobs that are longer on average need no deep prefetch. The distance between the two bounds
/// keeps the depth from changing with each measurement.
const LONG: Duration = Duration::from_micros(400);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefetch {
    /// Always this many, from 1 to 64.
    Fixed(usize),
    /// 2 at first, and up to 32 while jobs are short.
    Adaptive,
}

impl Prefetch {
    /// Returns the depth for a new worker.
    pub(super) fn initial(self) -> usize {
        match self {
            Self::Fixed(depth) => depth.clamp(1, SLOTS),
            Self::Adaptive => LEAST,
        }
    }

    /// Returns the depth that follows `depth`, after a worker without a pause took `elapsed`
    /// for this many results.
    pub(super) fn adapt(self, depth: usize, results: usize, elapsed: Duration) -> usize {
        if results == 0 || self != Self::Adaptive {
            return depth;
        }
        let mean = elapsed.as_nanos() / results as u128;
        if mean < SHORT.as_nanos() {
            (depth * 2).min(MOST)
        } else if mean > LONG.as_nanos() {
            (depth / 2).max(LEAST)
        } else {
            depth
        }
    }
}
