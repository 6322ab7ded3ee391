//! The two records of a session, of the client and of the manager, with a connection between them
//! that is cut at any place, and a manager that forgets the session or is started anew.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use proptest::prelude::*;

use crate::client::{Book as ClientBook, Call, Caller, Dropped};
use crate::error::Error;
use crate::manager::Book as ManagerBook;
use crate::wire::{ClientFrame, ManagerFrame, Response};

#[derive(Debug, Clone)]
enum Step {
    /// A request; whether it may be made twice.
    Call(bool),
    Notice,
    /// The caller of one of the requests leaves.
    Leave(prop::sample::Index),
    /// The client writes a frame, or the manager.
    ClientWrites,
    ManagerWrites,
    /// A frame arrives.
    ManagerReads,
    ClientReads,
    /// One of the requests that run ends.
    Finish(prop::sample::Index),
    /// The connection is cut, what was on it is lost, and there is a new one.
    Reconnect,
    /// The manager forgets the session, and the client connects.
    Forget,
    /// The client says nothing but that it is there.
    Ping,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = any::<prop::sample::Index>;
    let step = prop_oneof![
        4 => any::<bool>().prop_map(Step::Call),
        2 => Just(Step::Notice),
        1 => index().prop_map(Step::Leave),
        6 => Just(Step::ClientWrites),
        6 => Just(Step::ManagerWrites),
        6 => Just(Step::ManagerReads),
        6 => Just(Step::ClientReads),
        4 => index().prop_map(Step::Finish),
        1 => Just(Step::Reconnect),
        1 => Just(Step::Forget),
        2 => Just(Step::Ping),
    ];
    prop::collection::vec(step, 1..200)
}

/// What has become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Answered,
    Lost,
    Left,
}

struct World {
    client: ClientBook<u64>,
    manager: ManagerBook<u64>,
    record: u64,
    to_manager: VecDeque<Vec<u8>>,
    to_client: VecDeque<Vec<u8>>,
    /// The requests that run.
    running: BTreeSet<u64>,
    /// How often each request was begun in the present record.
    begun: BTreeMap<u64, u32>,
    /// The requests that were begun in any record.
    ever: BTreeSet<u64>,
    notices: BTreeSet<u64>,
    fates: BTreeMap<u64, Fate>,
    repeatable: BTreeSet<u64>,
    /// The answers that have come for callers that had left.
    given_back: BTreeSet<u64>,
    /// The requests that were carried out to the end.
    finished: BTreeSet<u64>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            client: ClientBook::new(),
            manager: ManagerBook::new(),
            record: 1,
            to_manager: VecDeque::new(),
            to_client: VecDeque::new(),
            running: BTreeSet::new(),
            begun: BTreeMap::new(),
            ever: BTreeSet::new(),
            notices: BTreeSet::new(),
            fates: BTreeMap::new(),
            repeatable: BTreeSet::new(),
            given_back: BTreeSet::new(),
            finished: BTreeSet::new(),
        };
        world.connect();
        world
    }

    fn connect(&mut self) {
        self.to_manager.clear();
        self.to_client.clear();
        for aborted in self.manager.resume(&self.client.unanswered()) {
            assert!(self.running.remove(&aborted));
        }
        let dropped = self.client.welcome(self.record, self.manager.last(), 1);
        assert_eq!(dropped.too_long, []);
        for lost in dropped.lost {
            let fate = self.fates.insert(lost, Fate::Lost);
            assert_eq!(fate, Some(Fate::Waiting));
            assert!(!self.repeatable.contains(&lost));
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Call(repeat) => {
                // The caller knows the number that it will get.
                let expected = self.fates.len() as u64 + self.notices.len() as u64 + 1;
                let id = self.client.add(call(*repeat, Caller::Waiting(expected)));
                assert_eq!(id, expected);
                self.fates.insert(id, Fate::Waiting);
                if *repeat {
                    self.repeatable.insert(id);
                }
            }
            Step::Notice => {
                let id = self.client.add(call(false, Caller::Notice));
                self.notices.insert(id);
            }
            Step::Leave(index) => {
                let waiting = self
                    .fates
                    .iter()
                    .filter(|(_, fate)| **fate == Fate::Waiting);
                let waiting: Vec<_> = waiting.map(|(&id, _)| id).collect();
                if !waiting.is_empty() {
                    let id = waiting[index.index(waiting.len())];
                    assert_eq!(self.client.leave(id), Some(id));
                    self.fates.insert(id, Fate::Left);
                }
            }
            Step::ClientWrites => {
                let to_manager = &mut self.to_manager;
                self.client.next(|frame| {
                    let mut bytes = Vec::new();
                    frame.write(&mut bytes);
                    to_manager.push_back(bytes);
                });
            }
            Step::ManagerWrites => self.manager_writes(),
            Step::ManagerReads => self.manager_reads(),
            Step::ClientReads => self.client_reads(),
            Step::Finish(index) => {
                let running: Vec<_> = self.running.iter().copied().collect();
                if !running.is_empty() {
                    let id = running[index.index(running.len())];
                    self.running.remove(&id);
                    self.finished.insert(id);
                    let answer = Ok(id.to_be_bytes().to_vec());
                    self.manager.answer(id, Response::new(answer, 8));
                }
            }
            Step::Reconnect => self.connect(),
            Step::Forget => {
                for aborted in self.manager.end() {
                    assert!(self.running.remove(&aborted));
                }
                assert!(self.running.is_empty());
                self.manager = ManagerBook::new();
                self.record += 1;
                self.begun.clear();
                self.connect();
            }
            Step::Ping => {
                let mut bytes = Vec::new();
                let received = self.client.received();
                ClientFrame::Ping {
                    received,
                    reply: true,
                }
                .write(&mut bytes);
                self.to_manager.push_back(bytes);
            }
        }
    }

    fn manager_writes(&mut self) {
        let last = self.manager.last();
        if let Some((id, response)) = self.manager.next() {
            let mut bytes = Vec::new();
            ManagerFrame::Response { last, id, response }.write(&mut bytes);
            self.to_client.push_back(bytes);
        }
    }

    fn manager_reads(&mut self) {
        let Some(bytes) = self.to_manager.pop_front() else {
            return;
        };
        match ClientFrame::parse(&bytes).unwrap() {
            ClientFrame::Request {
                received,
                id,
                is_notice,
                body,
                ..
            } => {
                assert_eq!(body, [1], "a request whose caller has left");
                self.manager.count(received).unwrap();
                assert!(self.manager.begin(id, is_notice).unwrap());
                assert_eq!(is_notice, self.notices.contains(&id));
                let begun = self.begun.entry(id).or_default();
                *begun += 1;
                assert_eq!(*begun, 1, "request {id} was begun twice");
                let is_new = self.ever.insert(id);
                assert!(is_new || self.repeatable.contains(&id), "request {id}");
                if !is_notice {
                    self.running.insert(id);
                    assert_eq!(self.manager.set_running(id, id), None);
                }
            }
            ClientFrame::Cancel { received, id } => {
                self.manager.count(received).unwrap();
                if let Some(aborted) = self.manager.cancel(id) {
                    assert!(self.running.remove(&aborted));
                }
            }
            ClientFrame::Ping { received, .. } => {
                self.manager.count(received).unwrap();
                let mut bytes = Vec::new();
                let last = self.manager.last();
                ManagerFrame::Pong { last }.write(&mut bytes);
                self.to_client.push_back(bytes);
            }
            frame => panic!("{frame:?}"),
        }
    }

    fn client_reads(&mut self) {
        let Some(bytes) = self.to_client.pop_front() else {
            return;
        };
        match ManagerFrame::parse(&bytes).unwrap() {
            ManagerFrame::Response { last, id, response } => {
                self.client.confirm(last);
                match self.client.answered(id).expect("an answer that is awaited") {
                    Caller::Waiting(caller) => {
                        assert_eq!(caller, id);
                        let answer: Result<_, Error> = response.into_result();
                        assert_eq!(answer.unwrap(), id.to_be_bytes());
                        let fate = self.fates.insert(id, Fate::Answered);
                        assert_eq!(fate, Some(Fate::Waiting));
                    }
                    Caller::Gone(_) => {
                        assert_eq!(self.fates[&id], Fate::Left);
                        if response.into_result().is_ok() {
                            assert!(self.given_back.insert(id));
                        }
                    }
                    Caller::Notice => panic!("an answer to a notice"),
                }
            }
            ManagerFrame::Pong { last } => self.client.confirm(last),
            frame => panic!("{frame:?}"),
        }
    }

    /// Lets everything that can happen happen.
    fn settle(&mut self) {
        for _ in 0..3 {
            while self.client.has_unsent() {
                self.step(&Step::ClientWrites);
            }
            self.step(&Step::Ping);
            while !self.to_manager.is_empty() {
                self.manager_reads();
            }
            for id in std::mem::take(&mut self.running) {
                self.finished.insert(id);
                let answer = Ok(id.to_be_bytes().to_vec());
                self.manager.answer(id, Response::new(answer, 8));
            }
            while self.manager.has_unsent() {
                self.manager_writes();
            }
            while !self.to_client.is_empty() {
                self.client_reads();
            }
        }
    }
}

fn call(repeat: bool, caller: Caller<u64>) -> Call<u64> {
    Call {
        service: Rc::from("service"),
        body: vec![1],
        repeat,
        caller,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn each_request_is_carried_out_once_and_each_answer_arrives(steps in steps()) {
        let mut world = World::new();
        let mut forgot = false;
        for step in &steps {
            world.step(step);
            forgot |= matches!(step, Step::Forget);
        }
        world.settle();
        for (id, fate) in &world.fates {
            match fate {
                Fate::Waiting => prop_assert!(false, "request {} has no answer", id),
                Fate::Answered => prop_assert!(world.finished.contains(id)),
                Fate::Lost => prop_assert!(forgot),
                // What was carried out for a caller that had left was given back, if the session
                // was not lost.
                Fate::Left => prop_assert!(
                    forgot
                        || !world.finished.contains(id)
                        || world.given_back.contains(id)
                ),
            }
        }
        // All notices have come, if the session was not lost.
        prop_assert!(forgot || world.notices.iter().all(|id| world.ever.contains(id)));
        // Nothing is kept on either side.
        prop_assert!(world.client.is_empty());
        prop_assert_eq!(world.manager.kept(), 0);
    }
}

#[test]
fn a_request_that_the_manager_does_not_accept_any_more_is_not_sent_again() {
    let mut book = ClientBook::new();
    let call = |length, caller| Call {
        body: vec![1; length],
        ..call(true, caller)
    };
    book.welcome(1, 0, 100);
    for length in [50, 51] {
        book.add(call(length, Caller::Waiting(length as u64)));
        book.add(call(length, Caller::Notice));
    }
    while book.next(|_| {}) {}
    // The first two have come.
    let dropped = book.welcome(1, 2, 10);
    assert_eq!(
        dropped,
        Dropped {
            lost: vec![],
            too_long: vec![(51, 51)]
        }
    );
    assert_eq!(book.unanswered(), [1]);
    assert!(!book.has_unsent());
    // Another manager.
    let dropped = book.welcome(2, 0, 50);
    assert_eq!(
        dropped,
        Dropped {
            lost: vec![],
            too_long: vec![]
        }
    );
    let dropped = book.welcome(3, 0, 49);
    assert_eq!(
        dropped,
        Dropped {
            lost: vec![],
            too_long: vec![(50, 50)]
        }
    );
    assert!(book.is_empty());
}
