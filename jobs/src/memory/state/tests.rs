use std::time::Duration;

use super::lease::{AtMost, LeaseName};
use super::push::Full;
use super::{DAY, Limits, Lookup, Session, State};
use crate::engine::{Function, JobId, Leased, NewJob, Outcome};

const NOW: Duration = Duration::from_secs(10);
const LEASE: Duration = Duration::from_secs(1);

fn function() -> Function {
    Function {
        name: "send".to_owned(),
        version: 1,
    }
}

fn job(payload: &[u8], key: Option<&str>) -> NewJob {
    NewJob {
        function: function(),
        payload: payload.to_vec(),
        key: key.map(str::to_owned),
        delay: Duration::ZERO,
    }
}

fn state(limits: Limits) -> State {
    State::new("queue".to_owned(), limits)
}

fn push(state: &mut State, now: Duration, job: NewJob) -> JobId {
    state.push(now, vec![job]).unwrap().ids.remove(0)
}

fn lease(state: &mut State, now: Duration) -> Leased {
    let mut leased = state.lease(now, Session(1), &[function()], AtMost::jobs(1), LEASE);
    leased.remove(0)
}

fn finish(state: &mut State, now: Duration, result: &[u8]) -> JobId {
    let leased = lease(state, now);
    let name = LeaseName::from(&leased);
    state.finish(now, &name, result.to_vec()).unwrap();
    leased.id
}

#[test]
fn a_full_queue_stores_none_of_the_jobs() {
    let limits = Limits {
        jobs: 3,
        bytes: 10,
        ..Limits::default()
    };
    let mut state = state(limits);
    let first = push(&mut state, NOW, job(b"123", Some("first")));
    let jobs = vec![job(b"", None), job(b"", None), job(b"", None)];
    assert_eq!(state.push(NOW, jobs).unwrap_err(), Full::Jobs);
    let jobs = vec![job(b"", None), job(b"12345678", None)];
    assert_eq!(state.push(NOW, jobs).unwrap_err(), Full::Bytes);
    assert_eq!(state.counts().waiting, 1);
    push(&mut state, NOW, job(b"1234567", None));
    push(&mut state, NOW, job(b"", None));
    assert!(state.push(NOW, vec![job(b"", None)]).is_err());
    // A producer that repeats its push gets its answer nevertheless.
    assert_eq!(push(&mut state, NOW, job(b"123", Some("first"))), first);
    finish(&mut state, NOW, b"");
    push(&mut state, NOW, job(b"123", None));
}

#[test]
fn a_key_is_known_for_a_day_also_when_its_job_has_ended() {
    let mut state = state(Limits::default());
    let first = push(&mut state, NOW, job(b"", Some("key")));
    finish(&mut state, NOW, b"");
    let late = NOW + DAY - Duration::from_nanos(1);
    assert_eq!(push(&mut state, late, job(b"", Some("key"))), first);
    assert_ne!(push(&mut state, NOW + DAY, job(b"", Some("key"))), first);
}

#[test]
fn two_jobs_of_one_push_with_one_key_are_one_job() {
    let mut state = state(Limits::default());
    let jobs = vec![
        job(b"1", Some("key")),
        job(b"2", None),
        job(b"3", Some("key")),
    ];
    let ids = state.push(NOW, jobs).unwrap().ids;
    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(state.counts().waiting, 2);
}

#[test]
fn outcomes_are_kept_for_a_day() {
    let mut state = state(Limits::default());
    push(&mut state, NOW, job(b"", None));
    let id = finish(&mut state, NOW, b"result");
    let ended = Lookup::Ended(Outcome::Done(b"result".to_vec()));
    let late = NOW + DAY - Duration::from_nanos(1);
    assert_eq!(state.outcome(late, &id), ended);
    assert_eq!(state.outcome(NOW + DAY, &id), Lookup::Unknown);
}

#[test]
fn old_outcomes_make_room_for_new_ones() {
    let limits = Limits {
        outcomes: 2,
        outcome_bytes: 10,
        ..Limits::default()
    };
    let mut state = state(limits);
    let mut ids = Vec::new();
    for result in [b"1".as_slice(), b"2", b"3", b"0123456789", b"0123456789x"] {
        push(&mut state, NOW, job(b"", None));
        ids.push(finish(&mut state, NOW, result));
    }
    let known: Vec<_> = ids
        .iter()
        .map(|id| state.outcome(NOW, id) != Lookup::Unknown)
        .collect();
    assert_eq!(known, [false, false, false, false, true]);
    // Each was there when it was the newest.
    push(&mut state, NOW, job(b"", None));
    let id = finish(&mut state, NOW, b"x");
    assert_ne!(state.outcome(NOW, &id), Lookup::Unknown);
    assert_eq!(state.outcome(NOW, &ids[4]), Lookup::Unknown);
}

#[test]
fn a_key_beyond_the_limit_takes_the_place_of_the_oldest() {
    let limits = Limits {
        keys: 2,
        ..Limits::default()
    };
    let mut state = state(limits);
    let ids: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|key| push(&mut state, NOW, job(b"", Some(key))))
        .collect();
    assert_eq!(push(&mut state, NOW, job(b"", Some("b"))), ids[1]);
    assert_eq!(push(&mut state, NOW, job(b"", Some("c"))), ids[2]);
    assert_ne!(push(&mut state, NOW, job(b"", Some("a"))), ids[0]);
}

#[test]
fn an_id_of_another_queue_is_unknown() {
    let mut state = state(Limits::default());
    let id = push(&mut state, NOW, job(b"", None));
    assert_eq!(id.to_string(), "queue-1");
    for other in [
        "", "queue", "queue-", "queue-2", "older-1", "queue--1", "queue-1x",
    ] {
        let id = JobId(other.to_owned());
        assert_eq!(state.outcome(NOW, &id), Lookup::Unknown, "{other}");
    }
}

#[test]
fn the_longest_times_are_no_error() {
    let mut state = state(Limits::default());
    let delayed = NewJob {
        delay: Duration::MAX,
        ..job(b"", None)
    };
    push(&mut state, NOW, delayed);
    push(&mut state, NOW, job(b"", None));
    let leased = state.lease(
        NOW,
        Session(1),
        &[function()],
        AtMost::jobs(9),
        Duration::MAX,
    );
    assert_eq!(leased.len(), 1);
    assert!(state.advance(NOW + DAY).is_empty());
}

#[test]
fn jobs_that_are_leased_together_are_no_longer_than_the_client_reads() {
    let mut state = state(Limits::default());
    let lengths = [
        0, 1, 2, 40, 7, 300, 255, 256, 5_000, 0, 0, 65_536, 3, 900, 1,
    ];
    let jobs = lengths.map(|length| job(&vec![255; length], None));
    let pushed = state.push(NOW, jobs.to_vec()).unwrap();
    let max = AtMost {
        jobs: usize::MAX,
        bytes: 1_000,
    };
    let mut leased = Vec::new();
    while leased.len() < pushed.ids.len() {
        let jobs = state.lease(NOW, Session(1), &[function()], max, LEASE);
        let length: usize = jobs
            .iter()
            .map(|job| rmp_serde::to_vec_named(job).unwrap().len())
            .sum();
        assert!(!jobs.is_empty());
        assert!(jobs.len() == 1 || length <= max.bytes, "{length}");
        leased.extend(jobs.into_iter().map(|job| job.id));
    }
    assert_eq!(leased, pushed.ids);
}
