//! [`SharedQueue`], the handle of a queue.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::leased::{LeasedItem, Leases};
use super::ops::{self, Op};
use super::service::PREFIX;
use crate::error::Error;
use crate::services::{Access, Options, decode, encode};

/// A bounded first-in-first-out queue of a manager, which its clients share: Python's queue of a
/// `BaseManager`.
///
/// [`Manager::queue`](crate::Manager::queue) and [`Client::queue`](crate::Client::queue) return
/// handles. Clones are handles of the same queue.
///
/// [`get`](Self::get) confirms an item when it returns it: if the client is killed afterwards, the
/// item is lost with it. [`lease`](Self::lease) leaves the confirmation to the caller: an item that
/// was not confirmed comes back to its place when the [`LeasedItem`] is dropped, when its client
/// leaves, or when its client has been away for longer than the grace of the manager.
///
/// The futures of a queue wait without a limit while the manager can be reached; limit them with
/// `coreloop::time::timeout`. When it cannot be reached for a minute, they fail.
///
/// # Examples
///
/// ```
/// use coreloop::jobs::{Client, Key, Manager};
///
/// # fn main() -> Result<(), coreloop::jobs::Error> {
/// # coreloop::block_on(async {
/// let key = Key::random()?;
/// let manager = Manager::bind("127.0.0.1:0").key(&key).queue("tasks", 100).start().await?;
/// let tasks = manager.queue::<u32>("tasks");
/// tasks.put(&7).await?;
///
/// // In another process:
/// let client = Client::connect(manager.address(), &key).await?;
/// let tasks = client.queue::<u32>("tasks");
/// let task = tasks.lease().await?;
/// assert_eq!(*task, 7);
/// task.ack().await?;
/// # Ok(()) })
/// # }
/// ```
pub struct SharedQueue<T> {
    access: Access,
    service: Rc<str>,
    items: PhantomData<fn(T) -> T>,
}

impl<T> SharedQueue<T> {
    pub(crate) fn new(access: Access, name: &str) -> Self {
        Self {
            access,
            service: format!("{PREFIX}{name}").into(),
            items: PhantomData,
        }
    }

    /// Returns the name of the queue.
    #[must_use]
    pub fn name(&self) -> &str {
        self.service.strip_prefix(PREFIX).unwrap_or(&self.service)
    }

    /// Returns how many items wait in the queue, without those under a lease.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing changes.
    ///
    /// # Errors
    ///
    /// Returns an error if the manager has no such queue, or cannot be reached.
    pub async fn len(&self) -> Result<u64, Error> {
        ops::parse_number(&self.request(&Op::Len, true).await?)
    }

    /// Returns whether no items wait in the queue.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing changes.
    ///
    /// # Errors
    ///
    /// Returns an error like [`len`](Self::len).
    pub async fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len().await? == 0)
    }

    /// Waits until all items that were put have been confirmed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing changes.
    ///
    /// # Errors
    ///
    /// Returns an error like [`len`](Self::len).
    pub async fn join(&self) -> Result<(), Error> {
        self.request(&Op::Join, true).await.map(drop)
    }

    /// Closes the queue: it accepts no more items, and a `put` that waits for room fails. Clients
    /// still get the items that are in the queue. After the last one, `get` returns an error for
    /// which [`is_closed`](Error::is_closed) is true.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the queue may have been closed.
    ///
    /// # Errors
    ///
    /// Returns an error like [`len`](Self::len).
    pub async fn close(&self) -> Result<(), Error> {
        self.request(&Op::Close, true).await.map(drop)
    }

    async fn request(&self, op: &Op<'_>, repeat: bool) -> Result<Vec<u8>, Error> {
        let options = Options {
            timeout: None,
            repeat,
        };
        self.access
            .request(&self.service, op.to_bytes(), options)
            .await
    }
}

impl<T: Serialize> SharedQueue<T> {
    /// Puts an item at the end of the queue, and waits for room.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the item may have been put.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue was closed, if the item does not encode or is too long, or like
    /// [`len`](Self::len). If the error [`is_lost`](Error::is_lost), the item may have been put.
    pub async fn put(&self, item: &T) -> Result<(), Error> {
        let body = encode(item)?;
        self.put_bodies(&[&body], true).await.map(drop)
    }

    /// Puts an item at the end of the queue if there is room, and returns whether there was.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the item may have been put.
    ///
    /// # Errors
    ///
    /// Returns an error like [`put`](Self::put).
    pub async fn try_put(&self, item: &T) -> Result<bool, Error> {
        let body = encode(item)?;
        self.put_bodies(&[&body], false).await
    }

    /// Puts several items at the end of the queue in one message, and waits for room. No other
    /// items come between them.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped, the first of the items may have been put.
    ///
    /// # Errors
    ///
    /// Returns an error like [`put`](Self::put), after which the first of the items may have been
    /// put, or if all of them are too long for one message.
    pub async fn put_many<'a, I>(&self, items: I) -> Result<(), Error>
    where
        T: 'a,
        I: IntoIterator<Item = &'a T>,
    {
        let bodies: Result<Vec<_>, _> = items.into_iter().map(encode).collect();
        let bodies = bodies?;
        let bodies: Vec<_> = bodies.iter().map(Vec::as_slice).collect();
        self.put_bodies(&bodies, true).await.map(drop)
    }

    async fn put_bodies(&self, bodies: &[&[u8]], waits: bool) -> Result<bool, Error> {
        let bodies = bodies.to_vec();
        // An item that was put twice would be worse than an error.
        let answer = self.request(&Op::Put { waits, bodies }, false).await?;
        ops::parse_put(&answer)
    }
}

impl<T: DeserializeOwned> SharedQueue<T> {
    /// Takes the first item, and waits for one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an item that was on its way comes back to its place.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue was closed and is empty, or like [`len`](Self::len). If the
    /// item is of another type, it comes back to its place.
    pub async fn get(&self) -> Result<T, Error> {
        self.lease().await.map(LeasedItem::confirm)
    }

    /// Takes the first item if there is one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an item that was on its way comes back to its place.
    ///
    /// # Errors
    ///
    /// Returns an error like [`get`](Self::get).
    pub async fn try_get(&self) -> Result<Option<T>, Error> {
        let leased = self.lease_items(1, false).await?.pop();
        Ok(leased.map(LeasedItem::confirm))
    }

    /// Takes between 1 and `max` items in one message, and waits for the first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: items that were on their way come back to their places.
    ///
    /// # Errors
    ///
    /// Returns an error like [`get`](Self::get).
    pub async fn get_many(&self, max: usize) -> Result<Vec<T>, Error> {
        let items = self.lease_items(max, true).await?;
        Ok(LeasedItem::confirm_all(items))
    }

    /// Leases the first item, and waits for one. No other client gets it while the lease is valid.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an item that was on its way comes back to its place.
    ///
    /// # Errors
    ///
    /// Returns an error like [`get`](Self::get).
    pub async fn lease(&self) -> Result<LeasedItem<T>, Error> {
        loop {
            if let Some(item) = self.lease_items(1, true).await?.pop() {
                return Ok(item);
            }
        }
    }

    /// Leases between 1 and `max` items in one message, and waits for the first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: items that were on their way come back to their places.
    ///
    /// # Errors
    ///
    /// Returns an error like [`get`](Self::get).
    pub async fn lease_many(&self, max: usize) -> Result<Vec<LeasedItem<T>>, Error> {
        self.lease_items(max, true).await
    }

    async fn lease_items(&self, max: usize, waits: bool) -> Result<Vec<LeasedItem<T>>, Error> {
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        let answer = self.request(&Op::Get { waits, max }, true).await?;
        // From here on, the leases come back if an item does not decode, or decoding panics.
        let mut leases = Leases::new(&self.access, &self.service, ops::parse_granted(&answer)?);
        let mut items = Vec::new();
        while let Some((lease, attempt, body)) = leases.next() {
            let lease = leases.hold(lease);
            items.push(LeasedItem::new(decode(body)?, attempt, lease));
        }
        Ok(items)
    }
}

impl<T> Clone for SharedQueue<T> {
    fn clone(&self) -> Self {
        Self {
            access: self.access.clone(),
            service: Rc::clone(&self.service),
            items: PhantomData,
        }
    }
}

impl<T> fmt::Debug for SharedQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedQueue")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
