//! Structured concurrency: whatever a block starts has ended when the block ends.
//!
//! - [`scope`] runs children that borrow from the surrounding code, within the
//!   current task.
//! - A [`TaskGroup`] holds tasks that are aborted together when one of them fails.
//! - [`cancel_scope`] runs a part of a task that can be cancelled by itself; [`timeout`]
//!   and [`timeout_at`] cancel a future when its time is up.
//! - [`race!`](crate::race) returns the output of the first of several futures, after
//!   all of them have run their cleanups.
//! - [`as_completed`] returns the outputs of futures as they complete, and [`wait`]
//!   waits for one or all tasks of a set.
//!
//! A scope, a race or a group ends only after the cleanups of all guards that were
//! dropped in it have run, whether it was cancelled or not.
//!
//! Cancellation propagates down a tree: from a task to the scopes in it, and from these
//! to the scopes and brackets within them. Cancelled code stays cancelled, is frozen,
//! and ends after its cleanups have run: see [`cleanup`](crate::cleanup).
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
#[expect(deprecated, reason = "the former name remains for one release")]
pub use completed::Until;
pub use completed::{AsCompleted, ReturnWhen, as_completed, wait};
pub use group::{GroupError, MemberError, MemberHandle, Started, TaskGroup};
pub use spawned::ScopedJoinHandle;
