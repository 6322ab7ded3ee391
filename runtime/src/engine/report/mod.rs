//! What the runtime reports to its user: panics of tasks that are not joined, slow polls,
//! failed cleanups, and the work that a shutdown abandons.
//!
//! A report that the user's hook does not take is an event of `tracing`, with the target
//! `coreloop`, if that feature is on. Without the feature, and if there is no subscriber,
//! it is a line on standard error. An event that the subscriber filters out is not
//! printed either.

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
