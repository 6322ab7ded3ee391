//! The order of the queue.

use super::*;

fn with_priority(priority: i32) -> JobOptions {
    JobOptions { priority, ..ONCE }
}

#[test]
fn jobs_of_one_priority_are_sent_in_the_order_of_their_submission() {
    for priority in [i32::MIN, -1, 0, 1, i32::MAX] {
        let mut jobs = dispatcher(1, 64);
        let (worker, _) = ready_worker(&mut jobs);
        for number in 1..=9 {
            jobs.submit(number, with_priority(priority));
        }
        assert_eq!(
            numbers(&fill(&mut jobs, worker)),
            [1, 2, 3, 4, 5, 6, 7, 8, 9]
        );
    }
}

#[test]
fn jobs_with_a_higher_priority_are_sent_first() {
    let mut jobs = dispatcher(1, 64);
    let (worker, _) = ready_worker(&mut jobs);
    let priorities = [0, 5, -3, 5, i32::MIN, i32::MAX, 0, -3];
    for (number, priority) in (1..).zip(priorities) {
        jobs.submit(number, with_priority(priority));
    }
    assert_eq!(numbers(&fill(&mut jobs, worker)), [6, 2, 4, 1, 7, 3, 8, 5]);
}

#[test]
fn a_job_that_comes_back_returns_to_its_place() {
    let mut jobs = dispatcher(2, 8);
    let (first, _) = ready_worker(&mut jobs);
    let (second, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=4);
    assert_eq!(numbers(&fill(&mut jobs, first)), [1, 2]);
    assert_eq!(numbers(&fill(&mut jobs, second)), [3, 4]);
    submit(&mut jobs, 5..=5);
    jobs.submit(6, with_priority(1));
    // The jobs of the second worker come back first.
    assert!(jobs.ended(second).is_empty());
    assert!(jobs.ended(first).is_empty());
    assert_eq!(waiting(&mut jobs), [6, 1, 2, 3, 4, 5]);
}

#[test]
fn jobs_behind_an_aborted_one_keep_their_order() {
    for position in 1..=5 {
        let mut jobs = dispatcher(1, 1);
        let keys = submit(&mut jobs, 1..=5);
        assert_eq!(jobs.abort(keys[position as usize - 1]), removed(position));
        let rest: Vec<_> = (1..=5).filter(|&number| number != position).collect();
        assert_eq!(waiting(&mut jobs), rest);
    }
}
