//! Tasks: spawned and joined, woken by themselves, by others and by threads, aborted, and
//! jobs of the blocking pool.

mod on_coreloop;
mod on_tokio;
#[path = "../workload/samples.rs"]
mod samples;
#[path = "../workload/spawning.rs"]
mod spawning;
#[path = "../workload/suite.rs"]
mod suite;
#[path = "../workload/tasks.rs"]
mod tasks;
#[path = "../workload/waking.rs"]
mod waking;

use crate::suite::{Suite, contest};

const TASKS: [usize; 4] = [1, 10, 100, 1000];
const THREADED: [usize; 3] = [1, 8, 64];

fn main() {
    let mut suite = Suite::new();
    contest!(suite, "tasks/spawn_join", Operations TASKS, work::spawn_join);
    contest!(suite, "tasks/join_set", Operations TASKS, work::join_set);
    contest!(suite, "tasks/abort", Operations TASKS, work::abort);
    contest!(suite, "tasks/self_wake", Operations TASKS, work::self_wake);
    contest!(suite, "tasks/self_wake_by_clone", Operations [1, 100], work::self_wake_by_clone);
    contest!(suite, "tasks/yield_now", Operations [1, 100], work::yields);
    contest!(suite, "tasks/wake_in_a_ring", Operations [2, 10, 100], work::ring);
    contest!(suite, "tasks/wake_from_thread", Operations THREADED, work::woken_by_a_thread);
    contest!(suite, "tasks/spawn_blocking", Operations THREADED, work::blocking);
    suite.finish();
}
