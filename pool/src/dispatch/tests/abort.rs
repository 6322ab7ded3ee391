//! Jobs that are aborted, at every point of their way.

use super::*;

#[test]
fn a_job_that_waits_is_removed() {
    let mut jobs = dispatcher(1, 1);
    let (key, _) = jobs.submit(1, ONCE);
    assert_eq!(jobs.abort(key), removed(1));
    assert_eq!(jobs.abort(key), Aborted::Gone);
    assert!(jobs.is_empty());
}

#[test]
fn a_job_that_was_sent_and_has_not_started_is_revoked() {
    let mut jobs = dispatcher(1, 2);
    let (worker, page) = ready_worker(&mut jobs);
    let keys = submit(&mut jobs, 1..=2);
    let sent = fill(&mut jobs, worker);
    assert!(page.start(sent[0].1));
    assert_eq!(jobs.abort(keys[1]), removed(2));
    assert!(!page.start(sent[1].1));
    assert_eq!(jobs.counts().totals.revoked, 1);
    assert_eq!(jobs.counts().sent, 1);
}

#[test]
fn a_job_that_runs_is_asked_to_end_and_its_result_is_still_reported() {
    let mut jobs = dispatcher(1, 1);
    let (worker, page) = ready_worker(&mut jobs);
    let (key, _) = jobs.submit(1, ONCE);
    let ticket = send(&mut jobs, worker);
    assert!(page.start(ticket));
    let started = Aborted::Started { worker };
    assert_eq!(jobs.abort(key), started);
    assert_eq!(page.0.borrow()[ticket.slot()].1, State::CancelAsked);
    // A second abort changes nothing.
    assert_eq!(jobs.abort(key), started);
    assert_eq!(jobs.finish(worker, ticket).unwrap().payload, 1);
    assert_eq!(jobs.abort(key), Aborted::Gone);
}

#[test]
fn a_retired_worker_starts_no_job_beside_the_aborted_one() {
    let mut jobs = dispatcher(1, 3);
    let (worker, page) = ready_worker(&mut jobs);
    let keys = submit(&mut jobs, 1..=3);
    let sent = fill(&mut jobs, worker);
    assert!(page.start(sent[0].1));
    assert!(!jobs.runs_only_aborted(worker));
    assert_eq!(jobs.abort(keys[0]), Aborted::Started { worker });
    assert!(jobs.runs_only_aborted(worker));
    // As soon as the worker is retired, it cannot start another one.
    assert_eq!(jobs.retire(worker), 2);
    assert!(!page.start(sent[1].1));
    assert!(jobs.runs_only_aborted(worker));
}

#[test]
fn a_worker_runs_only_aborted_jobs_once_the_results_of_others_were_read() {
    let mut jobs = dispatcher(1, 3);
    let (worker, page) = ready_worker(&mut jobs);
    let keys = submit(&mut jobs, 1..=3);
    let sent = fill(&mut jobs, worker);
    assert!(!jobs.runs_only_aborted(worker));
    // The result of the first job is on its way.
    assert!(page.start(sent[0].1));
    assert!(page.start(sent[1].1));
    jobs.abort(keys[1]);
    jobs.retire(worker);
    assert!(!jobs.runs_only_aborted(worker));
    jobs.finish(worker, sent[0].1).unwrap();
    assert!(jobs.runs_only_aborted(worker));
    jobs.finish(worker, sent[1].1).unwrap();
    assert!(!jobs.runs_only_aborted(worker));
}

#[test]
fn a_worker_that_runs_another_job_does_not_run_only_aborted_ones() {
    let mut jobs = dispatcher(1, 3);
    let (worker, page) = ready_worker(&mut jobs);
    let keys = submit(&mut jobs, 1..=3);
    let sent = fill(&mut jobs, worker);
    assert!(page.start(sent[0].1));
    assert!(page.start(sent[1].1));
    assert_eq!(jobs.abort(keys[0]), Aborted::Started { worker });
    assert!(!jobs.runs_only_aborted(worker));
    assert_eq!(jobs.abort(keys[1]), Aborted::Started { worker });
    assert!(jobs.runs_only_aborted(worker));
}

#[test]
fn a_worker_that_holds_nothing_after_an_abort_is_woken() {
    let mut jobs = dispatcher(1, 1);
    let (worker, _) = ready_worker(&mut jobs);
    let keys = submit(&mut jobs, 1..=2);
    send(&mut jobs, worker);
    assert!(jobs.next(worker).is_none());
    assert_eq!(jobs.abort(keys[0]), removed(1));
    // No result will come that could make the driver ask.
    assert_eq!(jobs.next_to_wake(), Some(worker));
    assert_eq!(numbers(&fill(&mut jobs, worker)), [2]);
}

#[test]
fn a_job_whose_worker_has_ended_is_removed_with_its_attempts() {
    let mut jobs = dispatcher(1, 1);
    let (worker, page) = ready_worker(&mut jobs);
    let (key, _) = jobs.submit(1, RETRIED);
    page.start(send(&mut jobs, worker));
    assert_eq!(jobs.ended(worker).len(), 1);
    assert_eq!(
        jobs.abort(key),
        Aborted::Removed {
            payload: 1,
            attempts: 1
        }
    );
    assert!(!jobs.requeue(key));
    assert_eq!(jobs.remove(key), None);
    assert!(jobs.is_empty());
}

#[test]
fn a_retried_job_that_waits_is_removed_with_its_attempts() {
    let mut jobs = dispatcher(1, 1);
    let (worker, page) = ready_worker(&mut jobs);
    let (key, _) = jobs.submit(1, RETRIED);
    page.start(send(&mut jobs, worker));
    jobs.ended(worker);
    assert!(jobs.requeue(key));
    assert_eq!(
        jobs.abort(key),
        Aborted::Removed {
            payload: 1,
            attempts: 1
        }
    );
}

/// Aborts each of 64 jobs in turn, after the first `started` of them have started.
#[test]
fn a_job_is_revoked_at_every_position_and_the_others_run() {
    for position in 0..64_u32 {
        for (depth, started) in [(1, 0), (1, 1), (8, 1), (64, 0), (64, 1), (64, 40)] {
            let mut jobs = dispatcher(1, depth);
            let (worker, page) = ready_worker(&mut jobs);
            let keys = submit(&mut jobs, 1..=64);
            let mut pipe = fill(&mut jobs, worker);
            for (_, ticket) in &pipe[..started] {
                assert!(page.start(*ticket));
            }
            let was_started = (position as usize) < started;
            match jobs.abort(keys[position as usize]) {
                Aborted::Started { .. } => assert!(was_started),
                aborted => {
                    assert!(!was_started);
                    assert_eq!(aborted, removed(position + 1));
                }
            }
            let mut ran = Vec::new();
            loop {
                pipe.extend(fill(&mut jobs, worker));
                if pipe.is_empty() {
                    break;
                }
                let (number, ticket) = pipe.remove(0);
                if page.has_started(ticket) || page.start(ticket) {
                    ran.push(number);
                    jobs.finish(worker, ticket).unwrap();
                }
            }
            let expected = (1..=64).filter(|&number| was_started || number != position + 1);
            assert_eq!(ran, expected.collect::<Vec<_>>());
            assert!(jobs.is_empty());
        }
    }
}

#[test]
fn a_withdrawn_job_never_starts_and_a_started_one_is_left_alone() {
    let mut jobs = dispatcher(1, 2);
    let (worker, page) = ready_worker(&mut jobs);
    let keys = submit(&mut jobs, 1..=3);
    let sent = fill(&mut jobs, worker);
    assert!(page.start(sent[0].1));
    assert_eq!(jobs.withdraw(keys[0]), None);
    assert_eq!(jobs.withdraw(keys[1]), Some(2));
    assert!(!page.start(sent[1].1));
    assert_eq!(jobs.withdraw(keys[2]), Some(3));
    assert_eq!(jobs.withdraw(keys[2]), None);
    assert!(!jobs.runs_only_aborted(worker));
    assert_eq!(jobs.finish(worker, sent[0].1).unwrap().payload, 1);
    assert!(jobs.is_empty());
}
