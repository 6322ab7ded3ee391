//! Decides when a worker that died is started again. [`Restarts`] is the policy, [`Backoff`]
//! counts the deaths of one slot, and [`CrashLoop`] the workers that never became ready.
//!
//! # Invariants
//!
//! 1. Nothing here has a clock: the time is passed to every decision.
//! 2. A worker that was ready is started again at once, unless its slot has had more
//!    than [`Restarts::max_immediate`] deaths within [`Restarts::period`].
//! 3. After a worker that was not ready, the next start always waits.

mod backoff;
mod crash_loop;
mod restarts;

pub use backoff::Backoff;
pub(crate) use crash_loop::CrashLoop;
pub use restarts::{Restarts, max_failed_starts};
