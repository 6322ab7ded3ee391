//! The clock of a loop, which tests can stop.
//!
//! # Invariants
//!
//! 1. It never goes back.
//! 2. `seen` is never ahead of it, and is what it shows while it stands still.

use std::cell::Cell;
use std::time::{Duration, Instant as SystemTime};

use crate::engine::timers::instant::Instant;

/// A point in time that does not come: some 570 years on.
pub(crate) const NEVER: u64 = u64::MAX;

/// As long as tokio sleeps for a duration without end, in nanoseconds: some thirty years.
const FAR: u64 = 86_400 * 365 * 30 * 1_000_000_000;

/// The count starts so long before the loop does, so that it tells times apart
/// that were over before.
const BEFORE: Duration = Duration::from_secs(86_400 * 365 * 10);

/// Counts nanoseconds.
#[derive(Debug)]
pub(crate) struct Clock {
    zero: SystemTime,
    pace: Cell<Pace>,
    /// What it showed when it was last looked at.
    seen: Cell<u64>,
}

/// How it goes.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// As the system's.
    System,
    /// Not at all.
    Paused,
    /// As fast as the system's, since it was set going at the first of these,
    /// when the system's showed the second.
    Resumed(u64, SystemTime),
}

impl Clock {
    pub(crate) fn new(paused: bool) -> Clock {
        let now = SystemTime::now();
        let zero = now.checked_sub(BEFORE).unwrap_or(now);
        let pace = if paused { Pace::Paused } else { Pace::System };
        Clock {
            zero,
            seen: Cell::new(since(zero, now)),
            pace: Cell::new(pace),
        }
    }

    /// Looks at it.
    #[inline]
    pub(crate) fn nanos(&self) -> u64 {
        let now = match self.pace.get() {
            Pace::System => since(self.zero, SystemTime::now()),
            Pace::Paused => return self.seen.get(),
            Pace::Resumed(shown, at) => resumed(shown, at),
        };
        self.seen.set(now);
        now
    }

    /// What it showed when it was last looked at, which costs next to nothing.
    #[inline]
    pub(crate) fn seen(&self) -> u64 {
        self.seen.get()
    }

    pub(crate) fn now(&self) -> Instant {
        self.instant(self.nanos())
    }

    /// The point in time when it shows `nanos`.
    pub(crate) fn instant(&self, nanos: u64) -> Instant {
        let since = Duration::from_nanos(nanos);
        Instant::from_std(self.zero.checked_add(since).unwrap_or(self.zero))
    }

    /// What it shows at `instant`; [`NEVER`] if that is too far away.
    pub(crate) fn nanos_at(&self, instant: Instant) -> u64 {
        since(self.zero, instant.into_std())
    }

    pub(crate) fn is_paused(&self) -> bool {
        matches!(self.pace.get(), Pace::Paused)
    }

    /// Stops it; false if it stands still already.
    pub(crate) fn pause(&self) -> bool {
        let goes = !self.is_paused();
        if goes {
            self.nanos();
            self.pace.set(Pace::Paused);
        }
        goes
    }

    /// Sets it going again from where it stands; false if it is going.
    pub(crate) fn resume(&self) -> bool {
        let paused = self.is_paused();
        if paused {
            let pace = Pace::Resumed(self.seen.get(), SystemTime::now());
            self.pace.set(pace);
        }
        paused
    }

    /// Moves it on to `nanos` if it stands still; false if it is going.
    pub(crate) fn skip_to(&self, nanos: u64) -> bool {
        let paused = self.is_paused();
        if paused {
            self.seen.set(self.seen.get().max(nanos));
        }
        paused
    }
}

#[cold]
fn resumed(shown: u64, at: SystemTime) -> u64 {
    shown.saturating_add(nanos(at.elapsed()))
}

/// In nanoseconds, which reach for 584 years; [`NEVER`] beyond.
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    let seconds = duration.as_secs();
    if seconds >= NEVER / SECOND {
        return NEVER;
    }
    seconds * SECOND + u64::from(duration.subsec_nanos())
}

/// `duration` nanoseconds after `now`. If that is beyond what the clock reaches, thirty years
/// after, so that a paused clock has something to jump to; [`NEVER`] if that is beyond, too.
#[inline]
pub(crate) fn after(now: u64, duration: u64) -> u64 {
    match now.saturating_add(duration) {
        NEVER => now.saturating_add(FAR),
        time => time,
    }
}

#[inline]
fn since(zero: SystemTime, instant: SystemTime) -> u64 {
    nanos(instant.saturating_duration_since(zero))
}
