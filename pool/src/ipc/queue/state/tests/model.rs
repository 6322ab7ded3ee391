//! The queue with clients in other processes that send, take, confirm, and are killed at any time.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use coreloop_test_support::size::pick;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngAlgorithm;

use super::*;

/// An event. A `usize` picks one of what there is.
#[derive(Debug, Clone)]
enum Step {
    Connect,
    /// A client sends an item, in the way that it can now.
    Send(usize),
    /// The queue handles this many messages of a client.
    Handle(usize, usize),
    /// A client reads this many messages of the queue.
    Read(usize, usize),
    Take(usize),
    Lease(usize),
    Confirm(usize),
    GiveBack(usize),
    /// A client sends a notice that this many tasks wait.
    Notice(usize, u64),
    Kill(usize),
    /// The socket of a client ends, and its process lives.
    EndSocket(usize),
    LocalSend,
    LocalGet,
    LocalConfirm(usize),
    LocalGiveBack(usize),
    LocalWithdraw(usize),
    Join,
}

/// A message to the queue.
#[derive(Debug, Clone, Copy)]
enum Message {
    Put(u64, u64),
    PutWithCredit(u64),
    Notice(u64, u64),
}

struct Process {
    client: Client,
    offers: Offers<Memory>,
    credits: Credits<Memory>,
    sent: VecDeque<Message>,
    to_read: VecDeque<Offer<u64>>,
    buffer: VecDeque<Offer<u64>>,
    leased: Vec<Offer<u64>>,
    seen: u64,
    next_request: u64,
    /// The requests of puts that wait for an answer.
    puts: HashSet<u64>,
    knows_end: bool,
    has_socket: bool,
}

/// What becomes of an item.
#[derive(Debug, Default)]
struct Fate {
    /// The queue has accepted it, or its message is on the way with a credit.
    is_accepted: bool,
    has_holder: bool,
    is_confirmed: bool,
}

struct World {
    state: State<u64, Memory>,
    /// Nothing comes back, and there is one consumer.
    is_ordered: bool,
    processes: Vec<Process>,
    next_client: Client,
    next_item: u64,
    fates: BTreeMap<u64, Fate>,
    puts: HashMap<Key, u64>,
    /// The local requests that wait, and those that hold an item.
    gets: Vec<Key>,
    held: Vec<(Key, u64)>,
    next_request: u64,
    joins: HashSet<Key>,
    /// The last item that came, of each client.
    last: HashMap<u64, u64>,
}

/// The number of an item holds its sender.
const SENDER: u64 = 1 << 32;

impl World {
    fn new(limits: Limits, is_ordered: bool) -> Self {
        Self {
            state: State::new(limits),
            is_ordered,
            processes: Vec::new(),
            next_client: 1,
            next_item: 0,
            fates: BTreeMap::new(),
            puts: HashMap::new(),
            gets: Vec::new(),
            held: Vec::new(),
            next_request: 1,
            joins: HashSet::new(),
            last: HashMap::new(),
        }
    }

    fn request(&mut self) -> Key {
        self.next_request += 1;
        key(0, self.next_request)
    }

    fn item(&mut self, sender: u64) -> u64 {
        self.next_item += 1;
        let item = sender * SENDER + self.next_item;
        self.fates.insert(item, Fate::default());
        item
    }

    fn connect(&mut self) {
        let (words, word) = (memory(OFFER_WORDS), memory(CREDIT_WORDS));
        let client = self.next_client;
        self.next_client += 1;
        let added = self.state.add_producer(key(client, 1), credits(&word));
        added.unwrap();
        let is_consumer = !self.is_ordered || client == 1;
        if is_consumer {
            let added = self.state.add_consumer(key(client, 2), offers(&words));
            added.unwrap();
        }
        self.processes.push(Process {
            client,
            offers: offers(&words),
            credits: credits(&word),
            sent: VecDeque::new(),
            to_read: VecDeque::new(),
            buffer: VecDeque::new(),
            leased: Vec::new(),
            seen: 0,
            next_request: 10,
            puts: HashSet::new(),
            knows_end: !is_consumer,
            has_socket: true,
        });
    }

    fn with(&mut self, pick: usize, f: impl FnOnce(&mut Self, usize)) {
        if !self.processes.is_empty() {
            f(self, pick % self.processes.len());
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Connect if self.processes.len() < 5 => self.connect(),
            Step::Connect => {}
            Step::Send(at) => self.with(at, Self::send),
            Step::Handle(at, count) => self.with(at, |world, at| world.handle(at, count)),
            Step::Read(at, count) => self.with(at, |world, at| world.read(at, count)),
            Step::Take(at) => self.with(at, |world, at| world.take(at, false)),
            Step::Lease(at) => self.with(at, |world, at| world.take(at, true)),
            Step::Confirm(at) => self.with(at, |world, at| world.end_lease(at, true)),
            Step::GiveBack(at) => self.with(at, |world, at| {
                world.end_lease(at, world.is_ordered);
            }),
            Step::Notice(at, waiting) => self.with(at, |world, at| world.notice(at, waiting)),
            Step::Kill(at) if !self.is_ordered => self.with(at, Self::kill),
            Step::EndSocket(at) if !self.is_ordered => self.with(at, Self::end_socket),
            Step::Kill(_) | Step::EndSocket(_) => {}
            Step::LocalSend => self.local_send(),
            Step::LocalGet => self.local_get(),
            Step::LocalConfirm(at) => self.end_local(at, Some(true)),
            Step::LocalGiveBack(at) => self.end_local(at, Some(false)),
            Step::LocalWithdraw(at) => self.withdraw(at),
            Step::Join => {
                let key = self.request();
                if !self.state.join(key) {
                    self.joins.insert(key);
                }
            }
        }
        self.deliver();
        self.state.check();
    }

    fn send(&mut self, at: usize) {
        if !self.processes[at].has_socket {
            return;
        }
        let item = self.item(self.processes[at].client);
        let process = &mut self.processes[at];
        if process.puts.is_empty() && process.credits.take() {
            process.sent.push_back(Message::PutWithCredit(item));
            self.fates.get_mut(&item).unwrap().is_accepted = true;
        } else if process.puts.len() < 5 {
            process.next_request += 1;
            process.puts.insert(process.next_request);
            let message = Message::Put(process.next_request, item);
            process.sent.push_back(message);
        }
    }

    fn handle(&mut self, at: usize, count: usize) {
        for _ in 0..count {
            let process = &mut self.processes[at];
            let Some(message) = process.sent.pop_front() else {
                return;
            };
            self.message(at, message, true);
            self.deliver();
        }
    }

    fn message(&mut self, at: usize, message: Message, may_ask: bool) {
        let process = &mut self.processes[at];
        let client = process.client;
        match message {
            // The broker drops it.
            Message::Put(..) if !may_ask => {}
            Message::Put(request, item) => {
                let outcome = self.state.put(key(client, request), item, true);
                match outcome {
                    Outcome::Done(()) => self.accepted(key(client, request), item),
                    Outcome::Waits => drop(self.puts.insert(key(client, request), item)),
                    Outcome::Closed => drop(process.puts.remove(&request)),
                    Outcome::Unavailable => panic!("it may wait"),
                }
            }
            Message::PutWithCredit(item) => self.state.put_with_credit(client, item).unwrap(),
            Message::Notice(seen, waiting) => self.state.notice(client, seen, waiting).unwrap(),
        }
    }

    fn accepted(&mut self, key: Key, item: u64) {
        self.fates.get_mut(&item).unwrap().is_accepted = true;
        self.answered(key);
    }

    fn answered(&mut self, key: Key) {
        let client = key.client;
        let mut processes = self.processes.iter_mut();
        if let Some(process) = processes.find(|process| process.client == client) {
            process.puts.remove(&key.request);
        }
    }

    fn deliver(&mut self) {
        let mut actions = Vec::new();
        self.state.take_actions(&mut actions);
        for action in actions {
            match action {
                Action::Put(key) => {
                    let item = self.puts.remove(&key).expect("a put that waits");
                    self.accepted(key, item);
                }
                Action::Refused(key) => {
                    self.puts.remove(&key).expect("a put that waits");
                    self.answered(key);
                }
                Action::Offer(key, offer) => {
                    let mut processes = self.processes.iter_mut();
                    let process = processes.find(|process| process.client == key.client);
                    process.expect("it lives").to_read.push_back(offer);
                }
                Action::Give(key, item) => {
                    let at = self.gets.iter().position(|other| *other == key);
                    self.gets.remove(at.expect("it waits"));
                    self.given(key, &item);
                }
                Action::End(key) => self.gets.retain(|other| *other != key),
                Action::EndOfConsumer(key) => {
                    let mut processes = self.processes.iter_mut();
                    let process = processes.find(|process| process.client == key.client);
                    process.expect("it lives").knows_end = true;
                }
                Action::Joined(key) => assert!(self.joins.remove(&key)),
            }
        }
    }

    /// User code has an item.
    fn begins(&mut self, item: u64) {
        let fate = self.fates.get_mut(&item).unwrap();
        assert!(
            fate.is_accepted && !fate.has_holder && !fate.is_confirmed,
            "{item}: {fate:?}"
        );
        fate.has_holder = true;
        if self.is_ordered {
            let last = self.last.entry(item / SENDER).or_default();
            assert!(*last < item, "{item} came after {last}");
            *last = item;
        }
    }

    fn ends(&mut self, item: u64, is_confirmed: bool) {
        let fate = self.fates.get_mut(&item).unwrap();
        assert!(fate.has_holder);
        fate.has_holder = false;
        fate.is_confirmed = is_confirmed;
    }

    fn read(&mut self, at: usize, count: usize) {
        let process = &mut self.processes[at];
        for _ in 0..count {
            if let Some(offer) = process.to_read.pop_front() {
                process.seen = offer.sequence;
                process.buffer.push_back(offer);
            }
        }
    }

    fn take(&mut self, at: usize, is_lease: bool) {
        let process = &mut self.processes[at];
        while let Some(offer) = process.buffer.pop_front() {
            let began = match is_lease {
                true => process.offers.lease(offer.slot, offer.sequence),
                false => process.offers.take(offer.slot, offer.sequence),
            };
            if began {
                let item = offer.payload;
                if is_lease {
                    process.leased.push(offer);
                }
                self.begins(item);
                if !is_lease {
                    self.ends(item, true);
                }
                return;
            }
        }
    }

    fn end_lease(&mut self, at: usize, is_confirmed: bool) {
        let process = &mut self.processes[at];
        if let Some(offer) = process.leased.pop() {
            match is_confirmed {
                true => process.offers.confirm(offer.slot, offer.sequence),
                false => process.offers.give_back(offer.slot, offer.sequence),
            }
            self.ends(offer.payload, is_confirmed);
        }
    }

    fn notice(&mut self, at: usize, waiting: u64) {
        let process = &mut self.processes[at];
        if process.has_socket {
            let message = Message::Notice(process.seen, waiting);
            process.sent.push_back(message);
        }
    }

    /// The order is the broker's: first it learns of the death, then it reads what was sent.
    fn kill(&mut self, at: usize) {
        let had_socket = self.processes[at].has_socket;
        if had_socket {
            self.leave(at, Leave::SocketEnded);
            while let Some(message) = self.processes[at].sent.pop_front() {
                self.message(at, message, false);
                self.deliver();
            }
        }
        for offer in std::mem::take(&mut self.processes[at].leased) {
            self.ends(offer.payload, false);
        }
        self.leave(at, Leave::Died);
        self.processes.remove(at);
    }

    fn end_socket(&mut self, at: usize) {
        if self.processes[at].has_socket {
            let count = self.processes[at].sent.len();
            self.handle(at, count);
            self.processes[at].has_socket = false;
            self.leave(at, Leave::SocketEnded);
        }
    }

    /// Ends the requests of a client that are open.
    fn leave(&mut self, at: usize, why: Leave) {
        let client = self.processes[at].client;
        let open: Vec<_> = self.puts.keys().copied().collect();
        for key in open {
            // It may have been accepted meanwhile.
            if key.client == client && self.puts.remove(&key).is_some() {
                assert!(self.state.leave(key, why));
                self.deliver();
            }
        }
        for request in [1, 2] {
            self.state.leave(key(client, request), why);
            self.deliver();
        }
    }

    fn local_send(&mut self) {
        let (item, key) = (self.item(0), self.request());
        match self.state.put(key, item, true) {
            Outcome::Done(()) => self.accepted(key, item),
            Outcome::Waits => drop(self.puts.insert(key, item)),
            Outcome::Closed => {}
            Outcome::Unavailable => panic!("it may wait"),
        }
    }

    fn local_get(&mut self) {
        // In order, only the one consumer gets items.
        if self.is_ordered && !self.processes.is_empty() {
            return;
        }
        let key = self.request();
        let outcome = self.state.get(key, true, false);
        // The item may belong to a put that has waited.
        self.deliver();
        match outcome {
            Outcome::Done(item) => self.given(key, &item),
            Outcome::Waits => self.gets.push(key),
            Outcome::Closed => {}
            Outcome::Unavailable => panic!("it may wait"),
        }
    }

    fn given(&mut self, key: Key, item: &Item<u64>) {
        self.begins(item.payload);
        self.held.push((key, item.payload));
    }

    fn end_local(&mut self, at: usize, is_confirmed: Option<bool>) {
        if self.held.is_empty() {
            return;
        }
        let (key, item) = self.held.remove(at % self.held.len());
        let is_confirmed = is_confirmed.map(|is_confirmed| is_confirmed || self.is_ordered);
        self.ends(item, is_confirmed == Some(true));
        match is_confirmed {
            Some(true) => assert!(self.state.confirm(key)),
            Some(false) => assert!(self.state.give_back(key)),
            None => assert!(self.state.leave(key, Leave::Withdrawn)),
        }
    }

    fn withdraw(&mut self, at: usize) {
        if self.is_ordered {
            return;
        }
        if self.gets.is_empty() {
            self.end_local(at, None);
        } else {
            let key = self.gets.remove(at % self.gets.len());
            assert!(self.state.leave(key, Leave::Withdrawn));
        }
    }

    /// Ends the run: the queue is closed and emptied, and each item has had its fate.
    fn finish(&mut self) {
        self.state.close();
        self.deliver();
        let most = 10 * self.fates.len() + 10;
        for round in 0.. {
            assert!(round < most, "the queue does not end");
            for at in 0..self.processes.len() {
                self.handle(at, 100);
                self.read(at, 100);
                self.end_lease(at, true);
                self.take(at, false);
                self.notice(at, 1);
                self.deliver();
            }
            if !self.held.is_empty() {
                self.end_local(round, Some(true));
            } else if self.processes.is_empty() {
                self.local_get();
            }
            self.deliver();
            self.state.check();
            let is_at_rest = self.held.is_empty()
                && self.gets.is_empty()
                && self.processes.iter().all(|process| {
                    process.leased.is_empty() && (process.knows_end || !process.has_socket)
                });
            if is_at_rest && self.state.has_ended {
                break;
            }
            // What a process without a socket has confirmed shows when it ends.
            if round == most / 2 {
                while let Some(at) = self
                    .processes
                    .iter()
                    .position(|process| !process.has_socket)
                {
                    self.kill(at);
                }
            }
        }
        assert!(self.joins.is_empty());
        for (item, fate) in &self.fates {
            assert_eq!(fate.is_accepted, fate.is_confirmed, "{item}: {fate:?}");
        }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let pick = || 0..16_usize;
    let some = || 1..6_usize;
    prop_oneof![
        2 => Just(Step::Connect),
        24 => pick().prop_map(Step::Send),
        24 => (pick(), some()).prop_map(|(at, count)| Step::Handle(at, count)),
        20 => (pick(), some()).prop_map(|(at, count)| Step::Read(at, count)),
        12 => pick().prop_map(Step::Take),
        8 => pick().prop_map(Step::Lease),
        8 => pick().prop_map(Step::Confirm),
        2 => pick().prop_map(Step::GiveBack),
        20 => (pick(), 0..4_u64).prop_map(|(at, waiting)| Step::Notice(at, waiting)),
        1 => pick().prop_map(Step::Kill),
        1 => pick().prop_map(Step::EndSocket),
        6 => Just(Step::LocalSend),
        4 => Just(Step::LocalGet),
        6 => pick().prop_map(Step::LocalConfirm),
        1 => pick().prop_map(Step::LocalGiveBack),
        2 => pick().prop_map(Step::LocalWithdraw),
        1 => Just(Step::Join),
    ]
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (1..12_usize, 0..6_usize, 1..6_u64).prop_map(|(capacity, prefetch, credits)| Limits {
        capacity,
        prefetch,
        credits,
        prefetch_bytes: 4,
        waiting_bytes: 50,
    })
}

proptest! {
    // Some 400 steps on average in each case: a hundred thousand steps, or a million.
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { pick(250, 2500) },
        failure_persistence: None,
        max_shrink_iters: 4000,
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_item_is_confirmed_once_whatever_is_killed(
        limits in any_limits(),
        is_ordered in any::<bool>(),
        steps in vec(any_step(), 1..if cfg!(miri) { 60 } else { 800 }),
    ) {
        let mut world = World::new(limits, is_ordered);
        for step in &steps {
            world.run(step);
        }
        world.finish();
    }
}
