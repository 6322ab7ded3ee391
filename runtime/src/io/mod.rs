//! Any descriptor on the loop.
//!
//! [`Async`] puts a descriptor that can be polled (a socket, a pipe, a
//! terminal, an eventfd, a D-Bus connection) on the loop of the runtime that it
//! is made in. [`Interest`] says what to wait for, and [`Ready`] what came of it.
//! The sockets of `coreloop::net` are built on it.

mod descriptor;
mod readiness;

mod interest;
mod ready;

mod registration;

pub use descriptor::Async;
pub use interest::Interest;
pub use ready::Ready;

pub(crate) use ready::PRIORITY;
