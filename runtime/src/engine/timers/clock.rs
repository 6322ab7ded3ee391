//! The clock of a loop, which tests can pause.
//!
//! # Invariants
//!
//! 1. The clock never goes back.
//! 2. `last_read` is never ahead of the clock, and is its time while it is paused.

use std::cell::Cell;
use std::time::{Duration, Instant as SystemTime};

use crate::engine::timers::instant::Instant;

/// A point in time that is never reached: some 570 years from now.
pub(crate) const NEVER: u64 = u64::MAX;

/// Some thirty years, in nanoseconds: how long a sleep lasts whose duration is out of
/// range. It is the same in tokio.
const FAR_AWAY: u64 = 86_400 * 365 * 30 * 1_000_000_000;

/// How long before the creation of the loop the epoch of its clock is: ten years, so that
/// instants before the creation can still be ordered.
const EPOCH_AGE: Duration = Duration::from_secs(86_400 * 365 * 10);

/// The clock of a loop. It counts the nanoseconds since its epoch.
#[derive(Debug)]
pub(crate) struct Clock {
    epoch: SystemTime,
    mode: Cell<ClockMode>,
    /// The time of the last reading.
    last_read: Cell<u64>,
}

/// How the clock moves.
#[derive(Debug, Clone, Copy)]
enum ClockMode {
    /// With the system's clock.
    System,
    /// Only by [`Clock::skip_to`].
    Paused,
    /// As fast as the system's clock, at another time: the fields are this clock's time
    /// and the system's time when the clock was resumed.
    Resumed(u64, SystemTime),
}

impl Clock {
    pub(super) fn new(paused: bool) -> Self {
        let now = SystemTime::now();
        let epoch = now.checked_sub(EPOCH_AGE).unwrap_or(now);
        let mode = if paused {
            ClockMode::Paused
        } else {
            ClockMode::System
        };
        Self {
            epoch,
            last_read: Cell::new(since(epoch, now)),
            mode: Cell::new(mode),
        }
    }

    /// Reads the clock, and remembers the reading for [`last_read`](Clock::last_read).
    #[inline]
    pub(super) fn read(&self) -> u64 {
        let now = match self.mode.get() {
            ClockMode::System => since(self.epoch, SystemTime::now()),
            ClockMode::Paused => return self.last_read.get(),
            ClockMode::Resumed(shown, at) => resumed(shown, at),
        };
        self.last_read.set(now);
        now
    }

    /// Returns the time of the last reading, without reading the system's clock.
    #[inline]
    pub(crate) fn last_read(&self) -> u64 {
        self.last_read.get()
    }

    /// Reads the clock, as [`read`](Clock::read) does.
    pub(super) fn now(&self) -> Instant {
        self.instant(self.read())
    }

    /// Returns the point in time at which the clock shows `nanos`.
    pub(super) fn instant(&self, nanos: u64) -> Instant {
        let since = Duration::from_nanos(nanos);
        Instant::from_std(self.epoch.checked_add(since).unwrap_or(self.epoch))
    }

    /// Returns what the clock shows at `instant`, or [`NEVER`] if that is out of range.
    pub(crate) fn nanos_at(&self, instant: Instant) -> u64 {
        since(self.epoch, instant.into_std())
    }

    pub(super) fn is_paused(&self) -> bool {
        matches!(self.mode.get(), ClockMode::Paused)
    }

    /// Pauses the clock. Returns false if it is paused already.
    pub(super) fn pause(&self) -> bool {
        let was_running = !self.is_paused();
        if was_running {
            self.read();
            self.mode.set(ClockMode::Paused);
        }
        was_running
    }

    /// Resumes the clock from the time that it shows. Returns false if it is not paused.
    pub(super) fn resume(&self) -> bool {
        let paused = self.is_paused();
        if paused {
            let mode = ClockMode::Resumed(self.last_read.get(), SystemTime::now());
            self.mode.set(mode);
        }
        paused
    }

    /// Moves a paused clock forward to `nanos`. Returns false if it is not paused.
    pub(super) fn skip_to(&self, nanos: u64) -> bool {
        let paused = self.is_paused();
        if paused {
            self.last_read.set(self.last_read.get().max(nanos));
        }
        paused
    }
}

/// Returns the time on a clock that was resumed when it showed `shown`, at `at`.
#[cold]
fn resumed(shown: u64, at: SystemTime) -> u64 {
    shown.saturating_add(nanos(at.elapsed()))
}

/// Returns `duration` in nanoseconds, or [`NEVER`] if it is longer than a `u64` holds,
/// 584 years.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    let seconds = duration.as_secs();
    if seconds >= NEVER / SECOND {
        return NEVER;
    }
    seconds * SECOND + u64::from(duration.subsec_nanos())
}

/// Returns the time `duration` nanoseconds after `now`. If that is out of the clock's
/// range, returns the time thirty years after `now`, so that a paused clock has a
/// deadline to jump to; and [`NEVER`] if that is out of range too.
#[inline]
pub(crate) fn after(now: u64, duration: u64) -> u64 {
    match now.saturating_add(duration) {
        NEVER => now.saturating_add(FAR_AWAY),
        time => time,
    }
}

/// Returns the nanoseconds from `epoch` to `instant`, or 0 if `instant` is earlier.
#[inline]
fn since(epoch: SystemTime, instant: SystemTime) -> u64 {
    nanos(instant.saturating_duration_since(epoch))
}
