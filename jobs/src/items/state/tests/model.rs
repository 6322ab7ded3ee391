//! Any sequence of operations, after each of which what must hold is checked.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::{Granted, Outcome, State, Step};
use super::items;
use crate::services::SessionId;

#[derive(Debug, Clone)]
enum Operation {
    Put(usize),
    TryPut,
    Get(u8, usize),
    TryGet(u8),
    Ack(prop::sample::Index),
    GiveBack(prop::sample::Index),
    Gone(u8),
    /// A request that waits is cancelled, whether it has an outcome or not.
    Cancel(prop::sample::Index),
    /// The requests that have outcomes take them.
    Take,
    Join,
    Close,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let index = any::<prop::sample::Index>;
    let operation = prop_oneof![
        5 => (0_usize..4).prop_map(Operation::Put),
        2 => Just(Operation::TryPut),
        5 => (0_u8..3, 1_usize..4).prop_map(|(who, max)| Operation::Get(who, max)),
        2 => (0_u8..3).prop_map(Operation::TryGet),
        5 => index().prop_map(Operation::Ack),
        2 => index().prop_map(Operation::GiveBack),
        1 => (0_u8..3).prop_map(Operation::Gone),
        2 => index().prop_map(Operation::Cancel),
        4 => Just(Operation::Take),
        1 => Just(Operation::Join),
        1 => Just(Operation::Close),
    ];
    prop::collection::vec(operation, 1..120)
}

const CAPACITY: usize = 3;

#[derive(Default)]
struct World {
    next: u64,
    /// The items that were put or wait for room, and were not confirmed.
    alive: BTreeSet<u64>,
    /// The items that may have been put: their request was cancelled or refused in the middle.
    unsure: BTreeSet<u64>,
    held: BTreeMap<(SessionId, u64), u64>,
    waiting: BTreeMap<u64, Waiting>,
    is_closed: bool,
}

enum Waiting {
    Put(Vec<u64>),
    Get(SessionId),
    Join,
}

fn session(who: u8) -> SessionId {
    SessionId([who; 16])
}

impl World {
    fn bodies(&mut self, count: usize) -> (Vec<u64>, Vec<Vec<u8>>) {
        let numbers: Vec<u64> = (0..count).map(|_| self.number()).collect();
        let bodies = numbers.iter().map(|number| number.to_be_bytes().to_vec());
        let bodies = bodies.collect();
        (numbers, bodies)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn hold(&mut self, session: SessionId, granted: Vec<Granted>) {
        let mut previous = 0;
        for granted in granted {
            let number = u64::from_be_bytes(granted.body.try_into().unwrap());
            assert!(number > previous, "items come in order");
            previous = number;
            let is_known = self.alive.contains(&number) || self.unsure.remove(&number);
            assert!(is_known, "item {number} was not put, or was confirmed");
            self.alive.insert(number);
            assert!(
                !self.held.values().any(|&held| held == number),
                "two have {number}"
            );
            self.held.insert((session, granted.lease), number);
        }
    }

    fn run(&mut self, state: &mut State, operation: &Operation) {
        match operation {
            Operation::Put(count) => {
                let (numbers, bodies) = self.bodies(*count);
                match state.put(bodies) {
                    Ok(Step::Done(())) => self.alive.extend(numbers),
                    Ok(Step::Waits(waiter)) => {
                        self.alive.extend(&numbers);
                        self.waiting.insert(waiter, Waiting::Put(numbers));
                    }
                    Err(_) => assert!(self.is_closed),
                }
            }
            Operation::TryPut => {
                let (numbers, bodies) = self.bodies(1);
                match state.try_put(bodies) {
                    Ok(true) => self.alive.extend(numbers),
                    Ok(false) => {}
                    Err(_) => assert!(self.is_closed),
                }
            }
            Operation::Get(who, max) => match state.get(session(*who), items(*max)) {
                Ok(Step::Done(granted)) => {
                    assert!((1..=*max).contains(&granted.len()));
                    self.hold(session(*who), granted);
                }
                Ok(Step::Waits(waiter)) => {
                    self.waiting.insert(waiter, Waiting::Get(session(*who)));
                }
                Err(_) => assert!(self.is_closed && self.held.is_empty()),
            },
            Operation::TryGet(who) => match state.try_get(session(*who), items(1)) {
                Ok(granted) => self.hold(session(*who), granted),
                Err(_) => assert!(self.is_closed),
            },
            Operation::Ack(index) => {
                if let Some(((session, lease), number)) = self.choose_held(index) {
                    assert!(state.ack(session, lease));
                    self.held.remove(&(session, lease));
                    self.alive.remove(&number);
                }
            }
            Operation::GiveBack(index) => {
                if let Some(((session, lease), _)) = self.choose_held(index) {
                    assert!(state.give_back(session, lease));
                    self.held.remove(&(session, lease));
                }
            }
            Operation::Gone(who) => self.gone(state, session(*who)),
            Operation::Cancel(index) => {
                let waiters: Vec<_> = self.waiting.keys().copied().collect();
                if !waiters.is_empty() {
                    self.cancel(state, waiters[index.index(waiters.len())]);
                }
            }
            Operation::Take => self.take(state),
            Operation::Join => match state.join() {
                Step::Done(()) => assert!(self.held.is_empty() && state.len() == 0),
                Step::Waits(waiter) => {
                    self.waiting.insert(waiter, Waiting::Join);
                }
            },
            Operation::Close => {
                state.close();
                self.is_closed = true;
            }
        }
    }

    fn choose_held(&self, index: &prop::sample::Index) -> Option<((SessionId, u64), u64)> {
        let held: Vec<_> = self
            .held
            .iter()
            .map(|(&key, &number)| (key, number))
            .collect();
        (!held.is_empty()).then(|| held[index.index(held.len())])
    }

    fn gone(&mut self, state: &mut State, gone: SessionId) {
        // Its requests are dropped first.
        let waiters: Vec<_> = self
            .waiting
            .iter()
            .filter_map(|(&waiter, waiting)| {
                matches!(waiting, Waiting::Get(session) if *session == gone).then_some(waiter)
            })
            .collect();
        for waiter in waiters {
            self.cancel(state, waiter);
        }
        state.gone(gone);
        self.held.retain(|(session, _), _| *session != gone);
    }

    fn cancel(&mut self, state: &mut State, waiter: u64) {
        let waiting = self.waiting.remove(&waiter);
        let session = match &waiting {
            Some(Waiting::Get(session)) => *session,
            _ => session(9),
        };
        state.cancel(waiter, session);
        if let Some(Waiting::Put(numbers)) = waiting {
            self.forget(numbers);
        }
    }

    /// The request of these items was not completed.
    fn forget(&mut self, numbers: Vec<u64>) {
        for number in numbers {
            if !self.held.values().any(|&held| held == number) && self.alive.remove(&number) {
                self.unsure.insert(number);
            }
        }
    }

    fn take(&mut self, state: &mut State) {
        for waiter in state.take_woken() {
            // A cancelled one has no outcome.
            let Some(outcome) = state.take(waiter) else {
                assert!(!self.waiting.contains_key(&waiter));
                continue;
            };
            match (self.waiting.remove(&waiter).unwrap(), outcome) {
                (Waiting::Get(session), Outcome::Got(granted)) => self.hold(session, granted),
                (Waiting::Put(_) | Waiting::Join, Outcome::Done) => {}
                (Waiting::Put(numbers), Outcome::Closed) => self.forget(numbers),
                (Waiting::Get(_), Outcome::Closed) => assert!(self.is_closed),
                (_, outcome) => panic!("{outcome:?}"),
            }
        }
    }

    /// Checks that no request waits for what is there.
    fn check(&self, state: &State) {
        let gets = self
            .waiting
            .values()
            .filter(|waiting| matches!(waiting, Waiting::Get(_)));
        if gets.count() > 0 {
            assert_eq!(state.len(), 0, "a request waits, and there is an item");
            assert!(
                !self.is_closed || !self.held.is_empty(),
                "the end was not reported"
            );
        }
        let puts = self
            .waiting
            .values()
            .filter(|waiting| matches!(waiting, Waiting::Put(_)));
        if puts.count() > 0 {
            assert!(state.len() >= CAPACITY, "a put waits, and there is room");
            assert!(!self.is_closed);
        }
        let joins = self
            .waiting
            .values()
            .filter(|waiting| matches!(waiting, Waiting::Join));
        if joins.count() > 0 {
            assert!(state.len() > 0 || !self.held.is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_item_is_lost_or_given_to_two(operations in operations()) {
        let mut state = State::new(CAPACITY, 1);
        let mut world = World::default();
        for operation in &operations {
            world.run(&mut state, operation);
            // Outcomes that were not taken hold items too, so all are taken before the check.
            if matches!(operation, Operation::Take) {
                world.check(&state);
            }
        }
        // All items that were put come out, in order, when all requests have gone.
        world.take(&mut state);
        let waiters: Vec<_> = world.waiting.keys().copied().collect();
        for waiter in waiters {
            world.cancel(&mut state, waiter);
        }
        for who in 0..3 {
            world.gone(&mut state, session(who));
        }
        let all = state.try_get(session(0), items(usize::MAX)).unwrap_or_default();
        let count = all.len();
        world.hold(session(0), all);
        prop_assert_eq!(world.held.len(), count);
        prop_assert_eq!(world.alive.len(), count, "{:?} {:?}", world.alive, world.held);
    }
}
