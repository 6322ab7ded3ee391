//! The time now: [`Instant::now`] and [`Instant::elapsed`], which read the clock of the
//! current loop.

use std::time::Duration;

use crate::engine::core::context;
use crate::engine::timers::instant::Instant;

impl Instant {
    /// Now, on the clock of the current runtime; the system's outside one.
    #[must_use]
    pub fn now() -> Instant {
        context::with_current(|event_loop| event_loop.timers.now())
            .unwrap_or_else(|| Instant::from_std(std::time::Instant::now()))
    }

    /// The time that has passed since then; zero if it is to come.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }
}
