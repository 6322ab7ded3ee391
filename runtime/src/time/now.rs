//! The time now: [`Instant::now`] and [`Instant::elapsed`], which read the clock of the
//! current loop.

use std::time::Duration;

use crate::engine::core::context;
use crate::engine::timers::instant::Instant;

impl Instant {
    /// Returns the current time on the clock of the current runtime.
    ///
    /// Outside a runtime, this is the time on the system's clock.
    #[must_use]
    pub fn now() -> Self {
        context::with_current(|event_loop| event_loop.timers.now())
            .unwrap_or_else(|| Self::from_std(std::time::Instant::now()))
    }

    /// Returns the time that has passed since this instant, or zero if it is in the
    /// future.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::now().duration_since(*self)
    }
}
