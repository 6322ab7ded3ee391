//! Structured concurrency: what is begun in a block is over at its end.
//!
//! - [`scope`] runs children that borrow from their surroundings, in the task
//!   that they are in.
//! - [`cancel_scope`] makes a part of a task one that can be cancelled, and
//!   [`deadline`] does so with a limit of time.
//!
//! Cancelling goes down a tree: a task, the scopes in it, the scopes and
//! brackets in these. What is cancelled stays cancelled, freezes, and ends with
//! its cleanups done: see [`cleanup`](crate::cleanup).

mod borrowing;
mod cancel;
mod child;

pub use borrowing::{Scope, ScopedJoinHandle, scope};
pub use cancel::{Cancelled, Canceller, cancel_scope, deadline};
