//! Timers: [`sleep`], [`timeout`], [`interval`], and the clock they go by.
//!
//! A timer never fires early. It is not rounded to milliseconds either: a sleep
//! of 100 µs takes 100 µs and what the kernel needs to wake a thread. Timers
//! fire in the order of their deadlines, and those with equal ones in the order
//! in which they were first polled. Setting and cancelling one takes the same
//! short time however many there are.
//!
//! A loop that sleeps is not woken for each of many timers. One may be late by
//! up to a 16th of the time it was set for, a millisecond at most, if another is
//! due meanwhile: then one wake does for both. A timer that is alone is not put
//! off, and a clock that is paused jumps to each.
//!
//! The clock reaches for some 570 years. A timeout beyond that, as one of
//! [`Duration::MAX`], has no limit; a sleep or the period of an interval is taken for
//! thirty years, as in tokio; nothing panics.
//!
//! # The clock in tests
//!
//! A test that waits for real time is slow, and fails on a busy machine. So the
//! clock of a runtime can be stopped: from the start, by
//! `#[coreloop::test(start_paused = true)]` or
//! [`Builder::start_paused`](crate::runtime::Builder::start_paused), or later by
//! [`pause`]. A clock that is paused moves in two ways only:
//!
//! - By itself: when no task is ready and neither the kernel nor another thread
//!   has anything new, it jumps to the next timer, to the nanosecond. A test of
//!   an hour's timeouts takes a millisecond, and
//!   [`elapsed`](Instant::elapsed) is exact.
//! - By [`advance`], at one jump.
//!
//! [`Instant::now`] asks that clock, [`std::time::Instant::now`] does not.
//!
//! ```
//! use coreloop::time::{self, Instant, sleep, timeout};
//! use std::time::Duration;
//!
//! # coreloop::block_on(async {
//! time::pause();
//! let start = Instant::now();
//! let hour = Duration::from_secs(3600);
//! assert!(timeout(hour, sleep(2 * hour)).await.is_err());
//! assert_eq!(start.elapsed(), hour);
//! # })
//! ```
//!
//! # For those who know tokio
//!
//! Names and meanings are tokio's. What differs: tokio counts milliseconds and
//! rounds up; here a deadline is kept to the nanosecond. [`Sleep`] is `Unpin`,
//! so it need not be boxed to be kept; code that pins it works too.
//! [`advance`] returns when the timers that it made due have fired, and the tasks that
//! wait for them have run once.

#[cfg(feature = "hyper")]
pub(crate) mod dormant;
pub mod error;
mod interval;
mod now;
mod pause;
mod sleep;
mod timeout;

#[doc(no_inline)]
pub use std::time::Duration;

pub use crate::engine::timers::instant::Instant;
#[doc(hidden)]
pub use crate::engine::timers::limit::{Limit, Verdict};
pub use crate::engine::timers::sleep::Sleep;
pub use error::Elapsed;
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use pause::{advance, pause, resume};
pub use sleep::{sleep, sleep_until};
pub use timeout::{Timeout, timeout, timeout_at};
