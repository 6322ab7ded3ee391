//! The number of workers.

use super::*;

#[test]
fn workers_that_boot_are_not_missing() {
    let mut jobs = dispatcher(3, 1);
    assert_eq!(jobs.missing(), 3);
    let worker = jobs.add_worker(Page::new());
    assert_eq!(jobs.missing(), 2);
    jobs.ready(worker);
    assert_eq!(jobs.missing(), 2);
    jobs.ended(worker);
    assert_eq!(jobs.missing(), 3);
}

#[test]
fn a_worker_that_was_sent_all_its_jobs_is_replaced_before_it_has_ended() {
    let mut jobs = with_max_jobs(1, 4, 2);
    let (worker, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=5);
    let sent = fill(&mut jobs, worker);
    assert_eq!(numbers(&sent), [1, 2]);
    assert_eq!(jobs.state(worker).unwrap().stage, WorkerStage::Spent);
    assert_eq!(jobs.missing(), 1);
    assert!(!jobs.is_drained(worker));
    jobs.finish(worker, sent[0].1).unwrap();
    assert!(jobs.next(worker).is_none());
    jobs.finish(worker, sent[1].1).unwrap();
    assert!(jobs.is_drained(worker));
    assert!(jobs.next(worker).is_none());
}

#[test]
fn a_replacement_waits_until_the_worker_before_it_has_finished() {
    let mut jobs = with_max_jobs(1, 1, 1);
    let (old, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=2);
    let ticket = send(&mut jobs, old);
    let (new, _) = ready_worker(&mut jobs);
    // Otherwise a pool of one worker would run any number of long jobs at once.
    assert_eq!(jobs.next_to_wake(), None);
    assert!(jobs.next(new).is_none());
    assert_eq!(jobs.missing(), 0);
    jobs.finish(old, ticket).unwrap();
    assert_eq!(jobs.next_to_wake(), Some(new));
    assert_eq!(numbers(&fill(&mut jobs, new)), [2]);
}

#[test]
fn a_revoked_job_is_given_back_to_the_worker_if_it_has_no_replacement() {
    for is_replaced in [false, true] {
        let mut jobs = with_max_jobs(1, 4, 2);
        let (worker, page) = ready_worker(&mut jobs);
        let keys = submit(&mut jobs, 1..=3);
        let sent = fill(&mut jobs, worker);
        page.start(sent[0].1);
        if is_replaced {
            jobs.add_worker(Page::new());
        }
        assert_eq!(jobs.abort(keys[1]), removed(2));
        assert_eq!(jobs.state(worker).unwrap().issued, 1);
        let expected: &[u32] = if is_replaced { &[] } else { &[3] };
        assert_eq!(numbers(&fill(&mut jobs, worker)), expected);
        assert_eq!(jobs.missing(), usize::from(!is_replaced));
    }
}

#[test]
fn a_retired_worker_finishes_what_it_has_started() {
    let mut jobs = dispatcher(1, 4);
    let (worker, page) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=5);
    let sent = fill(&mut jobs, worker);
    page.start(sent[0].1);
    assert_eq!(jobs.retire(worker), 3);
    assert!(!page.start(sent[1].1));
    assert_eq!(jobs.missing(), 1);
    assert!(!jobs.is_drained(worker));
    assert!(jobs.next(worker).is_none());
    jobs.finish(worker, sent[0].1).unwrap();
    assert!(jobs.is_drained(worker));
    assert_eq!(waiting(&mut jobs), [2, 3, 4, 5]);
}

#[test]
fn a_worker_that_is_retired_while_it_boots_never_gets_a_job() {
    let mut jobs = dispatcher(1, 1);
    let worker = jobs.add_worker(Page::new());
    jobs.retire(worker);
    jobs.ready(worker);
    submit(&mut jobs, 1..=1);
    assert!(jobs.next(worker).is_none());
    assert!(jobs.is_drained(worker));
    assert_eq!(jobs.missing(), 1);
}

#[test]
fn a_worker_that_takes_jobs_is_not_drained() {
    let mut jobs = dispatcher(1, 1);
    let (worker, _) = ready_worker(&mut jobs);
    assert!(!jobs.is_drained(worker));
}

#[test]
fn a_target_of_0_sends_nothing_and_needs_no_worker() {
    let mut jobs = dispatcher(2, 4);
    let (busy, _) = ready_worker(&mut jobs);
    let (idle, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=5);
    send(&mut jobs, busy);
    jobs.set_target(0);
    assert!(jobs.next(busy).is_none());
    assert!(jobs.next(idle).is_none());
    assert_eq!(jobs.next_to_wake(), None);
    jobs.retire(busy);
    jobs.ended(idle);
    assert_eq!(jobs.missing(), 0);
}

#[test]
fn a_higher_target_wakes_workers_that_had_to_wait() {
    let mut jobs = with_max_jobs(1, 1, 1);
    let (old, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=2);
    send(&mut jobs, old);
    let (new, _) = ready_worker(&mut jobs);
    assert_eq!(jobs.next_to_wake(), None);
    jobs.set_target(2);
    assert_eq!(jobs.next_to_wake(), Some(new));
}

#[test]
fn a_closed_pool_starts_no_worker_that_would_find_no_job() {
    let mut jobs = dispatcher(4, 1);
    submit(&mut jobs, 1..=2);
    assert_eq!(jobs.missing(), 4);
    jobs.close();
    assert_eq!(jobs.missing(), 2);
    let (worker, page) = ready_worker(&mut jobs);
    page.start(send(&mut jobs, worker));
    assert_eq!(jobs.missing(), 1);
    let (other, _) = ready_worker(&mut jobs);
    send(&mut jobs, other);
    assert_eq!(jobs.missing(), 0);
    // The job that had not started waits again, and needs a worker.
    jobs.ended(worker);
    assert_eq!(jobs.missing(), 0);
    jobs.ended(other);
    assert_eq!(jobs.missing(), 1);
}

#[test]
fn the_states_of_workers_and_their_jobs_are_reported() {
    let mut jobs = with_max_jobs(3, 2, 2);
    let (worker, _) = ready_worker(&mut jobs);
    let (retired, _) = ready_worker(&mut jobs);
    let booting = jobs.add_worker(Page::new());
    let keys = submit(&mut jobs, 1..=3);
    jobs.retire(retired);
    fill(&mut jobs, worker);
    let counts = jobs.counts();
    assert_eq!((counts.booting, counts.ready), (1, 0));
    assert_eq!((counts.spent, counts.retiring, counts.busy), (1, 1, 1));
    assert_eq!((counts.queued, counts.sent), (1, 2));
    let workers: Vec<_> = jobs.workers().collect();
    assert_eq!(workers, [worker, retired, booting]);
    assert_eq!(jobs.sent_to(worker).collect::<Vec<_>>(), keys[..2]);
    let state = jobs.state(worker).unwrap();
    assert_eq!((state.in_flight, state.prefetch, state.issued), (2, 2, 2));
    jobs.ended(worker);
    assert_eq!(jobs.state(worker), None);
    assert_eq!(jobs.sent_to(worker).count(), 0);
}
