//! Timers: [`sleep`], [`timeout`], [`interval`], and the clock that they use.
//!
//! A timer never fires early. It is not rounded to milliseconds either: a sleep of
//! 100 µs takes 100 µs and the time that the kernel needs to wake a thread. Timers fire in
//! the order of their deadlines, and timers with equal deadlines in the order in which
//! they were first polled. Setting and cancelling a timer takes the same short time
//! however many there are.
//!
//! A loop that is parked is not woken for each of many timers. A timer may be late by
//! up to a 16th of the duration that it was set for, but at most a millisecond, if
//! another timer is due meanwhile: then one wake serves both. A single timer is not
//! delayed, and a paused clock jumps to each.
//!
//! The range of the clock is some 570 years. A timeout beyond that, such as
//! [`Duration::MAX`], has no limit; a sleep or the period of an interval beyond that
//! lasts thirty years, as in tokio. Neither panics.
//!
//! # The clock in tests
//!
//! A test that waits for real time is slow, and fails on a busy machine. So the clock
//! of a runtime can be paused: from the start, by
//! `#[coreloop::test(start_paused = true)]` or
//! [`Builder::start_paused`](crate::runtime::Builder::start_paused), or later by
//! [`pause`]. A paused clock moves in two ways only:
//!
//! - By itself: when no task is ready and nothing has arrived from the kernel or
//!   another thread, it jumps to the next timer, to the nanosecond. A test with
//!   timeouts of an hour takes a millisecond, and [`elapsed`](Instant::elapsed) is
//!   exact.
//! - By [`advance`], in one jump.
//!
//! [`Instant::now`] reads that clock, [`std::time::Instant::now`] does not.
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
//! # Differences from tokio
//!
//! Names and meanings are tokio's. tokio counts milliseconds and rounds up; coreloop
//! keeps a deadline to the nanosecond. [`Sleep`] is `Unpin`, so it need not be boxed to
//! be stored; code that pins it works too. [`advance`] returns when the timers that it
//! made due have fired, and the tasks that wait for them have run once.

pub mod error;
pub(crate) mod interval;
mod now;
mod pause;
pub(crate) mod sleep;
mod timeout;

#[doc(no_inline)]
pub use std::time::Duration;

#[doc(hidden)]
pub use crate::engine::core::limit::{Limit, Verdict};
pub use crate::engine::core::sleep::Sleep;
pub use crate::engine::timers::instant::Instant;
pub use error::Elapsed;
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use pause::{advance, pause, resume};
pub use sleep::{sleep, sleep_until};
pub use timeout::{Timeout, timeout, timeout_at};
