//! [`CrashLoop`], which decides when to give up on a program that does not start.

/// Counts workers that died before they were ready.
#[derive(Debug)]
pub(in crate::supervisor) struct CrashLoop {
    max: u32,
    in_a_row: u32,
    ever_ready: bool,
}

impl CrashLoop {
    pub(in crate::supervisor) fn new(max: u32) -> Self {
        Self {
            max,
            in_a_row: 0,
            ever_ready: false,
        }
    }

    pub(in crate::supervisor) fn ready(&mut self) {
        self.ever_ready = true;
    }

    /// Counts a worker that died before it was ready. Returns how many did in a row, if
    /// that is too many.
    pub(in crate::supervisor) fn died(&mut self) -> Option<u32> {
        self.in_a_row = self.in_a_row.saturating_add(1);
        (!self.ever_ready && self.in_a_row >= self.max).then_some(self.in_a_row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_allowed_death_gives_up() {
        let mut crash_loop = CrashLoop::new(3);
        assert_eq!(crash_loop.died(), None);
        assert_eq!(crash_loop.died(), None);
        assert_eq!(crash_loop.died(), Some(3));
    }

    #[test]
    fn one_worker_that_was_ready_prevents_giving_up() {
        let mut crash_loop = CrashLoop::new(1);
        crash_loop.ready();
        assert!((0..100).all(|_| crash_loop.died().is_none()));
    }
}
