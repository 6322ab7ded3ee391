//! [`CrashLoop`], which decides when to give up on a program that does not start.

use super::Restarts;

/// Counts workers that died before they were ready.
#[derive(Debug)]
pub(crate) struct CrashLoop {
    max: u32,
    in_a_row: u32,
    ever_ready: bool,
}

impl CrashLoop {
    /// Creates a count that gives up as the policy says.
    #[must_use]
    pub(crate) fn new(restarts: &Restarts) -> Self {
        Self {
            max: restarts.max_failed_starts,
            in_a_row: 0,
            ever_ready: false,
        }
    }

    /// Notes that a worker has become ready. The count never gives up after that.
    pub(crate) fn ready(&mut self) {
        self.ever_ready = true;
    }

    /// Counts a worker that died before it was ready. Returns how many did in a row, if
    /// that is too many.
    pub(crate) fn died(&mut self) -> Option<u32> {
        self.in_a_row = self.in_a_row.saturating_add(1);
        (!self.ever_ready && self.in_a_row >= self.max).then_some(self.in_a_row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_max(max: u32) -> CrashLoop {
        CrashLoop::new(&Restarts::new().max_failed_starts(max))
    }

    #[test]
    fn the_last_allowed_death_gives_up() {
        let mut crash_loop = with_max(3);
        assert_eq!(crash_loop.died(), None);
        assert_eq!(crash_loop.died(), None);
        assert_eq!(crash_loop.died(), Some(3));
    }

    #[test]
    fn one_worker_that_was_ready_prevents_giving_up() {
        let mut crash_loop = with_max(1);
        crash_loop.ready();
        assert!((0..100).all(|_| crash_loop.died().is_none()));
    }
}
