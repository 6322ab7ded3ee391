//! Runs turns of a loop until it is idle.

use std::time::Duration;

use coreloop::Runtime;

/// Far more turns than any test needs. A loop that takes more never becomes idle.
const TOO_MANY: usize = 100_000;

/// Runs turns until one has polled no task and received no event. How many tasks a turn runs
/// depends on the speed of the machine, so a fixed number of turns may be too few.
pub fn turn_until_idle(runtime: &Runtime) {
    let done = || (runtime.metrics().polls(), runtime.metrics().io_events());
    for _ in 0..TOO_MANY {
        let before = done();
        let is_ready = runtime.turn(Some(Duration::ZERO)).unwrap();
        if !is_ready && done() == before {
            return;
        }
    }
    panic!("the loop is busy after {TOO_MANY} turns");
}
