//! Any descriptor on the loop.
//!
//! [`Async`] puts a descriptor that can be polled (a socket, a pipe, a
//! terminal, an eventfd, a D-Bus connection) on the loop of the runtime that it
//! is made in. The sockets of `coreloop::net` are built on it.

mod descriptor;
mod registration;

pub use descriptor::Async;
