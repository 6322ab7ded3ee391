//! Cleanup that may wait: guards whose drop is async, and brackets.
//!
//! A destructor cannot wait. So a connection that should say goodbye, a
//! transaction to be rolled back, or a temporary file on another host needs more
//! than `Drop`, on every way out of the code that uses it: the end, `?`, a
//! panic, an abort, the shutdown of the runtime.
//!
//! - An [`AsyncGuard`] has its value closed by async code when it is dropped;
//!   [`defer`] has a future run then.
//! - A [`bracket`] opens, lends and closes, and waits for that.
//! - [`shield`] lets a future go on to its end in spite of a cancellation.
//! - [`scope::cancel_scope`](crate::scope::cancel_scope) cancels a part of a
//!   task, with all of this.
//! - [`flush`] waits for the cleanups of the guards that were dropped so far.
//!
//! # What an abort does
//!
//! [`JoinHandle::abort`](crate::task::JoinHandle::abort) asks a task to end.
//! When its turn comes:
//!
//! 1. It is **frozen**: whatever it awaits of this runtime, a timer, a socket, a
//!    lock, a channel, stays pending, so that its code does not go on.
//! 2. Its brackets are **closed where they stand**, the innermost first, and its
//!    shields run to their end. Nothing else of it runs meanwhile.
//! 3. Its future is **dropped**. Guards that are dropped with it go to the
//!    task's lane, which runs their cleanups one after the other, in the order
//!    in which they were dropped. That is the order of destructors: variables
//!    last to first, fields first to last.
//! 4. The task has ended when the lane is empty, and its
//!    [`JoinHandle`](crate::task::JoinHandle) is ready then.
//!
//! A task without brackets and shields goes to 3 at once, and one without guards
//! has ended then. A task that returns or panics goes through 3 and 4 too.
//!
//! Futures of other crates that wait for something of their own, and not of this
//! runtime, do not freeze: the code after one may run up to the next await that
//! does. If it so leaves a shield, or a bracket that is being closed, where it is
//! not polled any more and not dropped either, the abort waits for that for ever;
//! only a shutdown has an end of its own. Drop what you do not go on to await.
//!
//! # What waits for cleanups
//!
//! A cleanup may drop guards in turn, and so may the cleanups of these. Each of the
//! following waits for the cleanups of the guards that were dropped in it and for all
//! that these leave, however deep:
//!
//! - the handle of a task, also of one in a [`JoinSet`](crate::task::JoinSet) or a
//!   [`TaskGroup`](crate::scope::TaskGroup), and of one that
//!   [`Handle::spawn`](crate::runtime::Handle::spawn) has sent;
//! - [`scope`](crate::scope::scope()) and the handles of its children,
//!   [`cancel_scope`](crate::scope::cancel_scope),
//!   [`scope::timeout`](crate::scope::timeout) and [`race!`](crate::race), whether they
//!   are cancelled or not;
//! - [`bracket`], [`shield`] and [`AsyncGuard::close`].
//!
//! None waits for what other parts of the task leave, except that the cleanups of a task
//! run one after the other. [`select!`](crate::select) and
//! [`timeout`](crate::time::timeout) wait for no cleanup.
//!
//! A cleanup does not wait for what it leaves, which runs after it. So in a cleanup all
//! of these return at once.
//!
//! # What cleanups may do
//!
//! All that tasks may: they run in their task, on the loop, and nothing cancels
//! them. Guards that they drop go to the end of the lane. Each has as much time
//! as [`Builder::cleanup_budget`](crate::runtime::Builder::cleanup_budget) says,
//! and is dropped after that. One that panics or is late is
//! [reported](CleanupFailure), and the next one runs.
//!
//! A cleanup runs later than the code around its guard, which may be gone by then. So it
//! sees no value of a [task-local key](crate::task::LocalKey) that was in scope where the
//! guard was dropped: move what it needs into the guard.
//!
//! What is forgotten by [`std::mem::forget`] is not closed, and nothing is when
//! the process is aborted. When a runtime is
//! [shut down](crate::Runtime::shutdown) cleanups run, and have all of the runtime until
//! they have finished, blocking work and what needs it included; when it is dropped, there
//! is no time for that, and each is reported.
//!
//! # Examples
//!
//! A transaction that is rolled back unless it was committed:
//!
//! ```
//! use coreloop::cleanup::AsyncGuard;
//! use coreloop::task::yield_now;
//! use std::{cell::RefCell, rc::Rc};
//!
//! # coreloop::block_on(async {
//! let log = Rc::new(RefCell::new(Vec::new()));
//! let transfer = async |amount: i32| {
//!     log.borrow_mut().push("begin");
//!     let roll_back = Rc::clone(&log);
//!     let transaction = AsyncGuard::new((), async move |()| {
//!         yield_now().await; // The server is told.
//!         roll_back.borrow_mut().push("rolled back");
//!     });
//!     if amount < 0 {
//!         return Err("not so");
//!     }
//!     transaction.disarm();
//!     log.borrow_mut().push("committed");
//!     Ok(())
//! };
//! assert!(transfer(10).await.is_ok());
//! assert!(transfer(-10).await.is_err());
//! coreloop::cleanup::flush().await;
//! assert_eq!(*log.borrow(), ["begin", "committed", "begin", "rolled back"]);
//! # })
//! ```
//!
//! # Invariants
//!
//! 1. The flag `GUARDED` of a task says that it has an upkeep; a task
//!    without pays for none of this.
//! 2. A `Cleanup` is run to its end, or reported.
//! 3. What runs is frozen exactly while the node that is current is cancelled,
//!    or, if none is, while the task of an upkeep that is cancelled is polled.
//! 4. Nothing is borrowed while a cleanup is polled or dropped, or a waker or
//!    hook called.

mod bracket;
mod flush;
mod guard;
mod shield;

pub use crate::engine::report::cleanup_failure::CleanupFailure;
pub use bracket::bracket;
#[expect(deprecated, reason = "the former name remains for one release")]
pub use flush::cleanups;
pub use flush::flush;
pub use guard::{AsyncGuard, defer};
pub use shield::{Shield, shield};
