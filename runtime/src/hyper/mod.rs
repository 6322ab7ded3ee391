//! Tasks and timers for hyper 1.
//!
//! Users name `coreloop::hyper`, which has the sockets too.
//!
//! - [`LocalExecutor`] has hyper's tasks run on the loop.
//! - [`LoopTimer`] has hyper's timeouts go by the clock of the loop; its
//!   [`Sleep`] may be sent, which those of [`time`](crate::time) may not.

mod executor;
mod sleep;
mod timer;

pub use executor::LocalExecutor;
pub use sleep::Sleep;
pub use timer::LoopTimer;
