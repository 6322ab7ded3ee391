mod model;

use super::{AtMost, Closed, Granted, Outcome, State, Step};
use crate::services::SessionId;

const ONE: SessionId = SessionId([1; 16]);
const TWO: SessionId = SessionId([2; 16]);

/// A request for this number of items, and an answer of any length.
fn items(items: usize) -> AtMost {
    AtMost {
        items,
        bytes: usize::MAX,
    }
}

fn body(number: u8) -> Vec<u8> {
    vec![number]
}

fn put(state: &mut State, number: u8) -> Step<()> {
    state.put(vec![body(number)]).unwrap()
}

/// Gets one item, which is there.
fn get(state: &mut State, session: SessionId) -> Granted {
    let mut granted = state.try_get(session, items(1)).unwrap();
    assert_eq!(granted.len(), 1);
    granted.remove(0)
}

fn numbers(granted: &[Granted]) -> Vec<u8> {
    granted.iter().map(|granted| granted.body[0]).collect()
}

#[test]
fn an_item_that_comes_back_is_at_its_place() {
    let mut state = State::new(8, 1);
    for number in 0..4 {
        assert_eq!(put(&mut state, number), Step::Done(()));
    }
    let leases = [(); 3].map(|()| get(&mut state, ONE).lease);
    assert!(state.ack(ONE, leases[1]));
    // In the wrong order.
    assert!(state.give_back(ONE, leases[2]));
    assert!(state.give_back(ONE, leases[0]));
    let granted = state.try_get(TWO, items(8)).unwrap();
    assert_eq!(numbers(&granted), [0, 2, 3]);
    let attempts: Vec<_> = granted.iter().map(|granted| granted.attempt).collect();
    assert_eq!(attempts, [2, 2, 1]);
}

#[test]
fn only_its_client_has_a_lease() {
    let mut state = State::new(8, 1);
    put(&mut state, 1);
    let lease = get(&mut state, ONE).lease;
    assert!(!state.ack(TWO, lease));
    assert!(!state.give_back(TWO, lease));
    assert!(state.ack(ONE, lease));
    assert!(!state.ack(ONE, lease));
    assert!(!state.give_back(ONE, lease));
    assert_eq!(state.len(), 0);
}

#[test]
fn the_items_of_a_client_that_has_gone_come_back_and_its_leases_end() {
    let mut state = State::new(8, 1);
    for number in 0..3 {
        put(&mut state, number);
    }
    let first = get(&mut state, ONE);
    let _second = get(&mut state, TWO);
    let Step::Waits(waiter) = state
        .get(TWO, items(9))
        .map(|step| match step {
            Step::Done(granted) => {
                assert_eq!(numbers(&granted), [2]);
                state.get(TWO, items(9)).unwrap()
            }
            waits @ Step::Waits(_) => waits,
        })
        .unwrap()
    else {
        panic!("there is no item");
    };
    state.gone(ONE);
    assert_eq!(state.take_woken(), [waiter]);
    let Some(Outcome::Got(granted)) = state.take(waiter) else {
        panic!("the item has come back");
    };
    assert_eq!(numbers(&granted), [0]);
    assert!(!state.ack(ONE, first.lease));
}

#[test]
fn a_put_waits_for_room_in_order() {
    let mut state = State::new(2, 1);
    assert_eq!(put(&mut state, 0), Step::Done(()));
    let Step::Waits(first) = state.put(vec![body(1), body(2), body(3)]).unwrap() else {
        panic!("there is no room for three");
    };
    let Step::Waits(second) = put(&mut state, 4) else {
        panic!("another one waits");
    };
    assert_eq!(state.try_put(vec![body(9)]), Ok(false));
    assert_eq!(state.len(), 2);
    assert_eq!(numbers(&state.try_get(ONE, items(1)).unwrap()), [0]);
    assert_eq!(state.take(first), None);
    assert_eq!(numbers(&state.try_get(ONE, items(1)).unwrap()), [1]);
    assert_eq!(state.take(first), Some(Outcome::Done));
    assert_eq!(state.take(second), None);
    assert_eq!(numbers(&state.try_get(ONE, items(9)).unwrap()), [2, 3]);
    assert_eq!(state.take(second), Some(Outcome::Done));
}

#[test]
fn a_cancelled_request_returns_what_it_was_granted() {
    let mut state = State::new(2, 1);
    let (Ok(Step::Waits(first)), Ok(Step::Waits(second))) =
        (state.get(ONE, items(1)), state.get(TWO, items(1)))
    else {
        panic!("there are no items");
    };
    put(&mut state, 5);
    assert_eq!(state.take_woken(), [first]);
    // It was woken and has not run.
    state.cancel(first, ONE);
    let Some(Outcome::Got(granted)) = state.take(second) else {
        panic!("the item is for the next one");
    };
    assert_eq!((granted[0].body[0], granted[0].attempt), (5, 2));
    // One that waits is forgotten.
    let Ok(Step::Waits(third)) = state.get(ONE, items(1)) else {
        panic!("there are no items");
    };
    state.cancel(third, ONE);
    put(&mut state, 6);
    assert_eq!(state.len(), 1);
}

#[test]
fn join_waits_for_items_that_wait_for_room() {
    let mut state = State::new(1, 1);
    assert_eq!(state.join(), Step::Done(()));
    put(&mut state, 0);
    put(&mut state, 1);
    let Step::Waits(joiner) = state.join() else {
        panic!("there are items");
    };
    for number in 0..2 {
        let granted = get(&mut state, ONE);
        assert_eq!(granted.body[0], number);
        assert_eq!(state.take(joiner), None);
        state.ack(ONE, granted.lease);
    }
    assert_eq!(state.take(joiner), Some(Outcome::Done));
}

#[test]
fn a_closed_queue_gives_what_it_has_and_no_more() {
    let mut state = State::new(1, 1);
    put(&mut state, 0);
    let Step::Waits(putter) = put(&mut state, 1) else {
        panic!("there is no room");
    };
    state.close();
    assert_eq!(state.take(putter), Some(Outcome::Closed));
    assert_eq!(state.put(vec![body(2)]), Err(Closed));
    assert_eq!(state.try_put(vec![body(2)]), Err(Closed));
    let granted = get(&mut state, ONE);
    // The item may come back, so the queue is not at its end.
    assert_eq!(state.try_get(TWO, items(1)), Ok(Vec::new()));
    let Ok(Step::Waits(getter)) = state.get(TWO, items(1)) else {
        panic!("the item may come back");
    };
    state.give_back(ONE, granted.lease);
    let Some(Outcome::Got(granted)) = state.take(getter) else {
        panic!("the item has come back");
    };
    state.ack(TWO, granted[0].lease);
    assert_eq!(state.get(ONE, items(1)), Err(Closed));
    assert_eq!(state.try_get(ONE, items(1)), Err(Closed));
}

#[test]
fn an_answer_with_many_items_has_at_most_a_mebibyte() {
    let mut state = State::new(100, 1);
    for _ in 0..4 {
        assert_eq!(state.put(vec![vec![0; 400_000]]), Ok(Step::Done(())));
    }
    assert_eq!(state.try_get(ONE, items(9)).unwrap().len(), 2);
    // An item that is longer comes alone.
    let mut state = State::new(100, 1);
    state.put(vec![vec![0; 2_000_000], vec![0]]).unwrap();
    assert_eq!(state.try_get(ONE, items(9)).unwrap().len(), 1);
}

#[test]
fn an_answer_with_several_items_is_no_longer_than_the_client_reads() {
    let mut state = State::new(100, 1);
    let lengths = [0, 1, 90, 3, 300, 84, 84, 40, 0, 0, 0, 0, 0, 0, 0, 0, 100];
    let bodies = lengths.iter().map(|&length| vec![7; length]);
    assert_eq!(state.try_put(bodies.collect()), Ok(true));
    let max = AtMost {
        items: usize::MAX,
        bytes: 101,
    };
    let mut got = Vec::new();
    while got.len() < lengths.len() {
        let granted = state.try_get(ONE, max).unwrap();
        assert!(!granted.is_empty());
        let length = crate::items::ops::granted(&granted).len();
        assert!(granted.len() == 1 || length <= max.bytes, "{length}");
        got.extend(granted.into_iter().map(|granted| granted.body.len()));
    }
    assert_eq!(got, lengths);
}

/// If each searched all others, this would take minutes.
#[test]
fn a_hundred_thousand_requests_that_wait_are_dropped_one_by_one() {
    let mut state = State::new(1, 1);
    let wait = |state: &mut State| match state.get(ONE, items(1)) {
        Ok(Step::Waits(waiter)) => waiter,
        other => panic!("it does not wait: {other:?}"),
    };
    let waiters: Vec<_> = (0..100_000).map(|_| wait(&mut state)).collect();
    let last = wait(&mut state);
    for waiter in waiters {
        state.cancel(waiter, ONE);
    }
    assert_eq!(state.try_put(vec![vec![7]]), Ok(true));
    assert_eq!(state.take_woken(), [last]);
}
