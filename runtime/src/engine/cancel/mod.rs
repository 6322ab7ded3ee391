//! Cancellation, and the cleanups of guards.
//!
//! The public module [`cleanup`](crate::cleanup) describes both for users. A task pays for
//! them only when it drops a guard, or polls a scope, a bracket or a shield: then it gets a
//! `CleanupState`.
//!
//! # The files
//!
//! | file | what it holds |
//! |---|---|
//! | `state` | `CleanupState`: the root cancel node and the cleanup queue of one task; `CleanupStates`: the states of all tasks of a loop, and the node and site of the running code |
//! | `slow_path` | how tasks run that were aborted or have cleanups to run: methods of the `Scheduler` |
//! | `node` | `CancelNode`: the tree of what can be cancelled in one task; `node/pending` decides when a cancelled future may be dropped |
//! | `node_guard` | `NodeGuard`: what a scope, bracket or shield owns to have a node and a cleanup group |
//! | `request` | requests to cancel a node |
//! | `cleanup` | `Cleanup`: the async code of one guard, with its time limit |
//! | `in_place` | `CleanupInPlace`: a cleanup that its guard or bracket waits for |
//! | `queue` | `CleanupQueue`: the cleanups that one task has left to run |
//! | `run` | running the queue, and adding cleanups to it |
//! | `generations` | `Generations`: counts the unfinished cleanups of a queue, for `cleanup::flush` |
//! | `group` | `CleanupGroup`: counts the unfinished cleanups of a scope, race, timeout or bracket |
//! | `site` | `EnteredSite`: in which group the running code drops guards; `poll_empty` and `ChildCleanups`: waiting for a group |
//!
//! # From the drop of a guard to the end of its cleanup
//!
//! 1. `AsyncGuard::drop` makes a `Cleanup` of the guard's function, and passes it to
//!    `run::hand_over`.
//! 2. `Scheduler::state_for_cleanup` sets the flags `HAS_CLEANUP_STATE` and `HAS_CLEANUPS` of
//!    the running task, schedules the task to run again, and returns its `CleanupState`.
//!    If no task is running, `run_alone` spawns a task for the cleanup instead. Where there
//!    is no loop either, the cleanup is dropped, which reports it.
//! 3. `site::count_here` counts the cleanup in the group in which the guard was dropped, and
//!    `CleanupQueue::push` appends the cleanup to the queue of the task.
//! 4. If the future of the task ends, in this run or a later one, while cleanups are left,
//!    the task does not finish: `Scheduler::complete` calls `start_flushing`, which sets the
//!    flag `FLUSHING`.
//! 5. In the next run `Scheduler::run_some` finds a flag of `SLOW_PATH` set. By way of
//!    `run_slow_path` it calls `poll_special` while the future is in place, and
//!    `poll_flushing` when the outcome is. Both call `run::poll_queue`; `poll_special` then
//!    polls the future too.
//! 6. `poll_queue` polls the first cleanup, in a node that is never cancelled and at the site
//!    where the guard was dropped. A cleanup that is pending stays first, and the task waits
//!    for its wake. `Cleanup::poll` starts the time limit when the cleanup first has to wait.
//! 7. A cleanup that has finished, or whose time has passed, is dropped and counted as
//!    finished in its group and its generation. This wakes the code that waits for the last
//!    one.
//! 8. When no cleanup is left, `poll_queue` calls the functions that were passed to
//!    `run::after_cleanups`, and is ready. `HAS_CLEANUPS` is cleared, and a task that was
//!    flushing finishes.
//!
//! `AsyncGuard::close` and `bracket` do not use the queue. They poll their cleanup where they
//! are awaited, in a `CleanupInPlace`. If that is dropped before the cleanup has finished, it
//! moves the cleanup to the queue.
//!
//! # From a request to the end of the cancelled code
//!
//! 1. An abort sets the flag `ABORTED` of the task and schedules the task. When a task
//!    without a `CleanupState` next runs, it is ended at once; for others `poll_special`
//!    calls `poll_cancelled`, which cancels the root node. A `Canceller`, a race, or the
//!    deadline of a `scope::timeout` cancels the node of a scope: see `request`.
//! 2. `CancelNode::mark_cancelled` marks the node and its descendants, down to the first
//!    shields, and wakes the futures that poll them.
//! 3. The owner of each node, which is `poll_cancelled`, a scope or a bracket, polls its
//!    future again. While a cancelled node is the current one the budget is frozen, by
//!    `poll_cancelled` or `EnteredNode::enter`. So only shields and cleanups in place make
//!    progress: their nodes are not cancelled.
//! 4. After each poll that is pending, the owner calls `CancelNode::may_drop`, which returns
//!    `true` when no cleanup is pending at the node or below it. Then the owner drops its
//!    future, and the guards in it put their cleanups in the queue, as above.
//! 5. A scope or bracket then waits for its cleanup group, and a task flushes its queue.
//!
//! # Invariants
//!
//! 1. A task has a `CleanupState` exactly if its flag `HAS_CLEANUP_STATE` is set. Other tasks
//!    have no cost from this module.
//! 2. A `Cleanup` runs to its end, or is reported.
//! 3. Code is frozen exactly while the current cancel node is cancelled, or, if there is no
//!    current node, while a task whose state is cancelled is polled.
//! 4. Nothing is borrowed while a cleanup is polled or dropped, or a waker or hook is called.

pub(crate) mod cleanup;
mod generations;
pub(crate) mod group;
pub(crate) mod in_place;
pub(crate) mod node;
pub(crate) mod node_guard;
pub(crate) mod queue;
mod request;
pub(crate) mod run;
pub(crate) mod site;
mod slow_path;
pub(super) mod state;
