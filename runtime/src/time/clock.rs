//! The clock of a loop, which tests can stop.

use std::cell::Cell;
use std::time::Duration;

use super::Instant;

/// Counts nanoseconds since the loop was made.
#[derive(Debug)]
pub(super) struct Clock {
    start: std::time::Instant,
    /// While the clock stands still: what it shows.
    paused_at: Cell<Option<u64>>,
}

impl Clock {
    pub(super) fn new(paused: bool) -> Clock {
        Clock {
            start: std::time::Instant::now(),
            paused_at: Cell::new(paused.then_some(0)),
        }
    }

    /// Nanoseconds since the start.
    #[inline]
    pub(super) fn nanos(&self) -> u64 {
        match self.paused_at.get() {
            Some(nanos) => nanos,
            None => nanos(self.start.elapsed()),
        }
    }

    pub(super) fn now(&self) -> Instant {
        match self.paused_at.get() {
            Some(nanos) => Instant::from_std(self.start + Duration::from_nanos(nanos)),
            None => Instant::from_std(std::time::Instant::now()),
        }
    }

    /// What the clock shows at `instant`.
    pub(super) fn nanos_at(&self, instant: Instant) -> u64 {
        nanos(instant.into_std().saturating_duration_since(self.start))
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused_at.get().is_some()
    }

    /// Moves a clock that stands still on to `nanos`.
    pub(super) fn skip_to(&self, nanos: u64) {
        if let Some(now) = self.paused_at.get() {
            self.paused_at.set(Some(now.max(nanos)));
        }
    }
}

/// In nanoseconds, which reach for 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
