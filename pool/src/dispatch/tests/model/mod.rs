//! The dispatcher beside a plain model, with workers that start, finish and end at any time.

mod check;
mod world;

use coreloop_test_support::size::pick;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngAlgorithm;

use super::*;
use world::World;

/// An event. A `usize` picks one of the workers or jobs that exist.
#[derive(Debug, Clone)]
enum Step {
    /// This many jobs are submitted.
    Submit(usize, JobOptions),
    Abort(usize),
    /// The driver turns to the worker that was woken first.
    Woken,
    /// The driver decides about a job of unknown outcome.
    Decide(usize, bool),
    /// The driver ends a drained worker, and starts one that is missing.
    Staff,
    Target(usize),
    Close,
    DrainQueue,
    Worker(usize, WorkerStep),
}

/// An event of one worker.
#[derive(Debug, Clone, Copy)]
enum WorkerStep {
    /// The driver calls `next`, although nothing has happened.
    Sends,
    /// The worker reads frames and starts jobs.
    Starts,
    /// The worker writes the result of a job that runs, and starts the next, this many times.
    Finishes(usize),
    /// The driver reads at most this many results.
    Reads(usize),
    /// A ticket comes that is not valid.
    Garbled(u64),
    Dies,
    Ready,
    Retire,
    TakeBack,
    Observe(u64),
}

/// Returns steps among which jobs are submitted often or not, by the weight.
fn any_step(submits: u32) -> impl Strategy<Value = Step> {
    let pick = || 0..64_usize;
    let count = prop_oneof![3 => Just(1), 1 => 2..16_usize];
    let submit = (count, -1..=1, 0..6_u32, any::<bool>()).prop_map(
        |(count, priority, max_attempts, is_idempotent)| {
            let options = JobOptions {
                priority,
                max_attempts,
                is_idempotent,
            };
            Step::Submit(count, options)
        },
    );
    let worker = prop_oneof![
        30 => Just(WorkerStep::Starts),
        30 => (1..6_usize).prop_map(WorkerStep::Finishes),
        25 => (1..6_usize).prop_map(WorkerStep::Reads),
        20 => Just(WorkerStep::Ready),
        2 => Just(WorkerStep::Sends),
        1 => any::<u64>().prop_map(WorkerStep::Garbled),
        2 => Just(WorkerStep::Dies),
        1 => Just(WorkerStep::Retire),
        2 => Just(WorkerStep::TakeBack),
        2 => (0..600_u64).prop_map(WorkerStep::Observe),
    ];
    prop_oneof![
        submits => submit,
        10 => pick().prop_map(Step::Abort),
        20 => Just(Step::Woken),
        4 => (pick(), any::<bool>()).prop_map(|(job, again)| Step::Decide(job, again)),
        20 => Just(Step::Staff),
        1 => prop_oneof![
            3 => Just(Step::Target(0)),
            12 => (1..5_usize).prop_map(Step::Target),
            1 => Just(Step::Close),
            2 => Just(Step::DrainQueue),
        ],
        160 => (pick(), worker).prop_map(|(number, step)| Step::Worker(number, step)),
    ]
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let most = if cfg!(miri) { 60 } else { 800 };
    (5..50_u32).prop_flat_map(move |submits| vec(any_step(submits), 1..most))
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let prefetch = prop_oneof![
        (1..=4_usize).prop_map(Prefetch::Fixed),
        Just(Prefetch::Fixed(64)),
        Just(Prefetch::Adaptive),
    ];
    let max_jobs = prop_oneof![Just(None), (1..=12_u64).prop_map(Some)];
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
        // Each step has a generator of its own. To seed ChaCha took most of the time.
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    })]

    #[test]
    fn each_job_ends_once_and_runs_once_unless_it_is_idempotent(
        limits in any_limits(),
        concurrency in 1..=2_usize,
        steps in any_steps(),
    ) {
        let mut world = World::new(limits, concurrency);
        for step in steps {
            world.apply(&step);
            world.check();
        }
        world.run_to_the_end();
    }
}
