//! Putting items in a queue.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use coreloop_runtime::task::coop::poll_proceed;
use coreloop_runtime::time::timeout;
use serde::Serialize;

use super::Raw;
use crate::ipc::broker::protocol::{Answer, Operation, Status};
use crate::ipc::broker::{BrokerError, Link, Pending};
use crate::ipc::encode;
use crate::ipc::queue::error::QueueError;
use crate::ipc::queue::remote::{self, Producer};

/// Messages are written when this many bytes of a batch wait.
const WRITE: usize = 64 << 10;

/// An item that is sent.
#[derive(Debug)]
pub(in crate::ipc::queue) struct Encoded {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

impl Encoded {
    /// # Errors
    ///
    /// Returns an error if the value does not encode, or is longer than the limit.
    pub(in crate::ipc::queue) fn new<T: Serialize>(
        value: &T,
        limit: usize,
    ) -> Result<Self, QueueError> {
        let mut bytes = Vec::new();
        let descriptors = encode(value, &mut bytes);
        let descriptors = descriptors.map_err(|text| QueueError::does_not_encode(&text))?;
        if bytes.len() > limit {
            return Err(QueueError::too_long(bytes.len(), limit));
        }
        Ok(Self { bytes, descriptors })
    }
}

/// The messages of a batch that are not written. They are written when this is dropped, because the
/// queue keeps room for their items, and has not ended before they come.
#[derive(Debug, Default)]
pub(in crate::ipc::queue) struct Unwritten {
    bytes: usize,
    link: Option<Link>,
}

impl Unwritten {
    /// Begins anew. Returns where the messages are that were not written.
    fn take(&mut self) -> Option<Link> {
        self.bytes = 0;
        self.link.take()
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        if let Some(link) = self.take() {
            link.write();
        }
    }
}

impl Raw {
    /// Puts an item in the queue, and waits while there is no room.
    pub(in crate::ipc::queue) async fn send(&self, item: Encoded) -> Result<(), QueueError> {
        poll_fn(poll_proceed).await;
        let link = self.handle.link()?;
        let producer = self.producer(&link)?;
        if let Some(producer) = &producer
            && producer.take_credit()
        {
            self.send_with_credit(&link, item, false)?;
            return Ok(poll_fn(|cx| link.poll_flushed(cx)).await?);
        }
        self.put(&link, producer, item).await
    }

    /// Puts an item in the queue, and waits while there is no room. The message may not be written
    /// when this returns; `unwritten` remembers it.
    pub(in crate::ipc::queue) async fn send_in_batch(
        &self,
        item: Encoded,
        unwritten: &mut Unwritten,
    ) -> Result<(), QueueError> {
        poll_fn(poll_proceed).await;
        let link = self.handle.link()?;
        let producer = self.producer(&link)?;
        if let Some(producer) = &producer
            && producer.take_credit()
        {
            unwritten.bytes += item.bytes.len() + 32;
            self.send_with_credit(&link, item, true)?;
            unwritten.link = Some(link);
            if unwritten.bytes >= WRITE {
                self.write(unwritten).await?;
            }
            return Ok(());
        }
        // The request of the put is written after what is unwritten.
        self.put(&link, producer, item).await?;
        unwritten.take();
        Ok(())
    }

    /// Writes the messages of a batch.
    pub(in crate::ipc::queue) async fn write(
        &self,
        unwritten: &mut Unwritten,
    ) -> Result<(), QueueError> {
        if let Some(link) = unwritten.take() {
            poll_fn(|cx| link.poll_flushed(cx)).await?;
        }
        Ok(())
    }

    /// Sends an item by a request, which may wait for room.
    async fn put(
        &self,
        link: &Link,
        producer: Option<Rc<Producer>>,
        item: Encoded,
    ) -> Result<(), QueueError> {
        let _passed = match &producer {
            Some(producer) => producer.pass(item.bytes.len()).await,
            None => None,
        };
        let _waiting = producer.as_ref().map(Producer::wait);
        let pending = self.request(link, Operation::PUT, item)?;
        let answer = poll_fn(|cx| pending.poll_answer(cx)).await?;
        answered(&answer, pending)
    }

    /// Like [`send`](Self::send), for at most the time of `limit`.
    pub(in crate::ipc::queue) async fn send_timeout(
        &self,
        item: Encoded,
        limit: Duration,
    ) -> Result<(), QueueError> {
        let link = self.handle.link()?;
        let producer = self.producer(&link)?;
        if let Some(producer) = &producer
            && producer.take_credit()
        {
            self.send_with_credit(&link, item, false)?;
            return Ok(poll_fn(|cx| link.poll_flushed(cx)).await?);
        }
        let mut put = None;
        let answer = timeout(limit, async {
            let passed = match &producer {
                Some(producer) => producer.pass(item.bytes.len()).await,
                None => None,
            };
            let waiting = producer.as_ref().map(Producer::wait);
            let pending = self.request(&link, Operation::PUT, item)?;
            let (_, _, pending) = put.insert((passed, waiting, pending));
            poll_fn(|cx| pending.poll_answer(cx)).await
        })
        .await;
        let answer = answer.unwrap_or_else(|_| Err(BrokerError::timeout()));
        let Some((_passed, _waiting, pending)) = put else {
            // Nothing was sent.
            return Err(answer.err().unwrap_or_else(BrokerError::timeout).into());
        };
        match answer {
            Err(error) if error.is_timeout() => {}
            answer => return answered(&answer?, pending),
        }
        // The item may have been accepted meanwhile. The answer to this comes after that.
        let cancelled = self.cancel(&pending)?;
        poll_fn(|cx| cancelled.poll_answer(cx)).await?;
        cancelled.finish();
        after_cancel(pending)
    }

    /// Puts an item in the queue if there is room.
    pub(in crate::ipc::queue) async fn try_send(&self, item: Encoded) -> Result<(), QueueError> {
        poll_fn(poll_proceed).await;
        let link = self.handle.link()?;
        if let Some(producer) = self.producer(&link)?
            && producer.take_credit()
        {
            self.send_with_credit(&link, item, false)?;
            return Ok(poll_fn(|cx| link.poll_flushed(cx)).await?);
        }
        let pending = self.request(&link, Operation::TRY_PUT, item)?;
        let answer = poll_fn(|cx| pending.poll_answer(cx)).await?;
        answered(&answer, pending)
    }

    pub(in crate::ipc::queue) fn blocking_send(
        &self,
        item: Encoded,
        deadline: Option<Instant>,
    ) -> Result<(), QueueError> {
        let link = self.handle.link()?;
        let producer = self.producer(&link)?;
        if let Some(producer) = &producer
            && producer.take_credit()
        {
            self.send_with_credit(&link, item, false)?;
            return Ok(link.block_flushed()?);
        }
        let _waiting = producer.as_ref().map(Producer::wait);
        let pending = self.request(&link, Operation::PUT, item)?;
        match pending.block(deadline) {
            Err(error) if error.is_timeout() => {}
            answer => return answered(&answer?, pending),
        }
        let cancelled = self.cancel(&pending)?;
        cancelled.block(None)?;
        cancelled.finish();
        after_cancel(pending)
    }

    pub(in crate::ipc::queue) fn blocking_try_send(&self, item: Encoded) -> Result<(), QueueError> {
        let link = self.handle.link()?;
        if let Some(producer) = self.producer(&link)?
            && producer.take_credit()
        {
            self.send_with_credit(&link, item, false)?;
            return Ok(link.block_flushed()?);
        }
        let pending = self.request(&link, Operation::TRY_PUT, item)?;
        let answer = pending.block(None)?;
        answered(&answer, pending)
    }

    /// Returns the producer of this thread, if the queue is elsewhere.
    fn producer(&self, link: &Link) -> Result<Option<Rc<Producer>>, QueueError> {
        match link {
            Link::Local(_) => Ok(None),
            Link::Remote(_) => Ok(Some(remote::producer(link, self.handle.number())?)),
        }
    }

    fn send_with_credit(
        &self,
        link: &Link,
        item: Encoded,
        is_batch: bool,
    ) -> Result<(), BrokerError> {
        let Encoded { bytes, descriptors } = item;
        let (operation, queue) = (Operation::PUT_WITH_CREDIT, self.handle.number());
        match is_batch {
            true => link.notify_later(operation, queue, &bytes, descriptors),
            false => link.notify(operation, queue, &bytes, descriptors),
        }
    }

    fn request(
        &self,
        link: &Link,
        operation: Operation,
        item: Encoded,
    ) -> Result<Pending, BrokerError> {
        let Encoded { bytes, descriptors } = item;
        link.request(operation, self.handle.number(), &bytes, descriptors)
    }

    fn cancel(&self, pending: &Pending) -> Result<Pending, BrokerError> {
        let request = pending.number().to_le_bytes();
        let queue = self.handle.number();
        let link = pending.link();
        link.request(Operation::CANCEL_PUT, queue, &request, Vec::new())
    }
}

/// Handles the answer to a put.
fn answered(answer: &Answer, pending: Pending) -> Result<(), QueueError> {
    pending.finish();
    match answer.status {
        Status::DONE => Ok(()),
        Status::UNAVAILABLE => Err(QueueError::full()),
        _ => Err(QueueError::of(answer)),
    }
}

/// Finds out what has become of a put after it was cancelled.
fn after_cancel(pending: Pending) -> Result<(), QueueError> {
    match pending.take_read() {
        Some(answer) => answered(&answer?, pending),
        None => Err(BrokerError::timeout().into()),
    }
}
