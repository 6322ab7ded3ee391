//! What the runtime has to tell its user unasked: a panic that nobody joined, a
//! poll that took long, a cleanup that failed.
//!
//! With the feature `tracing` these are its events, with the target `coreloop`. Without the
//! feature, and where there is no subscriber to take events, they are lines on the standard
//! error. An event that the subscriber filters out is not printed either.

mod by_stderr;
#[cfg(feature = "tracing")]
mod by_tracing;

#[cfg(not(feature = "tracing"))]
pub(crate) use by_stderr::{cleanup_failure, slow_poll, unhandled_panic};
#[cfg(feature = "tracing")]
pub(crate) use by_tracing::{cleanup_failure, slow_poll, unhandled_panic};
