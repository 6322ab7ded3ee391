//! [`Backoff`], how long to wait before a further attempt.

use std::time::Duration;

/// A time that doubles with each attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) max: Duration,
}

impl Backoff {
    /// Returns the longest time to wait after an attempt, which is 1 for the first one.
    pub(super) fn longest(self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(63);
        let factor = 1_u64 << doublings;
        let nanos = self.first.as_nanos().saturating_mul(factor.into());
        let nanos = nanos.min(self.max.as_nanos());
        u64::try_from(nanos).map_or(self.max, Duration::from_nanos)
    }

    /// Returns how long to wait after an attempt: between half of the longest time and all of it,
    /// so that jobs that failed together do not come back together.
    pub(super) fn after(self, attempt: u32) -> Duration {
        self.longest(attempt).mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_secs(1),
        max: Duration::from_secs(60),
    };

    #[test]
    fn the_time_doubles_up_to_its_limit() {
        let times = [1, 2, 3, 6, 7, 8, 100, u32::MAX].map(|attempt| BACKOFF.longest(attempt));
        let seconds = [1, 2, 4, 32, 60, 60, 60, 60];
        assert_eq!(times, seconds.map(Duration::from_secs));
        assert_eq!(BACKOFF.longest(0), BACKOFF.first);
    }

    #[test]
    fn extreme_times_are_no_error() {
        let extreme = Backoff {
            first: Duration::MAX,
            max: Duration::MAX,
        };
        assert_eq!(extreme.longest(5), Duration::MAX);
        let none = Backoff {
            first: Duration::ZERO,
            max: Duration::MAX,
        };
        assert_eq!(none.after(u32::MAX), Duration::ZERO);
    }

    #[test]
    fn the_jitter_stays_in_the_upper_half() {
        for _ in 0..1_000 {
            let time = BACKOFF.after(3);
            assert!(time >= Duration::from_secs(2) && time <= Duration::from_secs(4));
        }
    }
}
