//! Structured concurrency: what is begun in a block has ended when the block has.
//!
//! - [`scope`] runs children that borrow from their surroundings, in the task
//!   that they are in.
//! - A [`TaskGroup`] holds tasks that stand and fall together.
//! - [`cancel_scope`] runs a part of a task that can be cancelled, and [`timeout`] and
//!   [`timeout_at`] cancel one after a time.
//! - [`race!`](crate::race) gives the first of several futures, when all have
//!   cleaned up.
//! - [`as_completed`] gives the outputs of futures as they come, and [`wait`]
//!   waits for some of the tasks of a set.
//!
//! A scope, a race or a group has ended when no cleanup is left of the guards that were
//! dropped in it, whether it was cancelled or not.
//!
//! Cancelling goes down a tree: a task, the scopes in it, the scopes and
//! brackets in these. What is cancelled stays cancelled, freezes, and ends with
//! its cleanups done: see [`cleanup`](crate::cleanup).
//!
//! # Examples
//!
//! Children that borrow, and a limit for all of them:
//!
//! ```
//! use coreloop::scope::{timeout_at, scope};
//! use coreloop::time::{Instant, sleep};
//! use std::cell::RefCell;
//! use std::time::Duration;
//!
//! # coreloop::block_on(async {
//! # coreloop::time::pause();
//! let done = RefCell::new(Vec::new());
//! let work = scope(async |scope| {
//!     for minutes in [5, 90, 2] {
//!         let done = &done;
//!         drop(scope.spawn(async move {
//!             sleep(Duration::from_secs(60 * minutes)).await;
//!             done.borrow_mut().push(minutes);
//!         }));
//!     }
//! });
//! let in_an_hour = Instant::now() + Duration::from_secs(3600);
//! assert!(timeout_at(in_an_hour, work).await.is_err());
//! assert_eq!(done.into_inner(), [2, 5]);
//! # })
//! ```

mod borrowing;
mod cancel;
mod child;
mod completed;
mod group;
mod spawned;

pub use borrowing::{Scope, scope};
#[expect(deprecated, reason = "the former name remains for one release")]
pub use cancel::deadline;
pub use cancel::{Cancelled, Canceller, cancel_scope, timeout, timeout_at};
pub use completed::{AsCompleted, Until, as_completed, wait};
pub use group::{GroupError, MemberError, MemberHandle, Started, TaskGroup};
pub use spawned::ScopedJoinHandle;
