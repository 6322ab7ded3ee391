//! The event loop of coreloop and what it drives.
//!
//! Users name the facade, `coreloop`, which re-exports all of this. In reading
//! order:
//!
//! - [`runtime`], a loop, and the ways to turn it;
//! - [`task`], the tasks that it runs, their handles and their budget;
//! - [`cleanup`], what tasks do on every way out;
//! - [`scope`], children that a task does not outlive;
//! - [`time`], timers;
//! - [`io`], descriptors on the loop;
//! - [`stream`], generators;
//! - `signal`, signals of the process, with the feature of that name;
//! - `hyper`, tasks and timers for hyper 1, with the feature of that name.
//!
//! Four macros, to wait for several futures in one task: [`select!`],
//! [`join!`], [`try_join!`] and [`pin!`]; and [`for_await!`], a loop over a stream.

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
#[doc(hidden)]
pub mod twin;

pub use crate::runtime::{Runtime, block_on};
pub use crate::task::spawn;
