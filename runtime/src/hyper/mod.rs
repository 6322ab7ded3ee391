//! Tasks and timers for hyper 1.
//!
//! Users import `coreloop::hyper`, which contains the sockets too.
//!
//! - [`LocalExecutor`] runs hyper's tasks on the loop.
//! - [`LoopTimer`] makes hyper's timeouts use the clock of the loop. Its [`Sleep`] is
//!   `Send`, unlike the one of [`time`](crate::time).

mod executor;
mod sleep;
mod timer;

pub use executor::LocalExecutor;
pub use sleep::Sleep;
pub use timer::LoopTimer;
