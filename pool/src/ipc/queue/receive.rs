//! The methods of a [`Queue`] that receive items.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::raw::limited;
use super::remote::How;
use super::taken::Taken;
use super::{Lease, Queue, QueueError};
use crate::ipc::broker::link::deadline;

impl<T: DeserializeOwned> Queue<T> {
    /// Receives an item, and confirms it. Waits while there is none. Returns `None` when the queue is
    /// closed and all its items are confirmed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an item that the future has not returned stays in the queue.
    ///
    /// # Errors
    ///
    /// Returns an error if the item does not decode or has lost its descriptors, if the owner of
    /// the queue has dropped it, or if the process of the queue cannot be reached, also if that
    /// happens during the wait.
    pub async fn recv(&self) -> Result<Option<T>, QueueError> {
        decoded(self.raw.receive(How::Take).await?)
    }

    /// Receives an item, and waits for `limit` at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`recv`](Queue::recv).
    ///
    /// # Errors
    ///
    /// Returns an error if [`recv`](Queue::recv) would, or
    /// [if the time has passed](QueueError::is_timeout).
    pub async fn recv_timeout(&self, limit: Duration) -> Result<Option<T>, QueueError> {
        decoded(limited(limit, self.raw.receive(How::Take)).await?)
    }

    /// Receives an item if there is one that no consumer has begun with. In other processes this may
    /// wait for the answer to this question.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`recv`](Queue::recv).
    ///
    /// # Errors
    ///
    /// Returns an error if [`recv`](Queue::recv) would, or
    /// [if there is no item](QueueError::is_empty).
    pub async fn try_recv(&self) -> Result<Option<T>, QueueError> {
        decoded(self.raw.try_receive(How::Take).await?)
    }

    /// Does the same as [`recv`](Queue::recv), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`recv`](Queue::recv) would. On the thread of the loop that carries the
    /// queue, [returns an error](QueueError::is_deadlock) instead of waiting.
    pub fn blocking_recv(&self) -> Result<Option<T>, QueueError> {
        decoded(self.raw.blocking_receive(How::Take, None)?)
    }

    /// Does the same as [`recv_timeout`](Queue::recv_timeout), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`recv_timeout`](Queue::recv_timeout) or
    /// [`blocking_recv`](Queue::blocking_recv) would.
    pub fn blocking_recv_timeout(&self, limit: Duration) -> Result<Option<T>, QueueError> {
        decoded(self.raw.blocking_receive(How::Take, deadline(limit))?)
    }

    /// Does the same as [`try_recv`](Queue::try_recv), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`try_recv`](Queue::try_recv) would.
    pub fn blocking_try_recv(&self) -> Result<Option<T>, QueueError> {
        decoded(self.raw.blocking_try_receive(How::Take)?)
    }

    /// Receives an item that the [`Lease`] confirms or gives back. Waits while there is none.
    /// Returns `None` when the queue is closed and all its items are confirmed.
    ///
    /// A thread holds at most 512 leases of one queue that is elsewhere, and waits for one of them
    /// to end if it asks for more.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an item that the future has not returned stays in the queue.
    ///
    /// # Errors
    ///
    /// Returns an error if [`recv`](Queue::recv) would.
    pub async fn lease(&self) -> Result<Option<Lease<T>>, QueueError> {
        leased(self.raw.receive(How::Lease).await?)
    }

    /// Leases an item, and waits for `limit` at most.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`lease`](Queue::lease).
    ///
    /// # Errors
    ///
    /// Returns an error if [`lease`](Queue::lease) would, or
    /// [if the time has passed](QueueError::is_timeout).
    pub async fn lease_timeout(&self, limit: Duration) -> Result<Option<Lease<T>>, QueueError> {
        leased(limited(limit, self.raw.receive(How::Lease)).await?)
    }

    /// Leases an item if there is one that no consumer has begun with. In other processes this may
    /// wait for the answer to this question.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: like [`lease`](Queue::lease).
    ///
    /// # Errors
    ///
    /// Returns an error if [`lease`](Queue::lease) would, or
    /// [if there is no item](QueueError::is_empty).
    pub async fn try_lease(&self) -> Result<Option<Lease<T>>, QueueError> {
        leased(self.raw.try_receive(How::Lease).await?)
    }

    /// Does the same as [`lease`](Queue::lease), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`blocking_recv`](Queue::blocking_recv) would.
    pub fn blocking_lease(&self) -> Result<Option<Lease<T>>, QueueError> {
        leased(self.raw.blocking_receive(How::Lease, None)?)
    }

    /// Does the same as [`lease_timeout`](Queue::lease_timeout), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`blocking_recv_timeout`](Queue::blocking_recv_timeout) would.
    pub fn blocking_lease_timeout(&self, limit: Duration) -> Result<Option<Lease<T>>, QueueError> {
        leased(self.raw.blocking_receive(How::Lease, deadline(limit))?)
    }

    /// Does the same as [`try_lease`](Queue::try_lease), and blocks this thread meanwhile.
    ///
    /// # Errors
    ///
    /// Returns an error if [`try_lease`](Queue::try_lease) would.
    pub fn blocking_try_lease(&self) -> Result<Option<Lease<T>>, QueueError> {
        leased(self.raw.blocking_try_receive(How::Lease)?)
    }
}

fn decoded<T: DeserializeOwned>(taken: Option<Taken>) -> Result<Option<T>, QueueError> {
    taken.map(Taken::decode).transpose()
}

fn leased<T: DeserializeOwned>(taken: Option<Taken>) -> Result<Option<Lease<T>>, QueueError> {
    taken.map(Lease::new).transpose()
}
