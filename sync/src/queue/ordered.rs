//! Queues that return items in another order.

use std::fmt;
use std::ops::Deref;

use super::Queue;
use super::items::Items;

/// A [`Queue`] that returns the item that was put last.
///
/// # Examples
///
/// ```
/// use coreloop::sync::LifoQueue;
///
/// let stack = LifoQueue::new(0);
/// stack.try_put(1).unwrap();
/// stack.try_put(2).unwrap();
/// assert_eq!(stack.try_get(), Ok(2));
/// assert_eq!(stack.try_get(), Ok(1));
/// ```
pub struct LifoQueue<T>(Queue<T>);

impl<T> LifoQueue<T> {
    /// Creates a queue for at most `maxsize` items; zero means any number.
    #[must_use]
    pub fn new(maxsize: usize) -> Self {
        Self(Queue::of(Items::last_in_first_out(), maxsize))
    }
}

impl<T> Deref for LifoQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0
    }
}

impl<T> fmt::Debug for LifoQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LifoQueue").field(&self.0).finish()
    }
}

/// A [`Queue`] that returns the smallest item, and among equal items the one that was
/// put first.
///
/// The `Ord` of the items must not use the queue that they are in, or the queue panics.
///
/// # Examples
///
/// ```
/// use coreloop::sync::PriorityQueue;
///
/// let queue = PriorityQueue::new(0);
/// for item in [(2, "later"), (1, "first"), (3, "last")] {
///     queue.try_put(item).unwrap();
/// }
/// assert_eq!(queue.try_get(), Ok((1, "first")));
/// assert_eq!(queue.try_get(), Ok((2, "later")));
/// ```
pub struct PriorityQueue<T>(Queue<T>);

impl<T: Ord> PriorityQueue<T> {
    /// Creates a queue for at most `maxsize` items; zero means any number.
    #[must_use]
    pub fn new(maxsize: usize) -> Self {
        Self(Queue::of(Items::smallest_first(), maxsize))
    }
}

impl<T> Deref for PriorityQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0
    }
}

impl<T> fmt::Debug for PriorityQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PriorityQueue").field(&self.0).finish()
    }
}
