//! The event loop of coreloop, and everything that runs on it.
//!
//! Users depend on the facade, `coreloop`, which re-exports all of this. In reading
//! order:
//!
//! - [`runtime`], a loop, and the ways to drive it;
//! - [`task`], the tasks that a loop runs, their handles and their budget;
//! - [`cleanup`], async code that runs however a task ends;
//! - [`scope`], structured concurrency, with children that end before their block;
//! - [`time`], timers;
//! - [`io`], descriptors on the loop;
//! - [`stream`], generators;
//! - `signal`, signals of the process, with the feature of that name;
//! - `hyper`, tasks and timers for hyper 1, with the feature of that name.
//!
//! The macros [`select!`], [`join!`], [`try_join!`] and [`pin!`] wait for several
//! futures in one task; [`for_await!`] is a loop over a stream.

mod engine;

pub mod cleanup;
#[cfg(feature = "hyper")]
pub mod hyper;
pub mod io;
#[doc(hidden)]
pub mod macros;
pub mod runtime;
pub mod scope;
#[cfg(feature = "signal")]
pub mod signal;
pub mod stream;
pub mod task;
pub mod time;

pub use crate::runtime::{Runtime, block_on};
pub use crate::task::spawn;

/// For the other crates of coreloop, which call user code too. Not a part of the interface.
#[doc(hidden)]
pub mod __panics {
    pub use crate::engine::panics::{Payload, catch, caught, discard};
}
