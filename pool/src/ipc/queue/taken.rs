//! [`Taken`], an item that this process has, encoded, and [`Holding`], what it still owes the
//! queue for it.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use serde::de::DeserializeOwned;

use super::error::QueueError;
use super::message::{HEAD, Head};
use super::remote::Consumer;
use crate::ipc::broker::Held;
use crate::ipc::broker::protocol::{Answer, Operation};
use crate::ipc::broker::state::ObjectNumber;
use crate::ipc::decode;
use crate::ipc::wire::rights::Lost;

/// An item that came.
#[derive(Debug)]
pub(super) struct Taken {
    head: Head,
    /// The head, and then the item.
    body: Vec<u8>,
    descriptors: Result<Vec<OwnedFd>, Lost>,
    /// `None` if it is confirmed.
    pub(super) holding: Option<Holding>,
}

impl Taken {
    /// Returns `None` if the answer is no item.
    pub(super) fn new(answer: Answer, holding: Option<Holding>) -> Option<Self> {
        Some(Self {
            head: Head::read(&answer.body)?,
            body: answer.body,
            descriptors: answer.descriptors,
            holding,
        })
    }

    pub(super) fn deliveries(&self) -> u32 {
        self.head.deliveries
    }

    /// Decodes the item. The caller has confirmed it, or has taken what is held.
    pub(super) fn decode<T: DeserializeOwned>(self) -> Result<T, QueueError> {
        let (Ok(descriptors), false) = (self.descriptors, self.head.has_lost_descriptors) else {
            return Err(QueueError::lost_descriptors());
        };
        let bytes = self.body.get(HEAD..).unwrap_or_default();
        decode(bytes, descriptors).map_err(|text| QueueError::does_not_decode(&text))
    }
}

/// An item that is not confirmed. Dropping it gives the item back to the queue.
#[derive(Debug)]
pub(super) struct Holding {
    place: Place,
    is_confirmed: bool,
}

#[derive(Debug)]
enum Place {
    /// The item was offered to a consumer.
    Offered {
        consumer: Rc<Consumer>,
        slot: usize,
        sequence: u64,
        has_descriptors: bool,
    },
    /// A request holds the item.
    Held { held: Held, queue: ObjectNumber },
}

impl Holding {
    pub(super) fn offered(
        consumer: Rc<Consumer>,
        slot: usize,
        sequence: u64,
        has_descriptors: bool,
    ) -> Self {
        Self {
            place: Place::Offered {
                consumer,
                slot,
                sequence,
                has_descriptors,
            },
            is_confirmed: false,
        }
    }

    pub(super) fn held(held: Held, queue: ObjectNumber) -> Self {
        Self {
            place: Place::Held { held, queue },
            is_confirmed: false,
        }
    }

    pub(super) fn confirm(mut self) {
        self.is_confirmed = true;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        match &self.place {
            Place::Offered {
                consumer,
                slot,
                sequence,
                has_descriptors,
            } => match self.is_confirmed {
                true => consumer.confirm(*slot, *sequence, *has_descriptors),
                false => consumer.give_back(*slot, *sequence),
            },
            Place::Held { held, queue } => {
                let operation = match self.is_confirmed {
                    true => Operation::CONFIRM,
                    false => Operation::GIVE_BACK,
                };
                held.notify(operation, *queue);
            }
        }
    }
}
