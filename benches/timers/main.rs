//! Timers: set and cancelled, fired, intervals, and timeouts around futures that are soon
//! ready.
//!
//! For the sleeping tasks, this shows the time, which is the time of the longest sleep. The
//! binary `timers` of `benches/peers` measures their CPU time.

mod on_coreloop;
mod on_tokio;
#[path = "../workload/samples.rs"]
mod samples;
#[path = "../workload/suite.rs"]
mod suite;
#[path = "../workload/timing.rs"]
mod timing;
#[path = "../workload/yielding.rs"]
mod yielding;

use crate::suite::{Suite, contest};

/// The numbers of timers that are set all the time.
const LIVE: [usize; 3] = [10, 1000, 100_000];
const DUE: [usize; 3] = [100, 1000, 10_000];
const MICROSECONDS: [usize; 3] = [100, 500, 2000];

fn main() {
    let mut suite = Suite::new();
    contest!(suite, "timers/set_cancel", Among LIVE, work::set_cancel);
    contest!(suite, "timers/fire", Operations DUE, work::fire);
    contest!(suite, "timers/interval", Operations [1, 10, 100], work::interval);
    contest!(suite, "timers/timeout_ready", Among LIVE, work::timeout_ready);
    contest!(suite, "timers/timeout_waits", Among LIVE, work::timeout_waits);
    contest!(suite, "timers/sleep_in_tasks", Operations [1000, 10_000], work::sleep_in_many);
    contest!(suite, "timers/overshoot_of_us", Setting MICROSECONDS, work::overshoot);
    suite.finish();
}
