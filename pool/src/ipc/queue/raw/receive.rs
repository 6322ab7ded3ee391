//! Taking items out of a queue.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Instant;

use coreloop_runtime::task::coop::poll_proceed;

use super::Raw;
use crate::ipc::broker::protocol::{Answer, Operation, Status};
use crate::ipc::broker::{Link, Pending, error::garbled};
use crate::ipc::queue::error::QueueError;
use crate::ipc::queue::message::Head;
use crate::ipc::queue::remote::{self, Consumer, End, How};
use crate::ipc::queue::taken::{Holding, Taken};

impl Raw {
    /// Waits for an item. Returns `None` if the queue is closed and all items are confirmed.
    pub(in crate::ipc::queue) async fn receive(
        &self,
        how: How,
    ) -> Result<Option<Taken>, QueueError> {
        poll_fn(poll_proceed).await;
        let link = self.handle.link()?;
        if let Some(consumer) = self.consumer(&link)? {
            let mut waiting = None;
            let begun = poll_fn(|cx| consumer.poll_begin(cx, &mut waiting, how)).await;
            if let Some(result) = of_consumer(begun) {
                return result;
            }
        }
        let pending = self.get(&link, how, true)?;
        let answer = poll_fn(|cx| pending.poll_answer(cx)).await?;
        self.got(answer, pending, how)
    }

    /// Does the same, and blocks this thread.
    pub(in crate::ipc::queue) fn blocking_receive(
        &self,
        how: How,
        deadline: Option<Instant>,
    ) -> Result<Option<Taken>, QueueError> {
        let link = self.handle.link()?;
        if let Some(consumer) = self.consumer(&link)?
            && let Some(result) = of_consumer(consumer.block(how, deadline))
        {
            return result;
        }
        let pending = self.get(&link, how, true)?;
        let answer = pending.block(deadline)?;
        self.got(answer, pending, how)
    }

    /// Takes an item if there is one. The error says if there is none.
    pub(in crate::ipc::queue) async fn try_receive(
        &self,
        how: How,
    ) -> Result<Option<Taken>, QueueError> {
        poll_fn(poll_proceed).await;
        let link = self.handle.link()?;
        if let Some(consumer) = self.consumer(&link)? {
            if let Some(taken) = consumer.try_begin(how).and_then(of_consumer) {
                return taken;
            }
            let asking = consumer.ask();
            self.lengths().await?;
            // What the queue sends because this thread asks comes before the answer to the request.
            if let Some(taken) = asking.try_begin(how).and_then(of_consumer) {
                return taken;
            }
            if !consumer.has_no_words() {
                return Err(QueueError::empty());
            }
        }
        let pending = self.get(&link, how, false)?;
        let answer = poll_fn(|cx| pending.poll_answer(cx)).await?;
        self.got(answer, pending, how)
    }

    pub(in crate::ipc::queue) fn blocking_try_receive(
        &self,
        how: How,
    ) -> Result<Option<Taken>, QueueError> {
        let link = self.handle.link()?;
        if let Some(consumer) = self.consumer(&link)? {
            if let Some(taken) = consumer.try_begin(how).and_then(of_consumer) {
                return taken;
            }
            let asking = consumer.ask();
            self.blocking_lengths()?;
            // What the queue sends because this thread asks comes before the answer to the request.
            if let Some(taken) = asking.try_begin(how).and_then(of_consumer) {
                return taken;
            }
            if !consumer.has_no_words() {
                return Err(QueueError::empty());
            }
        }
        let pending = self.get(&link, how, false)?;
        let answer = pending.block(None)?;
        self.got(answer, pending, how)
    }

    /// Returns the consumer of this thread, if the queue is elsewhere.
    fn consumer(&self, link: &Link) -> Result<Option<Rc<Consumer>>, QueueError> {
        match link {
            Link::Local(_) => Ok(None),
            Link::Remote(_) => Ok(remote::consumer(link, self.handle.number(), self.batch())?),
        }
    }

    /// Asks for one item.
    fn get(&self, link: &Link, how: How, may_wait: bool) -> Result<Pending, QueueError> {
        let operation = match (how, may_wait) {
            // An item that is confirmed before its answer has come would be lost with this process.
            (How::Take, true) if matches!(link, Link::Local(_)) => Operation::TAKE,
            (_, true) => Operation::LEASE,
            (_, false) => Operation::TRY_LEASE,
        };
        Ok(link.request(operation, self.handle.number(), &[], Vec::new())?)
    }

    fn got(&self, answer: Answer, pending: Pending, how: How) -> Result<Option<Taken>, QueueError> {
        if answer.status != Status::DONE {
            pending.finish();
            return match answer.status {
                Status::ENDED => Ok(None),
                Status::UNAVAILABLE => Err(QueueError::empty()),
                _ => Err(QueueError::of(&answer)),
            };
        }
        let head = Head::read(&answer.body).ok_or_else(garbled)?;
        let holding = match head.is_held {
            true => Some(Holding::held(pending.hold(), self.handle.number())),
            false => {
                pending.finish();
                None
            }
        };
        let mut taken = Taken::new(answer, holding).ok_or_else(garbled)?;
        if how == How::Take
            && let Some(holding) = taken.holding.take()
        {
            holding.confirm();
        }
        Ok(Some(taken))
    }
}

/// Returns `None` if the queue has to be asked for each item, because no memory is shared with it.
fn of_consumer(begun: Result<Taken, End>) -> Option<Result<Option<Taken>, QueueError>> {
    match begun {
        Ok(taken) => Some(Ok(Some(taken))),
        Err(End::Ended) => Some(Ok(None)),
        Err(End::Failed(error)) => Some(Err(error)),
        Err(End::NoWords) => None,
    }
}
