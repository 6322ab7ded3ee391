//! When a worker that died is started again: [`Restarts`] says it, [`Backoff`] keeps
//! the score of one slot, [`Boots`] that of workers that never became ready.
//!
//! 1. Nothing here has a clock: every decision is told the time.
//! 2. A worker that was ready is started again at once, unless its slot has had more
//!    than [`Restarts::most`] deaths within [`Restarts::period`].
//! 3. One that was not ready always waits.

mod backoff;
mod boots;
mod restarts;

pub(super) use backoff::Backoff;
pub(super) use boots::Boots;
pub use restarts::Restarts;
