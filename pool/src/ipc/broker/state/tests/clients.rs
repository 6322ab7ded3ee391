//! What clients do that is not expected, and how they end.

use super::*;

/// Creates a state with a mutex, and the clients 1 and 2.
fn with_mutex() -> (State, ObjectNumber) {
    let mut state = State::new(1);
    let mutex = state.add_object(Box::new(Mutex::new()));
    state.add_client(1, 11);
    state.add_client(2, 22);
    (state, mutex)
}

#[test]
fn a_withdrawal_after_the_grant_gives_the_lock_back() {
    let (mut state, mutex) = with_mutex();
    let lock = |state: &mut State, key| send(state, key, mutex, Operation::LOCK, &[]).unwrap();
    assert_eq!(
        lock(&mut state, key(1, 1)),
        [done(key(1, 1), grant(1, false))]
    );
    assert_eq!(lock(&mut state, key(2, 1)), []);
    // The client has not read the grant when it withdraws the request.
    let answers = send(&mut state, key(1, 1), 0, Operation::WITHDRAW, &[]).unwrap();
    assert_eq!(answers, [done(key(2, 1), grant(2, false))]);
    assert!(!state.has_open(1));
    // A second withdrawal has no effect.
    let answers = send(&mut state, key(1, 1), 0, Operation::WITHDRAW, &[]).unwrap();
    assert_eq!(answers, []);
}

#[test]
fn a_process_that_lives_keeps_its_lock_without_its_socket() {
    let (mut state, mutex) = with_mutex();
    send(&mut state, key(1, 1), mutex, Operation::LOCK, &[]).unwrap();
    send(&mut state, key(1, 2), mutex, Operation::LOCK, &[]).unwrap();
    send(&mut state, key(2, 1), mutex, Operation::LOCK, &[]).unwrap();
    let answers = change(&mut state, |state, effects| state.socket_ended(1, effects));
    assert_eq!(answers, []);
    assert!(state.has_open(1));
    // Its second request has left the line.
    let answers = change(&mut state, |state, effects| state.process_ended(1, effects));
    assert_eq!(answers, [done(key(2, 1), grant(2, true))]);
}

#[test]
fn a_lock_that_was_released_before_the_death_is_not_poisoned() {
    let (mut state, mutex) = with_mutex();
    send(&mut state, key(1, 1), mutex, Operation::LOCK, &[]).unwrap();
    send(&mut state, key(2, 1), mutex, Operation::LOCK, &[]).unwrap();
    change(&mut state, |state, effects| state.socket_ended(1, effects));
    // What the process had sent is read only now.
    let answers = send(&mut state, key(1, 1), 0, Operation::WITHDRAW, &[]).unwrap();
    assert_eq!(answers, [done(key(2, 1), grant(2, false))]);
    // It asks for the lock, and is dead.
    let answers = send(&mut state, key(1, 2), mutex, Operation::LOCK, &[]).unwrap();
    assert_eq!(answers, []);
    let answers = change(&mut state, |state, effects| state.process_ended(1, effects));
    assert_eq!(answers, []);
}

#[test]
fn a_panic_poisons_until_the_poison_is_cleared() {
    let (mut state, mutex) = with_mutex();
    send(&mut state, key(1, 1), mutex, Operation::LOCK, &[]).unwrap();
    send(&mut state, key(1, 1), 0, Operation::WITHDRAW_PANICKING, &[]).unwrap();
    for round in 0..2 {
        let request = key(2, 1 + round);
        let answers = send(&mut state, request, mutex, Operation::LOCK, &[]).unwrap();
        assert_eq!(answers, [done(request, grant(2 + round, true))]);
        send(&mut state, request, 0, Operation::WITHDRAW, &[]).unwrap();
    }
    send(&mut state, key(2, 9), mutex, Operation::CLEAR_POISON, &[]).unwrap();
    let answers = send(&mut state, key(2, 10), mutex, Operation::LOCK, &[]).unwrap();
    assert_eq!(answers, [done(key(2, 10), grant(4, false))]);
}

#[test]
fn a_request_of_a_dead_process_does_not_complete_a_barrier() {
    let mut state = State::new(1);
    let barrier = state.add_object(Box::new(Barrier::new(2)));
    state.add_client(1, 11);
    send(&mut state, key(LOCAL, 1), barrier, Operation::ARRIVE, &[]).unwrap();
    change(&mut state, |state, effects| state.socket_ended(1, effects));
    let answers = send(&mut state, key(1, 1), barrier, Operation::ARRIVE, &[]).unwrap();
    assert_eq!(answers, []);
    let answers = send(&mut state, key(LOCAL, 2), barrier, Operation::ARRIVE, &[]).unwrap();
    assert_eq!(answers.len(), 2);
}

#[test]
fn an_object_that_does_not_exist_is_closed() {
    let (mut state, mutex) = with_mutex();
    let closed = |request| (key(1, request), Status::CLOSED.0, Vec::new());
    let answers = send(&mut state, key(1, 1), mutex + 1, Operation::LOCK, &[]).unwrap();
    assert_eq!(answers, [closed(1)]);
    // An open request ends with its object.
    send(&mut state, key(2, 1), mutex, Operation::LOCK, &[]).unwrap();
    send(&mut state, key(1, 2), mutex, Operation::LOCK, &[]).unwrap();
    let answers = change(&mut state, |state, effects| {
        state.remove_object(mutex, effects);
    });
    assert_eq!(answers, [closed(2)]);
    assert!(!state.has_open(1) && !state.has_open(2));
    let answers = send(&mut state, key(2, 1), 0, Operation::WITHDRAW, &[]).unwrap();
    assert_eq!(answers, []);
}

#[test]
fn a_client_without_a_socket_is_released_with_the_object_that_it_holds() {
    let (mut state, mutex) = with_mutex();
    send(&mut state, key(1, 1), mutex, Operation::LOCK, &[]).unwrap();
    change(&mut state, |state, effects| state.socket_ended(1, effects));
    let mut effects = Effects::at(NOW);
    state.remove_object(mutex, &mut effects);
    assert_eq!(effects.released, [1]);
    assert!(!state.has_open(1));
}

#[test]
fn an_operation_of_another_kind_is_refused() {
    let (mut state, mutex) = with_mutex();
    for operation in [Operation::SET, Operation::ACQUIRE, Operation(0x7777)] {
        let answers = send(&mut state, key(1, 1), mutex, operation, &[]).unwrap();
        assert_eq!(answers, [(key(1, 1), Status::WRONG_KIND.0, Vec::new())]);
        assert!(!state.has_open(1));
    }
}

#[test]
fn a_client_that_violates_the_protocol_is_found_out() {
    let (mut state, mutex) = with_mutex();
    send(&mut state, key(1, 1), mutex, Operation::LOCK, &[]).unwrap();
    send(&mut state, key(1, 1), mutex, Operation::LOCK, &[]).unwrap_err();
    let numberless = send(&mut state, key(1, NO_REQUEST), mutex, Operation::LOCK, &[]);
    numberless.unwrap_err();
    let semaphore = state.add_object(Box::new(Semaphore::new(1)));
    send(&mut state, key(1, 2), semaphore, Operation::ACQUIRE, &[1]).unwrap_err();
}

#[test]
#[cfg_attr(miri, ignore)] // It takes long, and Miri has the others.
fn the_open_requests_of_a_client_are_limited() {
    let mut state = State::new(1);
    let event = state.add_object(Box::new(Event::new()));
    state.add_client(1, 11);
    let limit = MAX_OPEN as u64;
    for request in 1..=limit {
        send(&mut state, key(1, request), event, Operation::WAIT, &[]).unwrap();
    }
    let next = key(1, limit + 1);
    send(&mut state, next, event, Operation::WAIT, &[]).unwrap_err();
    // Other operations are still possible, and nothing is left afterwards.
    let answers = send(&mut state, next, event, Operation::SET, &[]).unwrap();
    assert_eq!(answers.len(), MAX_OPEN + 1);
    assert!(!state.has_open(1));
    send(&mut state, next, event, Operation::WAIT, &[]).unwrap();
}

#[test]
fn holders_are_reported() {
    let (mut state, mutex) = with_mutex();
    send(&mut state, key(2, 1), mutex, Operation::LOCK, &[]).unwrap();
    let answers = send(&mut state, key(1, 1), mutex, Operation::HOLDER, &[]).unwrap();
    let mut body = 22_u32.to_le_bytes().to_vec();
    body.extend_from_slice(&0_u64.to_le_bytes());
    body.extend_from_slice(&1_u64.to_le_bytes());
    assert_eq!(answers, [done(key(1, 1), body)]);
}

#[test]
fn a_client_withdraws_what_another_client_of_its_process_holds() {
    let (mut state, mutex) = with_mutex();
    state.add_client(3, 11);
    send(&mut state, key(1, 5), mutex, Operation::LOCK, &[]).unwrap();
    send(&mut state, key(2, 1), mutex, Operation::LOCK, &[]).unwrap();
    change(&mut state, |state, effects| state.socket_ended(1, effects));
    let mut body = 1_u64.to_le_bytes().to_vec();
    send(&mut state, key(3, 5), 0, Operation::WITHDRAW_OF, &body).unwrap_err();
    body.push(0);
    // Another process has no effect, nor has the number of another request.
    for other in [key(2, 5), key(3, 6)] {
        let answers = send(&mut state, other, 0, Operation::WITHDRAW_OF, &body).unwrap();
        assert_eq!(answers, []);
    }
    assert!(state.has_open(1));
    let answers = send(&mut state, key(3, 5), 0, Operation::WITHDRAW_OF, &body).unwrap();
    assert_eq!(answers, [done(key(2, 1), grant(2, false))]);
    assert!(!state.has_open(1));
    // What the thread of the broker holds is its own.
    let body = [LOCAL.to_le_bytes().as_slice(), &[0]].concat();
    state.add_client(4, 1);
    send(&mut state, key(LOCAL, 7), mutex, Operation::LOCK, &[]).unwrap();
    send(&mut state, key(4, 7), 0, Operation::WITHDRAW_OF, &body).unwrap();
    assert!(state.has_open(LOCAL));
}
