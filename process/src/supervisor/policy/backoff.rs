//! [`Backoff`], which decides how long a slot waits for its next worker.

use std::collections::VecDeque;
use std::time::Duration;

use coreloop_runtime::time::Instant;
use fastrand::Rng;

use super::Restarts;

/// The minimum wait of a start that waits: without any, the loop would do nothing but start
/// workers that fail at once.
const SHORTEST: Duration = Duration::from_millis(1);

/// The maximum wait, thirty years: unlike `Duration::MAX`, it can be added to the time.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The deaths of one slot that still count.
#[derive(Debug, Default)]
pub struct Backoff {
    /// The deaths within the period of workers that had been ready.
    deaths: VecDeque<Instant>,
    /// How many starts have waited since the slot was last stable.
    waits: u32,
}

impl Backoff {
    /// Counts the death of a worker that had `served` for this time, or was never ready.
    /// Returns how long the next start waits.
    pub fn died(
        &mut self,
        served: Option<Duration>,
        now: Instant,
        restarts: &Restarts,
        random: &mut Rng,
    ) -> Duration {
        if served.is_some_and(|served| served >= restarts.stable) {
            self.waits = 0;
            self.deaths.clear();
        }
        if served.is_some() {
            while let Some(&first) = self.deaths.front()
                && now.duration_since(first) > restarts.period
            {
                self.deaths.pop_front();
            }
            self.deaths.push_back(now);
            if self.deaths.len() <= restarts.max_immediate as usize {
                return Duration::ZERO;
            }
            // No more deaths are kept, however fast they come.
            self.deaths.pop_front();
        }
        let whole = restarts
            .min_wait
            .saturating_mul(2_u32.saturating_pow(self.waits))
            .min(restarts.max_wait)
            .min(FOREVER);
        self.waits = self.waits.saturating_add(1);
        let wait = whole.mul_f64(0.5 + random.f64() / 2.0);
        wait.max(SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> Restarts {
        Restarts::new().max_immediate(3).period(10 * SECOND)
    }

    fn between_half_and_all(wait: Duration, all: Duration) -> bool {
        all / 2 <= wait && wait <= all
    }

    #[test]
    fn the_first_deaths_restart_at_once_and_the_next_waits() {
        let (mut backoff, mut random) = (Backoff::default(), Rng::with_seed(1));
        let mut now = Instant::now();
        for _ in 0..3 {
            now += SECOND;
            let wait = backoff.died(Some(SECOND), now, &policy(), &mut random);
            assert_eq!(wait, Duration::ZERO);
        }
        for doubled in [100, 200, 400, 800] {
            let wait = backoff.died(Some(SECOND), now, &policy(), &mut random);
            assert!(between_half_and_all(wait, Duration::from_millis(doubled)));
        }
    }

    #[test]
    fn deaths_further_apart_than_the_period_never_wait() {
        let (mut backoff, mut random) = (Backoff::default(), Rng::with_seed(1));
        let mut now = Instant::now();
        for _ in 0..100 {
            now += 4 * SECOND;
            let wait = backoff.died(Some(SECOND), now, &policy(), &mut random);
            assert_eq!(wait, Duration::ZERO);
        }
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let (mut backoff, mut random) = (Backoff::default(), Rng::with_seed(1));
        let now = Instant::now();
        for death in 0..200 {
            let wait = backoff.died(None, now, &policy(), &mut random);
            let all = Duration::from_millis(100 << death.min(20)).min(30 * SECOND);
            assert!(between_half_and_all(wait, all), "{death}: {wait:?}");
        }
    }

    #[test]
    fn a_stable_worker_resets_the_backoff() {
        let (mut backoff, mut random) = (Backoff::default(), Rng::with_seed(1));
        let now = Instant::now();
        for _ in 0..20 {
            backoff.died(Some(SECOND), now, &policy(), &mut random);
        }
        let wait = backoff.died(Some(10 * SECOND), now, &policy(), &mut random);
        assert_eq!(wait, Duration::ZERO);
    }

    #[test]
    fn a_worker_that_was_never_ready_waits_even_if_no_wait_is_configured() {
        let restarts = policy().min_wait(Duration::ZERO).max_wait(Duration::ZERO);
        let (mut backoff, mut random) = (Backoff::default(), Rng::with_seed(1));
        let wait = backoff.died(None, Instant::now(), &restarts, &mut random);
        assert_eq!(wait, SHORTEST);
    }

    #[test]
    fn waits_differ_between_slots() {
        let now = Instant::now();
        let mut random = Rng::with_seed(7);
        let mut waits: Vec<_> = (0..50)
            .map(|_| Backoff::default().died(None, now, &policy(), &mut random))
            .collect();
        waits.sort_unstable();
        waits.dedup();
        assert_eq!(waits.len(), 50);
    }

    /// A wait near the longest that a duration holds panicked when its random part was added.
    #[test]
    fn the_longest_waits_are_no_overflow() {
        let longest = Restarts::new()
            .min_wait(Duration::MAX)
            .max_wait(Duration::MAX)
            .max_immediate(0);
        let (mut backoff, mut random) = (Backoff::default(), Rng::with_seed(1));
        let now = Instant::now();
        for served in [None, Some(Duration::ZERO), None] {
            let wait = backoff.died(served, now, &longest, &mut random);
            assert!(between_half_and_all(wait, FOREVER), "{wait:?}");
        }
    }
}
