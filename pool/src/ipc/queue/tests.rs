//! What clients send that do not work.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use super::message;
use super::object::Object;
use super::payload::Memory;
use super::state::Limits;
use super::state::words::{CREDIT_WORDS, OFFER_WORDS};
use crate::ipc::broker::protocol::{Answer, Body, Operation, Status};
use crate::ipc::broker::state::{Call, Effects, Key, LOCAL, State, Violation};
use crate::ipc::wire::rights::{Descriptors, Lost};

/// A broker with one queue, whose number is 1.
struct Broker(State);

const QUEUE: u64 = 1;

impl Broker {
    fn new() -> Self {
        let mut state = State::new(1);
        let object = Object::new(Limits {
            capacity: 4,
            prefetch: 2,
            prefetch_bytes: 1000,
            credits: 2,
            waiting_bytes: 1000,
        });
        assert_eq!(state.add_object(Box::new(object)), QUEUE);
        for client in 1..10 {
            state.add_client(client, 100);
        }
        Self(state)
    }

    fn call(
        &mut self,
        (client, request): (u64, u64),
        operation: Operation,
        body: &[u8],
        descriptors: Descriptors,
    ) -> Result<Vec<(Key, Answer)>, Violation> {
        let call = Call {
            operation,
            body: Body(body),
            descriptors,
            pid: 0,
        };
        let key = Key { client, request };
        let mut effects = Effects::at(SystemTime::now());
        let handled = self.0.request(key, QUEUE, call, &mut effects);
        handled.map(|()| effects.answers)
    }

    /// The status of the answer to this request.
    fn status(&mut self, key: (u64, u64), operation: Operation, body: &[u8]) -> Status {
        let answers = self.call(key, operation, body, Ok(Vec::new())).unwrap();
        let mut answers = answers.iter();
        let own = answers.find(|(to, _)| (to.client, to.request) == key);
        own.expect("it is answered at once").1.status
    }

    /// Puts an item in the queue and takes it out.
    fn works(&mut self) {
        assert_eq!(
            self.status((LOCAL, 900), Operation::PUT, b"x"),
            Status::DONE
        );
        assert_eq!(
            self.status((LOCAL, 901), Operation::TAKE, b""),
            Status::DONE
        );
        assert_eq!(
            self.status((LOCAL, 902), Operation::TRY_LEASE, b""),
            Status::UNAVAILABLE
        );
    }
}

fn subscribe(
    broker: &mut Broker,
    client: u64,
    operation: Operation,
    descriptors: Descriptors,
) -> Result<Vec<(Key, Answer)>, Violation> {
    broker.call((client, 1), operation, b"", descriptors)
}

#[test]
fn a_client_without_its_words_is_refused() {
    let mut broker = Broker::new();
    for operation in [Operation::PRODUCE, Operation::CONSUME] {
        subscribe(&mut broker, 1, operation, Ok(Vec::new())).unwrap_err();
        // They may also be lost on the way, or be no memory of this length.
        let (_, other) = Memory::create(7).unwrap();
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let answers: [Descriptors; 3] = [Err(Lost), Ok(vec![other]), Ok(vec![OwnedFd::from(file)])];
        for descriptors in answers {
            let answers = subscribe(&mut broker, 1, operation, descriptors).unwrap();
            assert_eq!(answers[0].1.status, Status::UNAVAILABLE);
        }
    }
    broker.works();
}

#[test]
fn a_client_subscribes_once() {
    let mut broker = Broker::new();
    for (operation, words) in [
        (Operation::PRODUCE, CREDIT_WORDS),
        (Operation::CONSUME, OFFER_WORDS),
    ] {
        let mut subscribe_as = |request| {
            let (_, file) = Memory::create(words).unwrap();
            broker.call((1, request), operation, b"", Ok(vec![file]))
        };
        let request = u64::from(operation.0);
        assert!(subscribe_as(request).unwrap().is_empty());
        subscribe_as(request + 1).unwrap_err();
    }
}

#[test]
fn items_without_a_credit_are_refused() {
    let mut broker = Broker::new();
    let none = || Ok(Vec::new());
    let operation = Operation::PUT_WITH_CREDIT;
    broker.call((1, 0), operation, b"x", none()).unwrap_err();
    let (memory, file) = Memory::create(CREDIT_WORDS).unwrap();
    subscribe(&mut broker, 1, Operation::PRODUCE, Ok(vec![file])).unwrap();
    // What it writes to its word gives it no more room than it was granted.
    memory.as_ref()[0].store(u64::MAX, Ordering::SeqCst);
    for _ in 0..2 {
        broker.call((1, 0), operation, b"x", none()).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(
            broker.status((LOCAL, 5), Operation::TAKE, b""),
            Status::DONE
        );
    }
    broker.works();
}

#[test]
fn a_consumer_that_scribbles_harms_only_what_it_has() {
    let mut broker = Broker::new();
    let (memory, file) = Memory::create(OFFER_WORDS).unwrap();
    subscribe(&mut broker, 1, Operation::CONSUME, Ok(vec![file])).unwrap();
    let scribble = |value: u64| {
        let words: &[AtomicU64] = memory.as_ref();
        words
            .iter()
            .for_each(|word| word.store(value, Ordering::SeqCst));
    };
    for (request, value) in (10..).zip([0, 1, 2, 3, 1 << 3 | 3, 2 << 3 | 7, u64::MAX]) {
        scribble(value);
        let _ = broker.call((LOCAL, request), Operation::PUT, b"x", Ok(Vec::new()));
        scribble(value);
        let seen = message::notice(0, 1);
        let _ = broker.call((1, 0), Operation::NOTICE, &seen, Ok(Vec::new()));
        let _ = broker.call((LOCAL, request + 100), Operation::LEN, b"", Ok(Vec::new()));
    }
    let mut effects = Effects::at(SystemTime::now());
    broker.0.process_ended(1, &mut effects);
    // All is back, or counts as confirmed.
    for request in 500_u64.. {
        match broker.status((LOCAL, request), Operation::TRY_LEASE, b"") {
            Status::DONE => {
                let confirmed = request.to_le_bytes();
                let none = Ok(Vec::new());
                broker
                    .call((LOCAL, 0), Operation::CONFIRM, &confirmed, none)
                    .unwrap();
            }
            _ => break,
        }
    }
    assert_eq!(
        broker.status((LOCAL, 400), Operation::JOIN, b""),
        Status::DONE
    );
    broker.works();
}

#[test]
fn messages_without_their_numbers_are_refused() {
    let mut broker = Broker::new();
    let (_, file) = Memory::create(OFFER_WORDS).unwrap();
    subscribe(&mut broker, 1, Operation::CONSUME, Ok(vec![file])).unwrap();
    for operation in [
        Operation::NOTICE,
        Operation::CONFIRM,
        Operation::GIVE_BACK,
        Operation::CANCEL_PUT,
    ] {
        let call = broker.call((1, 0), operation, b"short", Ok(Vec::new()));
        call.unwrap_err();
    }
    let unknown = message::notice(7, 0);
    let call = broker.call((1, 0), Operation::NOTICE, &unknown, Ok(Vec::new()));
    call.unwrap_err();
    broker.works();
}

#[test]
fn operations_on_what_another_client_holds_have_no_effect() {
    let mut broker = Broker::new();
    assert_eq!(
        broker.status((LOCAL, 1), Operation::PUT, b"x"),
        Status::DONE
    );
    assert_eq!(broker.status((1, 2), Operation::LEASE, b""), Status::DONE);
    let request = 2_u64.to_le_bytes();
    for operation in [Operation::CONFIRM, Operation::GIVE_BACK] {
        let answers = broker.call((2, 0), operation, &request, Ok(Vec::new()));
        assert!(answers.unwrap().is_empty());
    }
    assert_eq!(
        broker.status((LOCAL, 3), Operation::TRY_LEASE, b""),
        Status::UNAVAILABLE
    );
    let answers = broker.call((1, 0), Operation::GIVE_BACK, &request, Ok(Vec::new()));
    assert!(answers.unwrap().is_empty());
    assert_eq!(
        broker.status((LOCAL, 4), Operation::TAKE, b""),
        Status::DONE
    );
}

#[test]
fn an_operation_of_another_kind_of_object_is_an_answer() {
    let mut broker = Broker::new();
    assert_eq!(
        broker.status((1, 1), Operation::LOCK, b""),
        Status::WRONG_KIND
    );
    broker.works();
}
