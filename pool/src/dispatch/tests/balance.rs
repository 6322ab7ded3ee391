//! Jobs that are taken back, and the prefetch.

use std::time::Duration;

use super::*;

/// A worker that holds `count` jobs of which the first runs, and an idle one.
fn long_and_idle(count: u32) -> (Jobs, WorkerKey, Page, Vec<Ticket>, WorkerKey) {
    let mut jobs = dispatcher(2, 64);
    let (long, page) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=count);
    let sent = fill(&mut jobs, long);
    let (idle, _) = ready_worker(&mut jobs);
    assert_eq!(sent.len(), count as usize);
    page.start(sent[0].1);
    let tickets = sent.into_iter().map(|(_, ticket)| ticket).collect();
    (jobs, long, page, tickets, idle)
}

#[test]
fn half_of_the_jobs_behind_a_long_one_go_to_an_idle_worker_in_order() {
    for (count, taken) in [(1, 0), (2, 1), (3, 1), (4, 2), (9, 4), (10, 5)] {
        let (mut jobs, _, page, tickets, idle) = long_and_idle(count);
        assert_eq!(jobs.take_back(idle), taken as usize);
        assert_eq!(jobs.counts().totals.taken_back, u64::from(taken));
        let newest: Vec<_> = (count - taken + 1..=count).collect();
        assert_eq!(numbers(&fill(&mut jobs, idle)), newest);
        for number in newest {
            assert!(!page.start(tickets[number as usize - 1]));
        }
    }
}

#[test]
fn the_oldest_job_is_left_even_if_it_has_not_started() {
    for (count, taken) in [(1, 0), (2, 1), (3, 1), (4, 2)] {
        let mut jobs = dispatcher(2, 8);
        let (full, _) = ready_worker(&mut jobs);
        submit(&mut jobs, 1..=count);
        fill(&mut jobs, full);
        let (idle, _) = ready_worker(&mut jobs);
        assert_eq!(jobs.take_back(idle), taken);
    }
}

#[test]
fn jobs_that_have_started_are_not_counted() {
    let (mut jobs, _, page, tickets, idle) = long_and_idle(6);
    page.start(tickets[1]);
    page.start(tickets[2]);
    // Three are left: 4, 5 and 6.
    assert_eq!(jobs.take_back(idle), 2);
    assert_eq!(numbers(&fill(&mut jobs, idle)), [5, 6]);
}

#[test]
fn nothing_is_taken_back_while_a_job_waits_or_by_a_worker_that_has_one() {
    let (mut jobs, long, _, _, idle) = long_and_idle(6);
    submit(&mut jobs, 7..=7);
    assert_eq!(jobs.take_back(idle), 0);
    send(&mut jobs, idle);
    assert_eq!(jobs.take_back(idle), 0);
    assert_eq!(jobs.take_back(long), 0);
}

#[test]
fn nothing_is_taken_back_by_a_worker_that_takes_no_jobs() {
    let (mut jobs, _, _, _, idle) = long_and_idle(6);
    let booting = jobs.add_worker(Page::new());
    assert_eq!(jobs.take_back(booting), 0);
    jobs.retire(idle);
    assert_eq!(jobs.take_back(idle), 0);
    jobs.ended(idle);
    assert_eq!(jobs.take_back(idle), 0);
}

#[test]
fn jobs_are_taken_from_the_worker_that_has_started_the_fewest_of_many() {
    let mut jobs = dispatcher(3, 8);
    let (first, first_page) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=8);
    let sent = fill(&mut jobs, first);
    for (_, ticket) in &sent[..6] {
        first_page.start(*ticket);
    }
    let (second, second_page) = ready_worker(&mut jobs);
    submit(&mut jobs, 9..=13);
    assert_eq!(fill(&mut jobs, second).len(), 5);
    second_page.start(Ticket::new(9, 0));
    let (idle, _) = ready_worker(&mut jobs);
    // The first worker holds 8 and has 2 to give; the second holds 5 and has 4.
    assert_eq!(jobs.take_back(idle), 2);
    assert_eq!(numbers(&fill(&mut jobs, idle)), [12, 13]);
}

#[test]
fn a_job_that_starts_meanwhile_is_left() {
    /// Says that nothing has started, and refuses to revoke the jobs before the last.
    struct Late;
    impl Words for Late {
        fn queue(&self, _: Ticket) {}
        fn revoke(&self, ticket: Ticket) -> bool {
            ticket.sequence() > 5
        }
        fn ask_cancel(&self, _: Ticket) -> bool {
            true
        }
        fn has_started(&self, _: Ticket) -> bool {
            false
        }
    }
    let mut jobs = Dispatcher::new(Limits {
        workers: 2,
        prefetch: Prefetch::Fixed(8),
        max_jobs: None,
    });
    let full = jobs.add_worker(Late);
    jobs.ready(full);
    for number in 1..=6 {
        jobs.submit(number, ONCE);
        assert!(jobs.next(full).is_some());
    }
    let idle = jobs.add_worker(Late);
    jobs.ready(idle);
    assert_eq!(jobs.take_back(idle), 1);
    assert_eq!(*jobs.next(idle).unwrap().payload, 6);
    assert_eq!(jobs.sent_to(full).count(), 5);
}

#[test]
fn jobs_taken_from_a_spent_worker_are_given_back_to_its_count() {
    let mut jobs = with_max_jobs(2, 8, 6);
    let (spent, page) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=6);
    page.start(fill(&mut jobs, spent)[0].1);
    assert_eq!(jobs.missing(), 2);
    let (idle, _) = ready_worker(&mut jobs);
    assert_eq!(jobs.take_back(idle), 3);
    let state = jobs.state(spent).unwrap();
    assert_eq!((state.issued, state.stage), (3, WorkerStage::Ready));
    assert_eq!(jobs.missing(), 0);
    // The taken jobs are for the idle worker first.
    assert!(fill(&mut jobs, idle).len() >= 2);
}

#[test]
fn the_prefetch_grows_for_short_jobs_and_shrinks_for_long_ones() {
    let mut jobs: Jobs = Dispatcher::new(Limits {
        workers: 1,
        prefetch: Prefetch::Adaptive,
        max_jobs: None,
    });
    let (worker, _) = ready_worker(&mut jobs);
    let mut observe = |results, micros| {
        jobs.observe(worker, results, Duration::from_micros(micros));
        jobs.state(worker).unwrap().prefetch
    };
    assert_eq!(observe(0, 0), 2);
    for depth in [4, 8, 16, 32, 32] {
        assert_eq!(observe(10, 1_990), depth);
    }
    // Between the bounds, the depth stays.
    assert_eq!(observe(10, 2_000), 32);
    assert_eq!(observe(10, 4_000), 32);
    for depth in [16, 8, 4, 2, 2] {
        assert_eq!(observe(10, 4_010), depth);
    }
    assert_eq!(observe(1, u64::MAX), 2);
}

#[test]
fn pauses_make_a_prefetch_deeper_and_never_smaller() {
    let mut jobs: Jobs = Dispatcher::new(Limits {
        workers: 1,
        prefetch: Prefetch::Adaptive,
        max_jobs: None,
    });
    let (worker, _) = ready_worker(&mut jobs);
    for (micros, depth) in [(10, 4), (1_000_000, 4), (1_999, 8), (3_000, 8)] {
        jobs.observe_with_pauses(worker, 10, Duration::from_micros(micros));
        assert_eq!(jobs.state(worker).unwrap().prefetch, depth);
    }
}

#[test]
fn a_fixed_prefetch_never_changes() {
    let mut jobs = dispatcher(1, 5);
    let (worker, _) = ready_worker(&mut jobs);
    for micros in [1, 1_000_000] {
        jobs.observe(worker, 10, Duration::from_micros(micros));
        assert_eq!(jobs.state(worker).unwrap().prefetch, 5);
    }
}

#[test]
fn a_deeper_prefetch_makes_a_worker_low() {
    let mut jobs: Jobs = Dispatcher::new(Limits {
        workers: 1,
        prefetch: Prefetch::Adaptive,
        max_jobs: None,
    });
    let (worker, _) = ready_worker(&mut jobs);
    submit(&mut jobs, 1..=10);
    assert_eq!(fill(&mut jobs, worker).len(), 2);
    assert_eq!(jobs.next_to_wake(), None);
    jobs.observe(worker, 10, Duration::from_micros(10));
    assert_eq!(jobs.next_to_wake(), Some(worker));
    assert_eq!(fill(&mut jobs, worker).len(), 2);
}
