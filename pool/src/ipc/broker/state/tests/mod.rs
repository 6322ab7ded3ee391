//! Tests of the decisions of a broker.

mod clients;
mod model;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::ipc::broker::protocol::{Answer, Body, Operation, Status};

const NOW: SystemTime = UNIX_EPOCH;

/// What an answer says: the request, the status and the body.
type Said = (Key, u16, Vec<u8>);

fn key(client: Client, request: u64) -> Key {
    Key { client, request }
}

/// Sends a request, and returns the answers that it leads to.
fn send(
    state: &mut State,
    key: Key,
    object: ObjectNumber,
    operation: Operation,
    body: &[u8],
) -> Result<Vec<Said>, Violation> {
    let mut effects = Effects::at(NOW);
    let call = Call {
        operation,
        body: Body(body),
        descriptors: Ok(Vec::new()),
        pid: 0,
    };
    state.request(key, object, call, &mut effects)?;
    Ok(said(effects))
}

fn said(effects: Effects) -> Vec<Said> {
    let answers = effects.answers.into_iter();
    let said = answers.map(|(key, answer)| {
        let Answer { status, body, .. } = answer;
        (key, status.0, body)
    });
    said.collect()
}

/// Calls a method of the state, and returns the answers that it leads to.
fn change(state: &mut State, f: impl FnOnce(&mut State, &mut Effects)) -> Vec<Said> {
    let mut effects = Effects::at(NOW + Duration::from_secs(1));
    f(state, &mut effects);
    said(effects)
}

/// The body of the grant of a mutex.
fn grant(fencing: u64, is_poisoned: bool) -> Vec<u8> {
    let mut body = fencing.to_le_bytes().to_vec();
    body.push(u8::from(is_poisoned));
    body
}

fn done(key: Key, body: Vec<u8>) -> Said {
    (key, Status::DONE.0, body)
}
