//! Workers that end, and their jobs.

use super::*;

#[test]
fn jobs_that_had_not_started_return_to_the_front_without_an_attempt() {
    let mut jobs = dispatcher(1, 4);
    let (worker, page) = ready_worker(&mut jobs);
    let keys = submit(&mut jobs, 1..=6);
    let sent = fill(&mut jobs, worker);
    page.start(sent[0].1);
    let started = jobs.ended(worker);
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].key, keys[0]);
    assert_eq!(started[0].attempts, 1);
    assert!(!started[0].may_retry);
    assert_eq!(jobs.remove(keys[0]), Some(1));
    assert_eq!(jobs.counts().totals.requeued, 3);
    let (worker, _) = ready_worker(&mut jobs);
    let sent = jobs.next(worker).unwrap();
    assert_eq!((*sent.payload, sent.attempt), (2, 1));
    assert_eq!(waiting(&mut jobs), [3, 4, 5, 6]);
}

#[test]
fn an_idle_worker_that_ends_takes_no_job_with_it() {
    let mut jobs = dispatcher(1, 4);
    let (worker, _) = ready_worker(&mut jobs);
    assert!(jobs.ended(worker).is_empty());
    assert!(jobs.ended(worker).is_empty());
    assert!(jobs.next(worker).is_none());
    assert_eq!(jobs.missing(), 1);
}

#[test]
fn a_worker_that_ends_after_it_was_woken_leaves_the_job_to_another() {
    let mut jobs = dispatcher(2, 1);
    let (first, _) = ready_worker(&mut jobs);
    let (second, _) = ready_worker(&mut jobs);
    assert_eq!(jobs.submit(1, ONCE).1, Some(second));
    assert_eq!(jobs.next_to_wake(), None);
    jobs.ended(second);
    assert_eq!(jobs.next_to_wake(), Some(first));
}

#[test]
fn an_idempotent_job_runs_again_before_the_jobs_after_it() {
    let mut jobs = dispatcher(1, 3);
    let (worker, page) = ready_worker(&mut jobs);
    for number in 1..=4 {
        jobs.submit(number, RETRIED);
    }
    let sent = fill(&mut jobs, worker);
    page.start(sent[0].1);
    let started = jobs.ended(worker);
    assert!(started[0].may_retry);
    assert!(jobs.requeue(started[0].key));
    assert!(!jobs.requeue(started[0].key));
    let (worker, _) = ready_worker(&mut jobs);
    let sent = jobs.next(worker).unwrap();
    assert_eq!((*sent.payload, sent.attempt), (1, 2));
    assert_eq!(waiting(&mut jobs), [2, 3, 4]);
}

#[test]
fn attempts_end_at_their_limit_and_the_neighbours_of_the_job_are_not_blamed() {
    let mut jobs = dispatcher(1, 4);
    let (poison, _) = jobs.submit(1, RETRIED);
    submit(&mut jobs, 2..=4);
    for attempt in 1..=3 {
        let (worker, page) = ready_worker(&mut jobs);
        let sent = fill(&mut jobs, worker);
        assert_eq!(numbers(&sent), [1, 2, 3, 4]);
        page.start(sent[0].1);
        let started = jobs.ended(worker);
        assert_eq!(started.len(), 1);
        assert_eq!(started[0].attempts, attempt);
        assert_eq!(started[0].may_retry, attempt < 3);
        assert_eq!(jobs.requeue(poison), attempt < 3);
    }
    assert_eq!(jobs.remove(poison), Some(1));
    assert_eq!(waiting(&mut jobs), [2, 3, 4]);
}

#[test]
fn an_aborted_job_is_not_retried() {
    let mut jobs = dispatcher(1, 1);
    let (worker, page) = ready_worker(&mut jobs);
    let (key, _) = jobs.submit(1, RETRIED);
    page.start(send(&mut jobs, worker));
    jobs.abort(key);
    let started = jobs.ended(worker);
    assert!(!started[0].may_retry);
    assert!(!jobs.requeue(key));
    assert!(!jobs.requeue_rest(key));
    assert_eq!(jobs.remove(key), Some(1));
}

#[test]
fn the_rest_of_a_job_that_had_begun_uses_no_attempt() {
    let mut jobs = dispatcher(1, 1);
    let (worker, page) = ready_worker(&mut jobs);
    let (key, _) = jobs.submit(30, ONCE);
    page.start(send(&mut jobs, worker));
    assert!(!jobs.ended(worker)[0].may_retry);
    *jobs.payload(key).unwrap() = 10;
    assert!(jobs.requeue_rest(key));
    let (worker, _) = ready_worker(&mut jobs);
    let sent = jobs.next(worker).unwrap();
    assert_eq!((sent.attempt, *sent.payload), (1, 10));
    let ticket = sent.ticket;
    assert_eq!(jobs.by_ticket(worker, ticket), Some((key, &mut 10)));
}

#[test]
fn a_job_of_unknown_outcome_is_only_moved_by_what_decides_about_it() {
    let mut jobs = dispatcher(1, 2);
    let (worker, page) = ready_worker(&mut jobs);
    let keys = submit(&mut jobs, 1..=2);
    let sent = fill(&mut jobs, worker);
    page.start(sent[0].1);
    // Jobs that are in flight or wait are not for these.
    for &key in &keys {
        assert!(!jobs.requeue(key) && !jobs.requeue_rest(key));
        assert_eq!(jobs.remove(key), None);
    }
    jobs.ended(worker);
    assert!(jobs.is_started(keys[0]) && !jobs.is_started(keys[1]));
    assert_eq!(jobs.location(keys[0]), None);
    assert_eq!(jobs.remove(keys[1]), None);
    assert_eq!(waiting(&mut jobs), [2]);
    assert_eq!(jobs.counts().unknown, 1);
    assert_eq!(jobs.remove(keys[0]), Some(1));
    assert!(jobs.is_empty());
}

#[test]
fn a_result_that_was_read_before_the_end_is_no_unknown_outcome() {
    let mut jobs = dispatcher(1, 3);
    let (worker, page) = ready_worker(&mut jobs);
    let keys = submit(&mut jobs, 1..=3);
    let sent = fill(&mut jobs, worker);
    page.start(sent[0].1);
    page.start(sent[1].1);
    jobs.finish(worker, sent[0].1).unwrap();
    let started = jobs.ended(worker);
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].key, keys[1]);
}

#[test]
fn the_key_of_a_worker_that_has_ended_finds_nothing() {
    let mut jobs = dispatcher(1, 4);
    let (old, _) = ready_worker(&mut jobs);
    jobs.ended(old);
    let (new, _) = ready_worker(&mut jobs);
    assert_eq!(new.index, old.index);
    submit(&mut jobs, 1..=2);
    assert!(jobs.next(old).is_none());
    let ticket = send(&mut jobs, new);
    assert!(jobs.finish(old, ticket).is_none());
    assert_eq!(jobs.by_ticket(old, ticket), None);
    assert_eq!(jobs.state(old), None);
    assert_eq!(jobs.sent_to(old).count(), 0);
    assert_eq!(jobs.retire(old), 0);
    assert!(jobs.ended(old).is_empty());
    assert!(!jobs.is_drained(old));
    assert!(jobs.next(new).is_some());
}

#[test]
fn jobs_that_ran_are_returned_in_the_order_in_which_they_were_sent() {
    let mut jobs = dispatcher(1, 4);
    let (worker, page) = ready_worker(&mut jobs);
    let keys = submit(&mut jobs, 1..=4);
    let sent = fill(&mut jobs, worker);
    for (_, ticket) in &sent[..3] {
        page.start(*ticket);
    }
    let started = jobs.ended(worker);
    assert!(
        started
            .iter()
            .map(|started| started.key)
            .eq(keys[..3].iter().copied())
    );
}
