//! What the runtime has to tell its user unasked: a panic that nobody joined, a
//! poll that took long, a cleanup that failed.
//!
//! With the feature `tracing` these are its events, with the target `coreloop`. Without the
//! feature, and where there is no subscriber to take events, they are lines on the standard
//! error. An event that the subscriber filters out is not printed either.

pub(crate) mod abandoned;
pub(crate) mod cleanup_failure;
pub(crate) mod slow_poll;
mod stderr;
pub(crate) mod task_meta;
#[cfg(feature = "tracing")]
mod tracing;
pub(crate) mod unhandled;

#[cfg(not(feature = "tracing"))]
pub(crate) use stderr::{report_cleanup_failure, report_slow_poll, report_unhandled_panic};
#[cfg(feature = "tracing")]
pub(crate) use tracing::{report_cleanup_failure, report_slow_poll, report_unhandled_panic};
