//! [`Object`], a queue as an object of a broker.

use super::message::{self, Head};
use super::payload::{Memory, Payload};
use super::state::words::{CREDIT_WORDS, Credits, OFFER_WORDS, Offers};
use super::state::{Action, Item, Limits, Offer, Outcome, State};
use crate::ipc::broker::protocol::{Answer, Body, Operation, Status};
use crate::ipc::broker::state::{self as broker, Call, Effects, Key, Leave, Violation};

/// A queue as an object of a broker: it translates requests for the [`State`], and what the state
/// decides to answers.
pub(super) struct Object {
    state: State<Payload, Memory>,
    actions: Vec<Action<Payload>>,
}

impl Object {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            state: State::new(limits),
            actions: Vec::new(),
        }
    }

    fn put(&mut self, key: Key, call: Call<'_>, effects: &mut Effects) {
        let may_wait = call.operation == Operation::PUT;
        let payload = Payload::new(call.body.rest(), call.descriptors);
        match self.state.put(key, payload, may_wait) {
            Outcome::Waits => effects.wait(key),
            Outcome::Done(()) => effects.finish(key, Answer::done()),
            Outcome::Unavailable => effects.finish(key, Answer::new(Status::UNAVAILABLE)),
            Outcome::Closed => effects.finish(key, Answer::new(Status::CLOSED)),
        }
    }

    fn get(&mut self, key: Key, operation: Operation, effects: &mut Effects) {
        let may_wait = operation != Operation::TRY_LEASE;
        let confirms = operation == Operation::TAKE;
        match self.state.get(key, may_wait, confirms) {
            Outcome::Waits => effects.wait(key),
            Outcome::Done(item) if confirms => effects.finish(key, answer(&item, false)),
            Outcome::Done(item) => effects.grant(key, answer(&item, true)),
            Outcome::Unavailable => effects.finish(key, Answer::new(Status::UNAVAILABLE)),
            Outcome::Closed => effects.finish(key, Answer::new(Status::ENDED)),
        }
    }

    /// Makes a client a producer or a consumer.
    fn subscribe(
        &mut self,
        key: Key,
        mut call: Call<'_>,
        effects: &mut Effects,
    ) -> Result<(), Violation> {
        let is_producer = call.operation == Operation::PRODUCE;
        let words = if is_producer {
            CREDIT_WORDS
        } else {
            OFFER_WORDS
        };
        let Some(memory) = Memory::of(&mut call, words)? else {
            effects.finish(key, Answer::new(Status::UNAVAILABLE));
            return Ok(());
        };
        let added = match is_producer {
            true => Credits::new(memory).map(|credits| self.state.add_producer(key, credits)),
            false => Offers::new(memory).map(|offers| self.state.add_consumer(key, offers)),
        };
        added.ok_or(Violation("the words of a client have another length"))??;
        effects.wait(key);
        Ok(())
    }

    /// Handles the operations on what another request of the client holds.
    fn about(&mut self, key: Key, call: &Call<'_>, effects: &mut Effects) -> Result<(), Violation> {
        let request = call.body.only_u64();
        let other = Key {
            client: key.client,
            request: request.ok_or(Violation("the number of a request is missing"))?,
        };
        let has_ended = match call.operation {
            Operation::CONFIRM => self.state.confirm(other),
            Operation::GIVE_BACK => self.state.give_back(other),
            _ => self.state.cancel_put(other),
        };
        if has_ended {
            effects.end(other);
        }
        if call.operation == Operation::CANCEL_PUT {
            effects.finish(key, Answer::done());
        }
        Ok(())
    }

    /// Reports what the state has decided.
    fn report(&mut self, effects: &mut Effects) {
        self.state.take_actions(&mut self.actions);
        for action in self.actions.drain(..) {
            match action {
                Action::Put(key) | Action::Joined(key) => effects.finish(key, Answer::done()),
                Action::Refused(key) => effects.finish(key, Answer::new(Status::CLOSED)),
                Action::Offer(key, offer) => effects.grant(key, offered(&offer)),
                Action::Give(key, item) => effects.grant(key, answer(&item, true)),
                Action::End(key) => effects.finish(key, Answer::new(Status::ENDED)),
                Action::EndOfConsumer(key) => effects.grant(key, Answer::new(Status::ENDED)),
            }
        }
    }
}

impl broker::Object for Object {
    fn handle(&mut self, key: Key, call: Call<'_>, effects: &mut Effects) -> Result<(), Violation> {
        let handled = match call.operation {
            Operation::PUT | Operation::TRY_PUT => {
                self.put(key, call, effects);
                Ok(())
            }
            Operation::PUT_WITH_CREDIT => {
                let payload = Payload::new(call.body.rest(), call.descriptors);
                self.state.put_with_credit(key.client, payload)
            }
            Operation::PRODUCE | Operation::CONSUME => self.subscribe(key, call, effects),
            Operation::NOTICE => {
                let mut body: Body<'_> = call.body;
                match (body.u64(), body.u64()) {
                    (Some(seen), Some(waiting)) => self.state.notice(key.client, seen, waiting),
                    _ => Err(Violation("a notice without its numbers")),
                }
            }
            operation @ (Operation::TAKE | Operation::LEASE | Operation::TRY_LEASE) => {
                self.get(key, operation, effects);
                Ok(())
            }
            Operation::CONFIRM | Operation::GIVE_BACK | Operation::CANCEL_PUT => {
                self.about(key, &call, effects)
            }
            Operation::JOIN => {
                match self.state.join(key) {
                    true => effects.finish(key, Answer::done()),
                    false => effects.wait(key),
                }
                Ok(())
            }
            Operation::LEN => {
                let body = message::lengths(self.state.len(), self.state.unconfirmed());
                effects.finish(key, Answer::with(Status::DONE, body));
                Ok(())
            }
            Operation::END => {
                self.state.close();
                effects.finish(key, Answer::done());
                Ok(())
            }
            _ => {
                effects.finish(key, Answer::new(Status::WRONG_KIND));
                Ok(())
            }
        };
        self.report(effects);
        handled
    }

    fn leave(&mut self, key: Key, why: Leave, effects: &mut Effects) {
        if self.state.leave(key, why) {
            effects.end(key);
        }
        self.report(effects);
    }

    fn close(&mut self, effects: &mut Effects) {
        for key in self.state.remove_waiting() {
            effects.finish(key, Answer::new(Status::CLOSED));
        }
    }
}

/// The answer to a request for one item.
fn answer(item: &Item<Payload>, is_held: bool) -> Answer {
    let head = Head {
        is_held,
        slot: 0,
        sequence: 0,
        deliveries: item.deliveries,
        has_lost_descriptors: false,
    };
    with_payload(head, &item.payload)
}

/// The answer that offers an item to a consumer.
fn offered(offer: &Offer<Payload>) -> Answer {
    let head = Head {
        is_held: true,
        slot: offer.slot,
        sequence: offer.sequence,
        deliveries: offer.deliveries,
        has_lost_descriptors: false,
    };
    with_payload(head, &offer.payload)
}

fn with_payload(mut head: Head, payload: &Payload) -> Answer {
    let descriptors = payload.duplicates();
    head.has_lost_descriptors = descriptors.is_err();
    let mut answer = Answer::with(Status::DONE, head.with(payload.bytes()));
    // The consumer learns of a loss from the head, so that only this item is concerned.
    answer.descriptors = Ok(descriptors.unwrap_or_default());
    answer
}
