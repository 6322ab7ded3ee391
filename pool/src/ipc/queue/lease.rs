//! [`Lease`], an item that is not confirmed.

use std::fmt;
use std::ops::{Deref, DerefMut};

use serde::de::DeserializeOwned;

use super::error::QueueError;
use super::taken::{Holding, Taken};

/// An item of a [`Queue`](super::Queue) that this process works on and has not confirmed.
///
/// - [`ack`](Lease::ack) confirms it: the queue forgets the item.
/// - Dropping the lease gives the item back, and so does [`nack`](Lease::nack). Another consumer, or
///   this one, receives it again, before all items that were sent after it. So an item is not lost
///   when the work on it returns an error by `?`, is cancelled or panics.
/// - If the process ends, the item goes back too, unless it was confirmed before. That is decided by
///   one instruction of `ack`, not by a message, so a process that is killed after `ack` has
///   returned has confirmed the item.
///
/// So every item is worked on at least once, and again only if a consumer ends, or gives the item
/// back, before it has confirmed it. [`deliveries`](Lease::deliveries) returns how often that has
/// happened.
///
/// The lease dereferences to the item. It belongs to the thread that has received it.
///
/// # Examples
///
/// ```
/// use coreloop::ipc::Queue;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # coreloop::block_on(async {
/// let queue = Queue::new(10)?;
/// queue.send("first".to_owned()).await?;
/// queue.send("second".to_owned()).await?;
///
/// let lease = queue.lease().await?.ok_or("the queue is closed")?;
/// assert_eq!((lease.as_str(), lease.deliveries()), ("first", 0));
/// // It did not work.
/// lease.nack();
///
/// let lease = queue.lease().await?.ok_or("the queue is closed")?;
/// assert_eq!((lease.as_str(), lease.deliveries()), ("first", 1));
/// let first = lease.ack();
/// assert_eq!(first, "first");
/// assert_eq!(queue.recv().await?, Some("second".to_owned()));
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use = "the item goes back to the queue when its lease is dropped"]
pub struct Lease<T> {
    value: T,
    deliveries: u32,
    holding: Holding,
}

impl<T> Lease<T> {
    /// Confirms the item, and returns it.
    pub fn ack(self) -> T {
        let Self { value, holding, .. } = self;
        holding.confirm();
        value
    }

    /// Gives the item back to the queue.
    pub fn nack(self) {
        let Self { value, holding, .. } = self;
        // Before the destructor of the value, which is user code.
        drop(holding);
        drop(value);
    }

    /// Returns how often the item was leased before and went back to the queue: 0 the first time.
    ///
    /// To end with an item that fails again and again, [`ack`](Lease::ack) it and report it.
    #[must_use]
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }
}

impl<T: DeserializeOwned> Lease<T> {
    /// An item that does not decode is confirmed, because no consumer could use it.
    pub(super) fn new(mut taken: Taken) -> Result<Self, QueueError> {
        let deliveries = taken.deliveries();
        let Some(holding) = taken.holding.take() else {
            return Err(crate::ipc::broker::error::garbled().into());
        };
        // If it panics, too.
        let confirming = Confirming(Some(holding));
        let value = taken.decode()?;
        match confirming.disarm() {
            Some(holding) => Ok(Self {
                value,
                deliveries,
                holding,
            }),
            None => Err(crate::ipc::broker::error::garbled().into()),
        }
    }
}

/// Confirms an item when it is dropped.
struct Confirming(Option<Holding>);

impl Confirming {
    fn disarm(mut self) -> Option<Holding> {
        self.0.take()
    }
}

impl Drop for Confirming {
    fn drop(&mut self) {
        if let Some(holding) = self.0.take() {
            holding.confirm();
        }
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("value", &self.value)
            .field("deliveries", &self.deliveries)
            .finish_non_exhaustive()
    }
}
