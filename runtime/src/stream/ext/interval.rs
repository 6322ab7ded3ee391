//! [`IntervalStream`]: ticks as items.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::engine::timers::instant::Instant;
use crate::time::interval::Interval;

/// The stream of the ticks of an [`Interval`], which does not end.
///
/// Each item is the instant at which the tick was due.
///
/// # Examples
///
/// ```
/// use coreloop::stream::IntervalStream;
/// use coreloop::{for_await, time};
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// # time::pause();
/// let start = time::Instant::now();
/// let second = Duration::from_secs(1);
/// for_await!(tick in IntervalStream::new(time::interval(second)) {
///     if tick == start + 3 * second {
///         break;
///     }
/// });
/// assert_eq!(start.elapsed(), 3 * second);
/// # })
/// ```
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct IntervalStream {
    interval: Interval,
}

impl IntervalStream {
    /// Creates a stream of the ticks of `interval`.
    pub fn new(interval: Interval) -> Self {
        Self { interval }
    }

    /// Returns the underlying interval.
    #[must_use]
    pub fn into_inner(self) -> Interval {
        self.interval
    }
}

impl Stream for IntervalStream {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.interval.poll_tick(cx).map(Some)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

impl From<Interval> for IntervalStream {
    fn from(interval: Interval) -> Self {
        Self::new(interval)
    }
}

impl AsRef<Interval> for IntervalStream {
    fn as_ref(&self) -> &Interval {
        &self.interval
    }
}

impl AsMut<Interval> for IntervalStream {
    fn as_mut(&mut self) -> &mut Interval {
        &mut self.interval
    }
}
