//! What a [`Supervisor`] makes of its options before it runs.

use std::time::Duration;

use super::Supervisor;

/// Workers whose heartbeats were limited to nanoseconds were killed for ever.
#[test]
fn heartbeats_have_at_least_ten_milliseconds() {
    for (given, kept) in [
        (None, None),
        (Some(Duration::ZERO), None),
        (
            Some(Duration::from_nanos(1)),
            Some(Duration::from_millis(10)),
        ),
        (Some(Duration::from_secs(1)), Some(Duration::from_secs(1))),
        (Some(Duration::MAX), Some(Duration::MAX)),
    ] {
        let supervisor = Supervisor::new().heartbeat(given);
        assert_eq!(supervisor.settings.heartbeat, kept, "{given:?}");
    }
}

/// Each worker has more memory than none, and was replaced for ever.
#[test]
fn no_memory_is_no_limit() {
    assert_eq!(Supervisor::new().max_memory(0).max_memory, None);
    assert_eq!(Supervisor::new().max_memory(1).max_memory, Some(1));
}
