//! [`LoopStreamExt`]: methods of streams that need the loop's timers or budget.

mod chunks_timeout;
mod debounce;
mod interval;
mod merge;
mod throttle;
mod timeout;

use std::time::Duration;

use futures_core::Stream;

pub use chunks_timeout::ChunksTimeout;
pub use debounce::Debounce;
pub use interval::IntervalStream;
pub use merge::Merge;
pub use throttle::Throttle;
pub use timeout::Timeout;

/// An extension trait with the methods of streams that need the event loop.
///
/// All other methods are in `futures-lite` or `futures-util`. None of these has the name
/// of a method here, so both traits can be in scope.
///
/// # Examples
///
/// ```
/// use coreloop::for_await;
/// use coreloop::stream::{IntervalStream, LoopStreamExt};
/// use coreloop::time::interval;
/// use std::time::Duration;
///
/// # coreloop::block_on(async {
/// # coreloop::time::pause();
/// let second = Duration::from_secs(1);
/// let ticks = IntervalStream::new(interval(second));
/// for_await!(batch in ticks.chunks_timeout(5, 10 * second) {
///     assert_eq!(batch.len(), 5);
///     break;
/// });
/// # })
/// ```
pub trait LoopStreamExt: Stream {
    /// Yields an error when the next item does not arrive within `duration`.
    ///
    /// The items are results. After an error there is no time limit until the next item
    /// arrives. The time for the first item counts from this call, and the time for each
    /// other item from the item before.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::stream::{LoopStreamExt, stream};
    /// use coreloop::{for_await, time::sleep};
    /// use std::time::Duration;
    ///
    /// # coreloop::block_on(async {
    /// # coreloop::time::pause();
    /// let slow = stream(async |mut co| {
    ///     co.yield_("at once").await?;
    ///     sleep(Duration::from_secs(3)).await;
    ///     co.yield_("late").await
    /// });
    /// let mut seen = Vec::new();
    /// for_await!(item in slow.timeout(Duration::from_secs(1)) {
    ///     seen.push(item.ok());
    /// });
    /// assert_eq!(seen, [Some("at once"), None, Some("late")]);
    /// # })
    /// ```
    #[track_caller]
    fn timeout(self, duration: Duration) -> Timeout<Self>
    where
        Self: Sized,
    {
        Timeout::new(self, duration)
    }

    /// Waits for at least `duration` between two items.
    ///
    /// The underlying stream is not polled in the meantime, and no item is dropped.
    ///
    /// # Panics
    ///
    /// The stream panics outside a runtime, when its first item arrives.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::stream::{LoopStreamExt, stream};
    /// use coreloop::{for_await, time::Instant};
    /// use std::time::Duration;
    ///
    /// # coreloop::block_on(async {
    /// # coreloop::time::pause();
    /// let all_at_once = stream(async |mut co| {
    ///     for number in 1..=3 {
    ///         co.yield_(number).await?;
    ///     }
    ///     Ok(())
    /// });
    /// let start = Instant::now();
    /// let mut seen = Vec::new();
    /// for_await!(number in all_at_once.throttle(Duration::from_secs(1)) {
    ///     seen.push((number, start.elapsed().as_secs()));
    /// });
    /// assert_eq!(seen, [(1, 0), (2, 1), (3, 2)]);
    /// # })
    /// ```
    fn throttle(self, duration: Duration) -> Throttle<Self>
    where
        Self: Sized,
    {
        Throttle::new(self, duration)
    }

    /// Collects items into vectors of `max_size`, or fewer if no more arrive within
    /// `duration` after the first.
    ///
    /// No vector is empty. Dropping the stream drops the items collected so far.
    ///
    /// # Panics
    ///
    /// Panics if `max_size` is zero. The stream panics outside a runtime, when its first
    /// item arrives.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::stream::{LoopStreamExt, stream};
    /// use coreloop::{for_await, time::sleep};
    /// use std::time::Duration;
    ///
    /// # coreloop::block_on(async {
    /// # coreloop::time::pause();
    /// let rows = stream(async |mut co| {
    ///     for number in 1..=4 {
    ///         co.yield_(number).await?;
    ///     }
    ///     sleep(Duration::from_secs(60)).await;
    ///     co.yield_(5).await
    /// });
    /// let mut batches = Vec::new();
    /// for_await!(batch in rows.chunks_timeout(3, Duration::from_secs(1)) {
    ///     batches.push(batch);
    /// });
    /// assert_eq!(batches, [vec![1, 2, 3], vec![4], vec![5]]);
    /// # })
    /// ```
    #[track_caller]
    fn chunks_timeout(self, max_size: usize, duration: Duration) -> ChunksTimeout<Self>
    where
        Self: Sized,
    {
        ChunksTimeout::new(self, max_size, duration)
    }

    /// Yields an item only when no other item has followed it within `duration`, and drops
    /// the items that were followed sooner.
    ///
    /// When the underlying stream ends, its last item is yielded at once.
    ///
    /// # Panics
    ///
    /// The stream panics outside a runtime, when its first item arrives.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::stream::{LoopStreamExt, stream};
    /// use coreloop::{for_await, time::sleep};
    /// use std::time::Duration;
    ///
    /// # coreloop::block_on(async {
    /// # coreloop::time::pause();
    /// let typed = stream(async |mut co| {
    ///     for text in ["h", "he", "hel"] {
    ///         co.yield_(text).await?;
    ///         sleep(Duration::from_millis(50)).await;
    ///     }
    ///     sleep(Duration::from_secs(1)).await;
    ///     co.yield_("hello").await
    /// });
    /// let mut searched = Vec::new();
    /// for_await!(text in typed.debounce(Duration::from_millis(300)) {
    ///     searched.push(text);
    /// });
    /// assert_eq!(searched, ["hel", "hello"]);
    /// # })
    /// ```
    fn debounce(self, duration: Duration) -> Debounce<Self>
    where
        Self: Sized,
    {
        Debounce::new(self, duration)
    }

    /// Merges two streams into one, whose items are in the order in which they arrive.
    ///
    /// The merged stream ends when both streams have ended. If both have items, they
    /// alternate. Each item spends a unit of the task's [budget](crate::task::coop), so
    /// other tasks run even if both streams always have an item. If the stream that was
    /// polled first spends the whole budget itself, it is polled second the next time.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::stream::{LoopStreamExt, stream};
    /// use coreloop::{for_await, time::sleep};
    /// use std::time::Duration;
    ///
    /// # coreloop::block_on(async {
    /// # coreloop::time::pause();
    /// let every = |name: &'static str, pause| {
    ///     stream(async move |mut co| {
    ///         for _ in 0..2 {
    ///             sleep(Duration::from_secs(pause)).await;
    ///             co.yield_(name).await?;
    ///         }
    ///         Ok(())
    ///     })
    /// };
    /// let mut seen = Vec::new();
    /// for_await!(name in every("quick", 2).merge(every("slow", 3)) {
    ///     seen.push(name);
    /// });
    /// assert_eq!(seen, ["quick", "slow", "quick", "slow"]);
    /// # })
    /// ```
    fn merge<S>(self, other: S) -> Merge<Self, S>
    where
        Self: Sized,
        S: Stream<Item = Self::Item>,
    {
        Merge::new(self, other)
    }
}

impl<S: Stream + ?Sized> LoopStreamExt for S {}
