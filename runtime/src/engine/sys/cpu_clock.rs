//! How much of the processor's time a thread has spent.

use std::time::Duration;

/// What this thread has spent since it began; nothing where the system does not
/// tell.
///
/// Linux says it in nanoseconds, as the first number of `schedstat`: see
/// `Documentation/scheduler/sched-stats` of the kernel.
pub(crate) fn of_this_thread() -> Duration {
    // It would be the time of Miri, which besides warns of every look.
    if cfg!(miri) {
        return Duration::ZERO;
    }
    let nanos = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|line| line.split_whitespace().next()?.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}
