//! The dispatcher beside a plain model, with workers that start, finish and end at any time.

mod check;
mod world;

use coreloop_test_support::size::pick;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use world::World;

/// An event. A `usize` picks one of the workers or jobs that exist.
#[derive(Debug, Clone)]
enum Step {
    Submit {
        priority: i32,
        max_attempts: u32,
        is_idempotent: bool,
    },
    Abort(usize),
    /// The driver calls `next` for a worker, at most this many times.
    Send(usize, usize),
    /// The driver turns to the worker that was woken first.
    Woken,
    /// A worker reads frames until it has started a job.
    Starts(usize),
    /// A worker writes the result of the job that runs.
    Finishes(usize),
    /// The driver reads results of a worker.
    Reads(usize, usize),
    /// A ticket comes that is not valid.
    Garbled(usize, u64),
    Dies(usize),
    /// The driver decides about a job of unknown outcome.
    Decide(usize, bool),
    Boots,
    Ready(usize),
    Retire(usize),
    TakeBack(usize),
    Pause(usize, bool),
    Observe(usize, u64),
    Target(usize),
    Close,
    DrainQueue,
}

fn any_step() -> impl Strategy<Value = Step> {
    let pick = 0..64_usize;
    prop_oneof![
        16 => (-1..=1, 0..4_u32, any::<bool>()).prop_map(|(priority, max_attempts, is_idempotent)| {
            Step::Submit { priority, max_attempts, is_idempotent }
        }),
        5 => pick.clone().prop_map(Step::Abort),
        6 => (pick.clone(), 0..8_usize).prop_map(|(worker, most)| Step::Send(worker, most)),
        12 => Just(Step::Woken),
        14 => pick.clone().prop_map(Step::Starts),
        14 => pick.clone().prop_map(Step::Finishes),
        10 => (pick.clone(), 1..4_usize).prop_map(|(worker, most)| Step::Reads(worker, most)),
        1 => (pick.clone(), any::<u64>()).prop_map(|(worker, bits)| Step::Garbled(worker, bits)),
        2 => pick.clone().prop_map(Step::Dies),
        3 => (pick.clone(), any::<bool>()).prop_map(|(job, again)| Step::Decide(job, again)),
        4 => Just(Step::Boots),
        4 => pick.clone().prop_map(Step::Ready),
        1 => pick.clone().prop_map(Step::Retire),
        4 => pick.clone().prop_map(Step::TakeBack),
        2 => (pick.clone(), any::<bool>()).prop_map(|(worker, is)| Step::Pause(worker, is)),
        2 => (pick, 0..600_u64).prop_map(|(worker, micros)| Step::Observe(worker, micros)),
        1 => (0..5_usize).prop_map(Step::Target),
        1 => (0..20_u8).prop_map(|number| match number {
            0 => Step::Close,
            1 => Step::DrainQueue,
            _ => Step::Woken,
        }),
    ]
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let prefetch = prop_oneof![
        (1..=4_usize).prop_map(Prefetch::Fixed),
        Just(Prefetch::Fixed(64)),
        Just(Prefetch::Adaptive),
    ];
    let max_jobs = prop_oneof![Just(None), (1..=6_u64).prop_map(Some)];
    (1..=4_usize, prefetch, max_jobs).prop_map(|(workers, prefetch, max_jobs)| Limits {
        workers,
        prefetch,
        max_jobs,
    })
}

proptest! {
    // Some 400 steps on average in each case: a hundred thousand steps, or a million.
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { pick(250, 2500) },
        failure_persistence: None,
        max_shrink_iters: 4000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn each_job_ends_once_and_runs_once_unless_it_is_idempotent(
        limits in any_limits(),
        steps in vec(any_step(), 1..if cfg!(miri) { 60 } else { 800 }),
    ) {
        let mut world = World::new(limits);
        for step in steps {
            world.apply(&step);
            world.check();
        }
        world.run_to_the_end();
    }
}
