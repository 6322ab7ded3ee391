//! The clock of a loop, which tests can stop.
//!
//! # Invariants
//!
//! 1. It never goes back.
//! 2. `seen` is never ahead of it, and is what it shows while it stands still.

use std::cell::Cell;
use std::time::{Duration, Instant as SystemTime};

use self::system::System;
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
    system: System,
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
        let system = System::new(zero);
        let pace = if paused { Pace::Paused } else { Pace::System };
        Clock {
            zero,
            seen: Cell::new(system.nanos()),
            system,
            pace: Cell::new(pace),
        }
    }

    /// Looks at it.
    #[inline]
    pub(crate) fn nanos(&self) -> u64 {
        let now = match self.pace.get() {
            Pace::System => self.system.nanos(),
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

#[cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]
#[expect(
    unsafe_code,
    reason = "one call to libc: what `std` makes of the answer is an eighth of what a timer costs"
)]
mod system {
    use std::hash::{Hash, Hasher};
    use std::time::Instant as SystemTime;

    use super::since;

    /// The clock that `std` reads too, without what that makes of it.
    #[derive(Debug)]
    pub(crate) struct System {
        /// What it showed at the zero of the loop's clock. Where `std` does not
        /// tell, by some nanoseconds more: so that clock is behind `std`'s, and
        /// nothing is early by either.
        zero: u64,
    }

    impl System {
        pub(crate) fn new(zero: SystemTime) -> System {
            let mut closest = (u64::MAX, 0);
            // Between two of the looks the thread may have had to wait.
            for _ in 0..4 {
                let before = shown();
                let now = SystemTime::now();
                let after = shown();
                let since_zero = since(zero, now);
                let told = Told::by(now);
                if (before..=after).contains(&told) {
                    return System {
                        zero: told.wrapping_sub(since_zero),
                    };
                }
                let apart = after.wrapping_sub(before);
                closest = closest.min((apart, after.wrapping_sub(since_zero)));
            }
            System { zero: closest.1 }
        }

        /// How long ago the zero was.
        #[inline]
        pub(crate) fn nanos(&self) -> u64 {
            shown().wrapping_sub(self.zero)
        }
    }

    /// Hears what an instant of `std` is made of, which tells nobody but hashers:
    /// two numbers, of seconds and of nanoseconds. If it is ever made of others,
    /// what was heard is not between two looks.
    #[derive(Default)]
    struct Told {
        seconds: u64,
        nanos: u64,
    }

    impl Told {
        fn by(instant: SystemTime) -> u64 {
            let mut told = Told::default();
            instant.hash(&mut told);
            in_all(told.seconds, told.nanos)
        }
    }

    impl Hasher for Told {
        fn write(&mut self, _: &[u8]) {}

        fn write_i64(&mut self, seconds: i64) {
            self.seconds = u64::try_from(seconds).unwrap_or(0);
        }

        fn write_u32(&mut self, nanos: u32) {
            self.nanos = nanos.into();
        }

        fn finish(&self) -> u64 {
            0
        }
    }

    #[inline]
    fn in_all(seconds: u64, nanos: u64) -> u64 {
        seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos)
    }

    /// The time since the machine was started, if nothing is wrapped around.
    #[inline]
    fn shown() -> u64 {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let place = &raw mut time;
        // It does not fail, as there is such a clock: `std` has the same. If it
        // did, the time would stand still.
        // SAFETY: it writes one `timespec` to the place, which is for that.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, place) };
        // Neither is negative. Each is read for itself, as it was written: both
        // at once would have to wait until they are in the cache.
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        in_all(seconds, nanos)
    }

    #[cfg(test)]
    mod tests {
        use std::time::{Duration, Instant as SystemTime};

        use super::{System, since};

        #[test]
        fn it_goes_as_that_of_std() {
            for _ in 0..100 {
                let zero = SystemTime::now() - Duration::from_secs(5);
                let system = System::new(zero);
                let before = since(zero, SystemTime::now());
                let shown = system.nanos();
                let after = since(zero, SystemTime::now());
                assert!((before..=after).contains(&shown));
            }
        }
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", not(miri))))]
mod system {
    use std::time::Instant as SystemTime;

    use crate::time::nanos;

    /// The clock of `std`.
    #[derive(Debug)]
    pub(crate) struct System {
        zero: SystemTime,
    }

    impl System {
        pub(crate) fn new(zero: SystemTime) -> System {
            System { zero }
        }

        /// How long ago the zero was.
        #[inline]
        pub(crate) fn nanos(&self) -> u64 {
            nanos(self.zero.elapsed())
        }
    }
}
