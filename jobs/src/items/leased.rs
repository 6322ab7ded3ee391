//! [`LeasedItem`], an item that was not confirmed yet.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::vec;

use super::ops::{self, Item, Op};
use crate::error::{Error, Kind};
use crate::services::{Access, Options};

/// An item of a [`SharedQueue`](crate::SharedQueue) under a lease. It dereferences to the item.
///
/// Dropping it returns the item to its place in the queue, from which another client gets it.
#[must_use = "dropping it returns the item to the queue"]
pub struct LeasedItem<T> {
    item: T,
    attempt: u32,
    lease: Lease,
}

impl<T> LeasedItem<T> {
    pub(super) fn new(item: T, attempt: u32, lease: Lease) -> Self {
        Self {
            item,
            attempt,
            lease,
        }
    }

    /// Returns how often the item has been leased: 1 for the first time.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Confirms the item: it has left the queue for good. Waits until the manager has confirmed
    /// that.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: once the future was polled, the item is confirmed even if it is dropped. A
    /// future that was never polled returns the item to the queue.
    ///
    /// # Errors
    ///
    /// Returns an error if the lease has ended, because this client was away for longer than the
    /// grace of the manager, or because the manager was started anew. The item may be with another
    /// client then. Also returns an error if the manager cannot be reached.
    pub async fn ack(self) -> Result<(), Error> {
        let Self { mut lease, .. } = self;
        lease.confirm_on_drop = true;
        let options = Options {
            timeout: None,
            repeat: true,
        };
        let body = Op::Ack(vec![lease.number]).to_bytes();
        let access = lease.access.clone();
        let answer = access.request(&lease.service, body, options).await?;
        lease.is_done = true;
        match ops::parse_number(&answer)? {
            1 => Ok(()),
            _ => {
                let text = "the lease of the item has ended: the item may be with another client";
                Err(Error::new(Kind::Closed, text))
            }
        }
    }

    /// Confirms the item without waiting for the manager, and returns it.
    ///
    /// If the process is killed before the manager has received the confirmation, the item comes
    /// back to the queue.
    #[must_use = "use `drop` on the item if it is not needed"]
    pub fn confirm(self) -> T {
        let Self {
            item, mut lease, ..
        } = self;
        lease.confirm_on_drop = true;
        item
    }

    /// Confirms several items of one answer in one message.
    pub(super) fn confirm_all(items: Vec<Self>) -> Vec<T> {
        let mut numbers = Vec::with_capacity(items.len());
        let mut route = None;
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            let Self {
                item, mut lease, ..
            } = item;
            lease.is_done = true;
            numbers.push(lease.number);
            route.get_or_insert_with(|| (lease.access.clone(), Rc::clone(&lease.service)));
            values.push(item);
        }
        if let Some((access, service)) = route {
            access.notify(&service, Op::Ack(numbers).to_bytes());
        }
        values
    }
}

impl<T> Deref for LeasedItem<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: fmt::Debug> fmt::Debug for LeasedItem<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedItem")
            .field("item", &self.item)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// A lease, which is given back or confirmed when it is dropped.
pub(super) struct Lease {
    access: Access,
    service: Rc<str>,
    number: u64,
    confirm_on_drop: bool,
    /// Whether the end of the lease needs no message any more.
    is_done: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let numbers = vec![self.number];
        let op = if self.confirm_on_drop {
            Op::Ack(numbers)
        } else {
            Op::GiveBack(numbers)
        };
        self.access.notify(&self.service, op.to_bytes());
    }
}

/// The items of an answer that were not looked at. Dropping it gives them back.
pub(super) struct Leases<'a> {
    access: &'a Access,
    service: &'a Rc<str>,
    items: vec::IntoIter<Item<'a>>,
}

impl<'a> Leases<'a> {
    pub(super) fn new(access: &'a Access, service: &'a Rc<str>, items: Vec<Item<'a>>) -> Self {
        Self {
            access,
            service,
            items: items.into_iter(),
        }
    }

    pub(super) fn next(&mut self) -> Option<Item<'a>> {
        self.items.next()
    }

    pub(super) fn hold(&self, number: u64) -> Lease {
        Lease {
            access: self.access.clone(),
            service: Rc::clone(self.service),
            number,
            confirm_on_drop: false,
            is_done: false,
        }
    }
}

impl Drop for Leases<'_> {
    fn drop(&mut self) {
        let left: Vec<_> = self.items.by_ref().map(|(lease, ..)| lease).collect();
        if !left.is_empty() {
            let op = Op::GiveBack(left);
            self.access.notify(self.service, op.to_bytes());
        }
    }
}
