//! Counters and gauges of a program, which the master of a [`Supervisor`](crate::Supervisor)
//! sums over its workers.
//!
//! [`counter`] and [`gauge`] return handles. A handle is found once and kept: an update of it is
//! one relaxed atomic operation. The same name and labels lead to the same value from
//! everywhere in the process.
//!
//! The workers of a supervisor send the values that have changed to their master: with each
//! [heartbeat](crate::Supervisor::heartbeat), when [`Control::metrics`](crate::Control::metrics)
//! or a scraper asks, and once more when they end. The master adds what its own process counts.
//!
//! - A counter is summed over all workers that ever ran, so it never falls: not by a reload, and
//!   not if a worker is killed, whose last known value stays counted. A new master, after an
//!   upgrade, begins at zero, as after a restart.
//! - A gauge is summed over the workers that run. Worker threads share one process, so there a
//!   gauge stays as it is when the thread that set it has ended.
//!
//! # Limits
//!
//! A process can have 1,000 series, which are combinations of a name and labels. Handles to
//! further ones work, but are not sent, as are those whose name and labels together have more
//! than 1,000 bytes. They are counted in `coreloop_metrics_series_refused_total`, and a worker
//! process reports the first of them; with worker threads they are only counted, in
//! `coreloop_master_metrics_refused_total`. So a label must not have a value for each user or
//! address.
//!
//! # Examples
//!
//! ```
//! use coreloop::process::metrics::{counter, gauge};
//!
//! let requests = counter("requests").help("Requests that were answered.");
//! let ok = requests.label("code", "200");
//! ok.inc();
//!
//! let queue = gauge("queue_length").help("Jobs that wait.");
//! queue.set(12);
//! queue.add(-2);
//! assert_eq!((ok.get(), queue.get()), (1, 10));
//! ```
//!
//! The page of the metrics then has the lines `requests_total{code="200"} 1` and
//! `queue_length 10`.

mod changes;
mod name;
mod registry;
mod text;
mod totals;

use std::fmt;
use std::sync::atomic::Ordering;

pub(crate) use self::changes::{Change, Outbox};
use self::registry::Handle;
pub(crate) use self::registry::{Kind, refused};
pub(crate) use self::text::{Format, Text};
pub(crate) use self::totals::Totals;

/// Returns the counter of this name, without labels.
///
/// In the text of the metrics its name ends in `_total`, which is not written here. A counter
/// without labels appears there if it was increased, or if no counter with labels has its name.
///
/// # Panics
///
/// Panics if the name is not a letter or underscore followed by letters, digits and underscores
/// of ASCII; if it ends in `_total` or in another suffix that OpenMetrics reserves (`_created`,
/// `_bucket`, `_count`, `_sum`, `_info`); if it begins with `coreloop_`; or if it is the name of
/// a gauge.
#[track_caller]
#[must_use]
pub fn counter(name: &str) -> Counter {
    Counter(registry::family(name, Kind::Counter))
}

/// Returns the gauge of this name, without labels.
///
/// A gauge without labels appears in the text of the metrics if it is not zero, or if no gauge
/// with labels has its name.
///
/// # Panics
///
/// Panics for the names for which [`counter`] does, and if it is the name of a counter.
#[track_caller]
#[must_use]
pub fn gauge(name: &str) -> Gauge {
    Gauge(registry::family(name, Kind::Gauge))
}

/// A number that only rises, such as the requests that were answered.
///
/// Clones refer to the same number.
#[derive(Clone)]
pub struct Counter(Handle);

impl Counter {
    /// Sets the text that explains the counter to readers of the metrics. The first text is
    /// kept; it is cut after 256 bytes.
    #[must_use]
    pub fn help(self, text: &str) -> Self {
        self.0.set_help(text);
        self
    }

    /// Returns the counter with one more label. Looking it up takes a lock, so a handle that is
    /// used often should be kept.
    ///
    /// A label without a value is as if there were none: this returns the counter itself.
    ///
    /// # Panics
    ///
    /// Panics if the name is not a letter or underscore followed by letters, digits and
    /// underscores of ASCII, if it begins with two underscores, or if the counter has this label
    /// already.
    #[track_caller]
    #[must_use]
    pub fn label(&self, name: &str, value: impl fmt::Display) -> Self {
        Self(self.0.label(name, &value))
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `count`. Beyond `u64::MAX` the number begins at zero again.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.value().fetch_add(count, Ordering::Relaxed);
    }

    /// Returns the number of this process.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.value().load(Ordering::Relaxed)
    }
}

/// A number that rises and falls, such as the length of a queue.
///
/// Clones refer to the same number.
#[derive(Clone)]
pub struct Gauge(Handle);

impl Gauge {
    /// Sets the text that explains the gauge to readers of the metrics. The first text is
    /// kept; it is cut after 256 bytes.
    #[must_use]
    pub fn help(self, text: &str) -> Self {
        self.0.set_help(text);
        self
    }

    /// Returns the gauge with one more label. Looking it up takes a lock, so a handle that is
    /// used often should be kept.
    ///
    /// A label without a value is as if there were none: this returns the gauge itself.
    ///
    /// # Panics
    ///
    /// Panics if [`Counter::label`] would.
    #[track_caller]
    #[must_use]
    pub fn label(&self, name: &str, value: impl fmt::Display) -> Self {
        Self(self.0.label(name, &value))
    }

    /// Sets the number.
    #[inline]
    pub fn set(&self, value: i64) {
        self.0
            .value()
            .store(value.cast_unsigned(), Ordering::Relaxed);
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Subtracts one.
    #[inline]
    pub fn dec(&self) {
        self.add(-1);
    }

    /// Adds `count`, which may be negative. The number wraps around at the bounds of `i64`.
    #[inline]
    pub fn add(&self, count: i64) {
        // In two's complement this is the addition of signed numbers.
        self.0
            .value()
            .fetch_add(count.cast_unsigned(), Ordering::Relaxed);
    }

    /// Returns the number of this process.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.value().load(Ordering::Relaxed).cast_signed()
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f.debug_struct("Counter"), &self.get())
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f.debug_struct("Gauge"), &self.get())
    }
}

#[cfg(test)]
mod tests;
