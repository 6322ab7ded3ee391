//! Structured concurrency: what is begun in a block is over at its end.
//!
//! - [`scope`] runs children that borrow from their surroundings, in the task
//!   that they are in.
//! - A [`TaskGroup`] holds tasks that stand and fall together.
//! - [`cancel_scope`] makes a part of a task one that can be cancelled, and
//!   [`deadline`] does so with a limit of time.
//! - [`race!`](crate::race) gives the first of several futures, when the others
//!   have cleaned up.
//! - [`as_completed`] gives the outputs of futures as they come, and [`wait`]
//!   waits for some of the tasks of a set.
//!
//! Cancelling goes down a tree: a task, the scopes in it, the scopes and
//! brackets in these. What is cancelled stays cancelled, freezes, and ends with
//! its cleanups done: see [`cleanup`](crate::cleanup).

mod borrowing;
mod cancel;
mod child;
mod completed;
mod group;

pub use borrowing::{Scope, ScopedJoinHandle, scope};
pub use cancel::{Cancelled, Canceller, cancel_scope, deadline};
pub use completed::{AsCompleted, Until, as_completed, wait};
pub use group::{GroupError, MemberError, MemberHandle, Started, TaskGroup};
