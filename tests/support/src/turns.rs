//! Turns of a loop until nothing is left to do in it.

use std::time::Duration;

use coreloop::Runtime;

/// Far more turns than any test needs: the loop stays busy for ever.
const TOO_MANY: usize = 100_000;

/// Turns the loop until a turn has polled no task and received no event. How many tasks
/// one turn runs depends on the speed of the machine, so a fixed number of turns may be
/// too few.
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
