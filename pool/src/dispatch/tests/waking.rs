//! Which worker is woken for a job.

use super::*;

#[test]
fn the_worker_that_became_idle_last_is_woken_first() {
    let mut jobs = dispatcher(3, 2);
    let workers: Vec<_> = (0..3).map(|_| ready_worker(&mut jobs).0).collect();
    submit(&mut jobs, 1..=3);
    let tickets: Vec<_> = workers
        .iter()
        .map(|&worker| send(&mut jobs, worker))
        .collect();
    for index in [1, 2, 0] {
        jobs.finish(workers[index], tickets[index]).unwrap();
    }
    for index in [0, 2, 1] {
        assert_eq!(jobs.submit(4, ONCE).1, Some(workers[index]));
    }
}

#[test]
fn each_of_several_jobs_wakes_an_idle_worker_of_its_own() {
    let mut jobs = dispatcher(3, 4);
    for _ in 0..3 {
        ready_worker(&mut jobs);
    }
    let woken: Vec<_> = (1..=3).filter_map(|n| jobs.submit(n, ONCE).1).collect();
    assert_eq!(woken.len(), 3);
    assert!(woken[0] != woken[1] && woken[1] != woken[2] && woken[0] != woken[2]);
    assert_eq!(jobs.submit(4, ONCE).1, None);
}

#[test]
fn one_job_wakes_one_worker() {
    let mut jobs = dispatcher(3, 4);
    for _ in 0..3 {
        ready_worker(&mut jobs);
    }
    assert!(jobs.submit(1, ONCE).1.is_some());
    assert_eq!(all_to_wake(&mut jobs), []);
}

#[test]
fn a_low_worker_is_woken_if_none_is_idle() {
    let mut jobs = dispatcher(2, 4);
    let (first, _) = ready_worker(&mut jobs);
    let (second, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=2);
    fill(&mut jobs, first);
    fill(&mut jobs, second);
    let (_, woken) = jobs.submit(3, ONCE);
    assert!(woken.is_some());
    assert_eq!(jobs.next(woken.unwrap()).map(|sent| *sent.payload), Some(3));
}

#[test]
fn a_low_worker_that_holds_its_share_is_passed_over() {
    let mut jobs = dispatcher(2, 32);
    let (full, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=8);
    assert_eq!(fill(&mut jobs, full).len(), 8);
    let (other, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 9..=9);
    assert_eq!(numbers(&fill(&mut jobs, other)), [9]);
    // Both hold less than half of 32, but the first holds more than half of all jobs.
    assert_eq!(jobs.submit(10, ONCE).1, Some(other));
}

#[test]
fn a_worker_that_is_not_low_is_not_woken() {
    let mut jobs = dispatcher(1, 2);
    let (worker, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=2);
    assert_eq!(fill(&mut jobs, worker).len(), 2);
    assert_eq!(jobs.submit(3, ONCE).1, None);
}

#[test]
fn a_retired_worker_leaves_the_job_it_was_woken_for_to_another() {
    let mut jobs = dispatcher(2, 2);
    let (first, _) = ready_worker(&mut jobs);
    let (second, _) = ready_worker(&mut jobs);
    assert_eq!(jobs.submit(1, ONCE).1, Some(second));
    jobs.retire(second);
    assert_eq!(all_to_wake(&mut jobs), [first]);
}

#[test]
fn jobs_of_a_worker_that_ends_wake_the_idle_ones() {
    let mut jobs = dispatcher(3, 8);
    let (full, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=8);
    assert_eq!(fill(&mut jobs, full).len(), 8);
    ready_worker(&mut jobs);
    ready_worker(&mut jobs);
    assert_eq!(all_to_wake(&mut jobs), []);
    jobs.ended(full);
    assert_eq!(all_to_wake(&mut jobs).len(), 2);
}
