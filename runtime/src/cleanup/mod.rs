//! Async cleanup: guards that run async code when they are dropped, and brackets.
//!
//! A destructor cannot wait. So to close a connection properly, to roll back a
//! transaction or to delete a temporary file on another host takes more than `Drop`,
//! and it has to happen however the code that uses the resource ends: at its last line,
//! by `?`, by a panic, by an abort, or by the shutdown of the runtime.
//!
//! - An [`AsyncGuard`] runs async code that closes its value when it is dropped;
//!   [`defer`] runs a future then.
//! - A [`bracket`] opens a value, lends it to its body, closes it, and waits until it
//!   is closed.
//! - [`shield`] lets a future run to its end in spite of a cancellation.
//! - [`scope::cancel_scope`](crate::scope::cancel_scope) cancels a part of a task, in
//!   the way described here.
//! - [`flush`] waits for the cleanups of the guards that were dropped so far.
//!
//! # What an abort does
//!
//! [`JoinHandle::abort`](crate::task::JoinHandle::abort) requests the end of a task.
//! When the loop next runs the task:
//!
//! 1. The task is **frozen**: everything that it awaits of this runtime, such as a
//!    timer, a socket, a lock or a channel, stays pending, so that its code makes no
//!    progress.
//! 2. Its brackets are **closed in place**, the innermost first, and its shields, and each
//!    [`AsyncGuard::close`] that it awaits, run to their end. No other code of the task
//!    runs meanwhile.
//! 3. Its future is **dropped**. The cleanups of guards that are dropped with it go to
//!    the task's cleanup queue. They run one after the other, in the order in which the
//!    guards were dropped, which is the order of destructors: variables last to first,
//!    fields first to last.
//! 4. The task finishes when the queue is empty, and then its
//!    [`JoinHandle`](crate::task::JoinHandle) is ready.
//!
//! A task that is in no bracket or shield, and awaits no `AsyncGuard::close`, goes to step
//! 3 at once, and one without guards then finishes. A task that returns or panics goes through steps 3 and 4 too.
//!
//! Futures of other crates that wait for something outside this runtime are not frozen:
//! the code after one may run up to the next await of this runtime. If such code leaves
//! a shield, or a bracket that is being closed, neither polled nor dropped, the abort
//! waits for it forever; only a shutdown has a time limit. Drop the futures that you
//! stop awaiting.
//!
//! # What waits for cleanups
//!
//! A cleanup may drop guards too, and so may the cleanups of these guards. Each of the
//! following waits for the cleanups of the guards that were dropped in it, and for all
//! cleanups that these add, at any depth:
//!
//! - the handle of a task, including the tasks of a [`JoinSet`](crate::task::JoinSet)
//!   or a [`TaskGroup`](crate::scope::TaskGroup), and tasks that were spawned by
//!   [`Handle::spawn`](crate::runtime::Handle::spawn);
//! - [`scope`](crate::scope::scope()) and the handles of its children,
//!   [`cancel_scope`](crate::scope::cancel_scope),
//!   [`scope::timeout`](crate::scope::timeout) and [`race!`](crate::race), whether they
//!   are cancelled or not;
//! - [`bracket`], [`shield`] and [`AsyncGuard::close`].
//!
//! None of them waits for the cleanups of other parts of the task, except that the
//! cleanups of a task run one after the other. [`select!`](crate::select) and
//! [`timeout`](crate::time::timeout) do not wait for cleanups.
//!
//! A cleanup cannot wait for the cleanups that it adds, because they run after it. So
//! inside a cleanup all of these return at once.
//!
//! # What cleanups may do
//!
//! They may do everything that tasks may do: they run in their task, on the loop, and
//! nothing cancels them. The cleanups of guards that they drop go to the end of the
//! queue. Each cleanup may take as long as
//! [`Builder::cleanup_budget`](crate::runtime::Builder::cleanup_budget) allows, and is
//! dropped after that. A cleanup that panics or is late is [reported](CleanupFailure),
//! and the next one runs.
//!
//! A cleanup runs later than the code around its guard. So it does not see the value of
//! a [task-local key](crate::task::LocalKey) that was in scope where the guard was
//! dropped: move what it needs into the guard.
//!
//! A value that is forgotten by [`std::mem::forget`] is not closed, and nothing is
//! closed when the process is aborted. When a runtime is [shut
//! down](crate::Runtime::shutdown), cleanups run, and may use all of the runtime until
//! they have finished, including blocking work. When a runtime is dropped, cleanups do
//! not run, and each is reported.
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
//!         yield_now().await; // Sends the rollback to the server.
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
