//! [`Options`]: the options of a loop, which a `Builder` collects.

use crate::engine::cancel;
use crate::engine::remote::pool;
use crate::engine::report::slow_poll::SlowPollMonitor;
use crate::engine::report::unhandled;

/// The options of a loop.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The maximum number of tasks that run between two reads of the clock.
    pub(crate) event_interval: u32,
    pub(crate) start_paused: bool,
    pub(crate) unhandled: unhandled::Options,
    pub(crate) watch: Option<SlowPollMonitor>,
    pub(crate) blocking: pool::options::Options,
    pub(crate) cleanup: cancel::state::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            event_interval: 61,
            start_paused: false,
            unhandled: unhandled::Options::default(),
            watch: None,
            blocking: pool::options::Options::default(),
            cleanup: cancel::state::Options::default(),
        }
    }
}
