//! The state beside a plain model, with clients that ask, withdraw, lose their sockets and die at
//! any time.

use std::collections::{BTreeMap, BTreeSet};

use coreloop_test_support::size::pick;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngAlgorithm;

use super::*;

const PERMITS: u64 = 3;
const SIZE: usize = 3;

/// An event. The first number picks one of the clients.
#[derive(Debug, Clone, Copy)]
enum Step {
    Lock(usize, bool),
    ClearPoison(usize),
    Acquire(usize, u64, bool),
    Add(usize, u64),
    Set(usize),
    Clear(usize),
    Wait(usize),
    Arrive(usize),
    /// Withdraws one of the open requests, panicking or not.
    Withdraw(usize, usize, bool),
    SocketEnds(usize),
    Dies(usize),
    Close(usize, usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let client = || 0..5_usize;
    prop_oneof![
        10 => (client(), any::<bool>()).prop_map(|(client, waits)| Step::Lock(client, waits)),
        1 => client().prop_map(Step::ClearPoison),
        10 => (client(), 0..5_u64, any::<bool>())
            .prop_map(|(client, permits, waits)| Step::Acquire(client, permits, waits)),
        1 => (client(), 0..3_u64).prop_map(|(client, permits)| Step::Add(client, permits)),
        2 => client().prop_map(Step::Set),
        2 => client().prop_map(Step::Clear),
        4 => client().prop_map(Step::Wait),
        4 => client().prop_map(Step::Arrive),
        20 => (client(), any::<usize>(), any::<bool>())
            .prop_map(|(client, request, panics)| Step::Withdraw(client, request, panics)),
        2 => client().prop_map(Step::SocketEnds),
        2 => client().prop_map(Step::Dies),
        1 => (client(), 0..4_usize).prop_map(|(client, object)| Step::Close(client, object)),
    ]
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    WaitsForMutex,
    HoldsMutex,
    WaitsForPermits(u64),
    HoldsPermits(u64),
    WaitsForEvent,
    Arrived,
}

/// All objects and clients, as plainly as possible: each request is in one list, in order.
#[derive(Default)]
struct Model {
    /// The open requests, in the order in which they came.
    open: Vec<(Key, Has)>,
    fencing: u64,
    is_poisoned: bool,
    available: u64,
    is_set: bool,
    /// The clients whose sockets have ended.
    gone: BTreeSet<Client>,
    answers: Vec<Said>,
}

impl Model {
    fn answer(&mut self, key: Key, status: Status, body: Vec<u8>) {
        if !self.gone.contains(&key.client) {
            self.answers.push((key, status.0, body));
        }
    }

    fn done(&mut self, key: Key) {
        self.answer(key, Status::DONE, Vec::new());
    }

    fn count(&self, has: impl Fn(Has) -> bool) -> usize {
        self.open.iter().filter(|(_, own)| has(*own)).count()
    }

    fn first(&self, has: impl Fn(Has) -> bool) -> Option<usize> {
        self.open.iter().position(|(_, own)| has(*own))
    }

    /// Moves the locks and permits that are free to the requests that wait longest.
    fn settle(&mut self) {
        if self.count(|has| has == Has::HoldsMutex) == 0
            && let Some(next) = self.first(|has| has == Has::WaitsForMutex)
        {
            self.fencing += 1;
            self.open[next].1 = Has::HoldsMutex;
            let body = grant(self.fencing, self.is_poisoned);
            self.answer(self.open[next].0, Status::DONE, body);
        }
        while let Some(next) = self.first(|has| matches!(has, Has::WaitsForPermits(_)))
            && let Has::WaitsForPermits(permits) = self.open[next].1
            && permits <= self.available
        {
            self.available -= permits;
            self.open[next].1 = Has::HoldsPermits(permits);
            self.done(self.open[next].0);
        }
    }

    /// Ends an open request.
    fn end(&mut self, key: Key, poisons: bool) {
        let Some(at) = self.open.iter().position(|(own, _)| *own == key) else {
            return;
        };
        match self.open.remove(at).1 {
            Has::HoldsMutex => self.is_poisoned |= poisons,
            Has::HoldsPermits(permits) => self.available += permits,
            _ => {}
        }
        self.settle();
    }

    fn finish_all(&mut self, which: Has, status: Status, body: &[u8]) {
        while let Some(at) = self.first(|has| has == which) {
            let (key, _) = self.open.remove(at);
            self.answer(key, status, body.to_vec());
        }
    }

    /// Ends what a client waits for, in order, without what it holds.
    fn leave(&mut self, client: Client) {
        self.gone.insert(client);
        for key in self.of(client) {
            let holds = |(own, has): &(Key, Has)| {
                *own == key && matches!(has, Has::HoldsMutex | Has::HoldsPermits(_))
            };
            if !self.open.iter().any(holds) {
                self.end(key, false);
            }
        }
    }

    fn of(&self, client: Client) -> Vec<Key> {
        let keys = self.open.iter().map(|(key, _)| *key);
        let mut keys: Vec<_> = keys.filter(|key| key.client == client).collect();
        keys.sort();
        keys
    }
}

/// The state and the model, and the clients that use both.
struct World {
    state: State,
    model: Model,
    objects: [ObjectNumber; 4],
    clients: [Client; 5],
    next_client: Client,
    next_request: u64,
}

impl World {
    fn new() -> Self {
        let mut state = State::new(1);
        let objects = [
            state.add_object(Box::new(Mutex::new())),
            state.add_object(Box::new(Semaphore::new(PERMITS))),
            state.add_object(Box::new(Event::new())),
            state.add_object(Box::new(Barrier::new(SIZE))),
        ];
        let model = Model {
            available: PERMITS,
            ..Model::default()
        };
        for client in 1..5 {
            state.add_client(client, 1);
        }
        Self {
            state,
            model,
            objects,
            clients: [LOCAL, 1, 2, 3, 4],
            next_client: 5,
            next_request: 1,
        }
    }

    /// Sends a request for which the model was changed already.
    fn send(&mut self, key: Key, object: usize, operation: Operation, body: &[u8]) {
        let object = self.objects[object];
        let answers = send(&mut self.state, key, object, operation, body).unwrap();
        self.check(answers);
    }

    /// Compares the answers, whose order matters for each client only.
    fn check(&mut self, answers: Vec<Said>) {
        let sorted = |answers: Vec<Said>| {
            let mut by_client = BTreeMap::<Client, Vec<Said>>::new();
            for said in answers {
                by_client.entry(said.0.client).or_default().push(said);
            }
            by_client
        };
        let expected = std::mem::take(&mut self.model.answers);
        assert_eq!(sorted(answers), sorted(expected));
        for client in self.clients {
            let has_open = !self.model.of(client).is_empty();
            assert_eq!(self.state.has_open(client), has_open, "client {client}");
        }
        assert!(self.model.count(|has| has == Has::HoldsMutex) <= 1);
    }

    fn take(&mut self, step: Step) {
        let (Step::Lock(client, _)
        | Step::ClearPoison(client)
        | Step::Acquire(client, ..)
        | Step::Add(client, _)
        | Step::Set(client)
        | Step::Clear(client)
        | Step::Wait(client)
        | Step::Arrive(client)
        | Step::Withdraw(client, ..)
        | Step::SocketEnds(client)
        | Step::Dies(client)
        | Step::Close(client, _)) = step;
        let slot = client;
        let client = self.clients[slot];
        let is_gone = self.model.gone.contains(&client);
        let key = key(client, self.next_request);
        self.next_request += 1;
        match step {
            Step::Lock(_, waits) if !is_gone => self.lock(key, waits),
            Step::Acquire(_, permits, waits) if !is_gone => self.acquire(key, permits, waits),
            Step::ClearPoison(_) => {
                self.model.is_poisoned = false;
                self.model.done(key);
                self.send(key, 0, Operation::CLEAR_POISON, &[]);
            }
            Step::Add(_, permits) => {
                self.model.available += permits;
                self.model.done(key);
                self.model.settle();
                self.send(key, 1, Operation::ADD_PERMITS, &permits.to_le_bytes());
            }
            Step::Set(_) => {
                self.model.is_set = true;
                self.model.done(key);
                self.model.finish_all(Has::WaitsForEvent, Status::DONE, &[]);
                self.send(key, 2, Operation::SET, &[]);
            }
            Step::Clear(_) => {
                self.model.is_set = false;
                self.model.done(key);
                self.send(key, 2, Operation::CLEAR, &[]);
            }
            Step::Wait(_) if !is_gone => {
                if self.model.is_set {
                    self.model.done(key);
                } else {
                    self.model.open.push((key, Has::WaitsForEvent));
                }
                self.send(key, 2, Operation::WAIT, &[]);
            }
            Step::Arrive(_) if !is_gone => {
                if self.model.count(|has| has == Has::Arrived) == SIZE - 1 {
                    self.model.answer(key, Status::DONE, vec![1]);
                    self.model.finish_all(Has::Arrived, Status::DONE, &[0]);
                } else {
                    self.model.open.push((key, Has::Arrived));
                }
                self.send(key, 3, Operation::ARRIVE, &[]);
            }
            // Nothing is granted to a client that is gone.
            Step::Lock(..) => self.send(key, 0, Operation::LOCK, &[]),
            Step::Acquire(..) => self.send(key, 1, Operation::ACQUIRE, &[0; 8]),
            Step::Wait(_) => self.send(key, 2, Operation::WAIT, &[]),
            Step::Arrive(_) => self.send(key, 3, Operation::ARRIVE, &[]),
            Step::Withdraw(_, request, panics) => self.withdraw(client, request, panics),
            Step::SocketEnds(_) => self.socket_ends(slot),
            Step::Dies(_) => self.dies(slot),
            Step::Close(_, object) => self.close(key, object),
        }
    }

    fn lock(&mut self, key: Key, waits: bool) {
        let is_free = self.model.count(|has| has == Has::HoldsMutex) == 0;
        if is_free || waits {
            self.model.open.push((key, Has::WaitsForMutex));
            self.model.settle();
        } else {
            self.model.answer(key, Status::UNAVAILABLE, Vec::new());
        }
        let operation = if waits {
            Operation::LOCK
        } else {
            Operation::TRY_LOCK
        };
        self.send(key, 0, operation, &[]);
    }

    fn acquire(&mut self, key: Key, permits: u64, waits: bool) {
        let is_first = self
            .model
            .count(|has| matches!(has, Has::WaitsForPermits(_)))
            == 0;
        if waits || is_first && permits <= self.model.available {
            self.model.open.push((key, Has::WaitsForPermits(permits)));
            self.model.settle();
        } else {
            self.model.answer(key, Status::UNAVAILABLE, Vec::new());
        }
        let operation = if waits {
            Operation::ACQUIRE
        } else {
            Operation::TRY_ACQUIRE
        };
        self.send(key, 1, operation, &permits.to_le_bytes());
    }

    fn withdraw(&mut self, client: Client, request: usize, panics: bool) {
        let open = self.model.of(client);
        if open.is_empty() {
            return;
        }
        let key = open[request % open.len()];
        self.model.end(key, panics);
        let operation = if panics {
            Operation::WITHDRAW_PANICKING
        } else {
            Operation::WITHDRAW
        };
        self.send(key, 0, operation, &[]);
    }

    fn socket_ends(&mut self, slot: usize) {
        let client = self.clients[slot];
        if client == LOCAL || self.model.gone.contains(&client) {
            return;
        }
        self.model.leave(client);
        let mut effects = Effects::at(NOW);
        self.state.socket_ended(client, &mut effects);
        self.check(said(effects));
        if !self.state.has_open(client) {
            self.state.remove_client(client);
            self.replace(slot);
        }
    }

    fn dies(&mut self, slot: usize) {
        let client = self.clients[slot];
        if client == LOCAL {
            return;
        }
        self.model.leave(client);
        for key in self.model.of(client) {
            self.model.end(key, true);
        }
        let answers = change(&mut self.state, |state, effects| {
            state.process_ended(client, effects);
        });
        self.check(answers);
        self.replace(slot);
    }

    /// Starts a new process in place of one that has ended.
    fn replace(&mut self, slot: usize) {
        self.state.add_client(self.next_client, 1);
        self.clients[slot] = self.next_client;
        self.next_client += 1;
    }

    /// Closes an object, and creates a new one.
    fn close(&mut self, key: Key, object: usize) {
        let is_of = |has: Has| match has {
            Has::WaitsForMutex | Has::HoldsMutex => object == 0,
            Has::WaitsForPermits(_) | Has::HoldsPermits(_) => object == 1,
            Has::WaitsForEvent => object == 2,
            Has::Arrived => object == 3,
        };
        for (key, has) in std::mem::take(&mut self.model.open) {
            match has {
                has if !is_of(has) => self.model.open.push((key, has)),
                Has::HoldsMutex | Has::HoldsPermits(_) => {}
                _ => self.model.answer(key, Status::CLOSED, Vec::new()),
            }
        }
        self.model.done(key);
        self.send(key, object, Operation::CLOSE, &[]);
        let new: Box<dyn Object> = match object {
            0 => {
                self.model.fencing = 0;
                self.model.is_poisoned = false;
                Box::new(Mutex::new())
            }
            1 => {
                self.model.available = PERMITS;
                Box::new(Semaphore::new(PERMITS))
            }
            2 => {
                self.model.is_set = false;
                Box::new(Event::new())
            }
            _ => Box::new(Barrier::new(SIZE)),
        };
        self.objects[object] = self.state.add_object(new);
        self.model.settle();
    }
}

/// Full size is a million steps.
#[test]
fn a_broker_behaves_like_the_model() {
    let cases = pick(if cfg!(miri) { 3 } else { 200 }, 5000);
    let length = if cfg!(miri) { 50 } else { 200 };
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        // Each step has a generator of its own, and ChaCha takes long to seed.
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in vec(any_step(), length))| {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
    });
}
