//! What the runtime has to tell its user unasked: a panic that nobody joined, a
//! poll that took long, a cleanup that failed.
//!
//! With the feature `tracing` these are its events, with the target
//! `coreloop`; without, lines on the standard error.

#[cfg(not(feature = "tracing"))]
mod by_stderr;
#[cfg(feature = "tracing")]
mod by_tracing;

#[cfg(not(feature = "tracing"))]
pub(crate) use by_stderr::{cleanup_failure, slow_poll, unhandled_panic};
#[cfg(feature = "tracing")]
pub(crate) use by_tracing::{cleanup_failure, slow_poll, unhandled_panic};
