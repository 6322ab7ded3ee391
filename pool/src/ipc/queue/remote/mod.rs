//! What a thread keeps of a queue that is in another process or thread: [`Consumer`] and
//! [`Producer`], which share memory with the queue.

mod consumer;
mod producer;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::payload::Memory;
use super::state::words::{CREDIT_WORDS, Credits, OFFER_WORDS, Offers};
use crate::ipc::broker::protocol::Operation;
use crate::ipc::broker::state::ObjectNumber;
use crate::ipc::broker::{BrokerError, Link};

pub(super) use consumer::{Consumer, End, How};
pub(super) use producer::Producer;
use producer::Source;

thread_local! {
    /// The queues that this thread has used, by the connection and the number.
    static REMOTES: RefCell<HashMap<(usize, ObjectNumber), Rc<Remote>>> = RefCell::default();
}

/// Up to this number of queues, a thread remembers which of them have ended.
const KEPT: usize = 256;

/// The parts of this thread in a queue.
#[derive(Debug, Default)]
struct Remote {
    consumer: OnceCell<Rc<Consumer>>,
    producer: OnceCell<Rc<Producer>>,
}

impl Remote {
    /// Returns what this thread keeps of a queue. `None` if the thread is ending.
    fn of(link: &Link, queue: ObjectNumber) -> Option<Rc<Self>> {
        let key = (link.id(), queue);
        let find = |remotes: &RefCell<HashMap<_, Rc<Self>>>| remotes.borrow().get(&key).cloned();
        if let Some(known) = REMOTES.try_with(find).ok()?
            && (!known.is_gone() || known.has_ended())
        {
            return Some(known);
        }
        let new = Rc::new(Self::default());
        let unused = REMOTES.try_with(|remotes| {
            let mut remotes = remotes.borrow_mut();
            let old = remotes.insert(key, Rc::clone(&new));
            let may_keep = remotes.len() < KEPT;
            let is_unused = |other: &Self| other.is_gone() && !(may_keep && other.has_ended());
            let unused = remotes.extract_if(|_, other| is_unused(other));
            let mut unused: Vec<_> = unused.collect();
            unused.extend(old.map(|old| (key, old)));
            unused
        });
        // What it withdraws may wake tasks.
        drop(unused);
        Some(new)
    }

    /// Returns whether the queue or the connection does not exist any more.
    fn is_gone(&self) -> bool {
        let consumer = self.consumer.get();
        let producer = self.producer.get();
        consumer.is_some_and(|consumer| consumer.is_gone())
            || producer.is_some_and(|producer| producer.is_gone())
    }

    /// Returns whether the consumer knows that there are no more items, which stays so.
    fn has_ended(&self) -> bool {
        let consumer = self.consumer.get();
        consumer.is_some_and(|consumer| consumer.has_ended())
    }
}

/// Returns the consumer of this thread. `None` if the system has no memory that could be shared.
///
/// # Errors
///
/// Returns an error if the connection has ended.
pub(super) fn consumer(
    link: &Link,
    queue: ObjectNumber,
    batch: usize,
) -> Result<Option<Rc<Consumer>>, BrokerError> {
    let Some(remote) = Remote::of(link, queue) else {
        return Ok(None);
    };
    if let Some(known) = remote.consumer.get() {
        return Ok(Some(Rc::clone(known)));
    }
    let Some((memory, file)) = Memory::create(OFFER_WORDS).ok() else {
        return Ok(None);
    };
    let Some(words) = Offers::new(memory) else {
        return Ok(None);
    };
    let pending = link.request(Operation::CONSUME, queue, &[], vec![file])?;
    let new = Rc::new(Consumer::new(pending, queue, words, batch));
    Ok(Some(Rc::clone(remote.consumer.get_or_init(|| new))))
}

/// Returns the producer of this thread.
///
/// # Errors
///
/// Returns an error if the connection has ended.
pub(super) fn producer(link: &Link, queue: ObjectNumber) -> Result<Rc<Producer>, BrokerError> {
    let Some(remote) = Remote::of(link, queue) else {
        return Ok(Rc::new(Producer::new(Source::Nowhere(link.clone()))));
    };
    if let Some(known) = remote.producer.get() {
        return Ok(Rc::clone(known));
    }
    let shared = Memory::create(CREDIT_WORDS).ok();
    let shared = shared.and_then(|(memory, file)| Some((Credits::new(memory)?, file)));
    let source = match shared {
        Some((credits, file)) => {
            let pending = link.request(Operation::PRODUCE, queue, &[], vec![file])?;
            Source::Queue(pending, credits)
        }
        None => Source::Nowhere(link.clone()),
    };
    let new = Rc::new(Producer::new(source));
    Ok(Rc::clone(remote.producer.get_or_init(|| new)))
}
