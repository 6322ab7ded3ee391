//! What a worker is sent, when, and in which slots.

use std::collections::HashSet;

use super::*;

#[test]
fn a_job_is_sent_and_its_result_takes_it_out() {
    let mut jobs = dispatcher(1, 1);
    let (worker, page) = ready_worker(&mut jobs);
    let (key, woken) = jobs.submit(7, ONCE);
    assert_eq!(woken, Some(worker));
    let sent = jobs.next(worker).unwrap();
    assert_eq!((sent.attempt, *sent.payload), (1, 7));
    let ticket = sent.ticket;
    assert!(!jobs.is_started(key));
    assert_eq!(jobs.location(key), Some(worker));
    assert!(page.start(ticket));
    assert!(jobs.is_started(key));
    assert_eq!(jobs.by_ticket(worker, ticket), Some((key, &mut 7)));
    let finished = jobs.finish(worker, ticket).unwrap();
    assert_eq!((finished.attempt, finished.payload), (1, 7));
    assert!(!jobs.contains(key));
    assert!(jobs.is_empty());
}

#[test]
fn a_key_and_a_ticket_find_nothing_after_the_result() {
    let mut jobs = dispatcher(1, 1);
    let (worker, _) = ready_worker(&mut jobs);
    let (old, _) = jobs.submit(1, ONCE);
    let ticket = send(&mut jobs, worker);
    assert!(jobs.finish(worker, ticket).is_some());
    // The new job has the index of the old one in the slab, and its slot.
    let (new, _) = jobs.submit(2, ONCE);
    let next = send(&mut jobs, worker);
    assert_eq!((new.index, next.slot()), (old.index, ticket.slot()));
    assert_eq!(jobs.payload(old), None);
    assert_eq!(jobs.abort(old), Aborted::Gone);
    assert_eq!(jobs.location(old), None);
    assert!(!jobs.is_started(old));
    assert_eq!(jobs.by_ticket(worker, ticket), None);
    assert!(jobs.finish(worker, ticket).is_none());
    assert_eq!(jobs.payload(new), Some(&mut 2));
}

#[test]
fn a_ticket_is_of_no_use_to_another_worker() {
    let mut jobs = dispatcher(2, 2);
    let (first, _) = ready_worker(&mut jobs);
    let (second, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=2);
    let ticket = send(&mut jobs, first);
    let other = send(&mut jobs, second);
    assert!(jobs.finish(second, ticket).is_none());
    assert!(jobs.finish(first, other).is_none());
    assert!(jobs.finish(first, Ticket::new(99, ticket.slot())).is_none());
    assert!(jobs.finish(first, ticket).is_some());
}

#[test]
fn a_booting_worker_gets_nothing() {
    let mut jobs = dispatcher(1, 1);
    let worker = jobs.add_worker(Page::new());
    assert_eq!(jobs.submit(1, ONCE).1, None);
    assert!(jobs.next(worker).is_none());
    jobs.ready(worker);
    assert_eq!(jobs.next_to_wake(), Some(worker));
    assert!(jobs.next(worker).is_some());
}

#[test]
fn a_worker_is_filled_to_its_prefetch_and_again_when_half_is_back() {
    let mut jobs = dispatcher(1, 5);
    let (worker, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=20);
    let sent = fill(&mut jobs, worker);
    assert_eq!(numbers(&sent), [1, 2, 3, 4, 5]);
    for (_, ticket) in &sent[..2] {
        jobs.finish(worker, *ticket).unwrap();
        assert!(jobs.next(worker).is_none());
    }
    jobs.finish(worker, sent[2].1).unwrap();
    assert_eq!(numbers(&fill(&mut jobs, worker)), [6, 7, 8]);
}

#[test]
fn a_short_queue_is_spread_over_the_workers() {
    let mut jobs = dispatcher(4, 32);
    let workers: Vec<_> = (0..4).map(|_| ready_worker(&mut jobs).0).collect();
    submit(&mut jobs, 1..=10);
    let held: Vec<_> = workers
        .iter()
        .map(|&worker| fill(&mut jobs, worker).len())
        .collect();
    assert_eq!(held, [3, 3, 3, 1]);
}

#[test]
fn a_job_is_kept_for_each_idle_worker() {
    let mut jobs = dispatcher(4, 32);
    let workers: Vec<_> = (0..4).map(|_| ready_worker(&mut jobs).0).collect();
    // By shares alone, the first two would get two each, and the last none.
    submit(&mut jobs, 1..=5);
    let held: Vec<_> = workers
        .iter()
        .map(|&worker| fill(&mut jobs, worker).len())
        .collect();
    assert_eq!(held, [2, 1, 1, 1]);
}

#[test]
fn all_64_slots_are_used_and_no_two_jobs_share_one() {
    let mut jobs = dispatcher(1, 64);
    let (worker, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=100);
    let sent = fill(&mut jobs, worker);
    let slots: HashSet<_> = sent.iter().map(|(_, ticket)| ticket.slot()).collect();
    assert_eq!((sent.len(), slots.len()), (64, 64));
    assert!(jobs.next(worker).is_none());
}

#[test]
fn a_prefetch_out_of_bounds_is_moved_into_them() {
    for (asked, held) in [(0, 1), (65, 64), (usize::MAX, 64)] {
        let mut jobs = dispatcher(1, asked);
        let (worker, _) = ready_worker(&mut jobs);
        submit(&mut jobs, 1..=100);
        assert_eq!(fill(&mut jobs, worker).len(), held);
    }
}

#[test]
fn sequence_numbers_grow_over_all_workers() {
    let mut jobs = dispatcher(2, 3);
    let (first, _) = ready_worker(&mut jobs);
    let (second, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=20);
    let mut last = 0;
    for worker in [first, second, second, first, second, first] {
        let ticket = send(&mut jobs, worker);
        assert!(ticket.sequence() > last);
        last = ticket.sequence();
        // Each reuses a slot.
        jobs.finish(worker, ticket).unwrap();
    }
}

#[test]
fn the_stale_frame_of_a_revoked_job_does_not_start_the_job_that_has_its_slot() {
    let mut jobs = dispatcher(1, 1);
    let (worker, page) = ready_worker(&mut jobs);
    let keys = submit(&mut jobs, 1..=2);
    let stale = send(&mut jobs, worker);
    assert_eq!(jobs.abort(keys[0]), removed(1));
    let ticket = send(&mut jobs, worker);
    assert_eq!(ticket.slot(), stale.slot());
    assert!(!page.start(stale));
    assert!(page.start(ticket));
    assert!(jobs.finish(worker, stale).is_none());
    assert_eq!(jobs.finish(worker, ticket).unwrap().payload, 2);
}
