//! The memory and the states of tasks.
//!
//! # The life of a task
//!
//! ```text
//!  1 spawn         2 run_some                   3 poll: ready, or panicked
//!  ───────> ready ────────────> running ──────────────────────────────┐
//!             ^                  │   │ 4 cancel: aborted              │
//!             │   3 poll:        │   └──────────────────────────────┐ │
//!             │   pending        v                                  v v
//!             └───────────────  idle                               over
//!               5 notify         │ 6 shut_down, or                  │
//!                                │   the end of block_on            │ 7 release
//!                                └──────────────────> over          v
//!                                                                  freed
//!
//!  1: `Scheduler::spawn`: one allocation, and one more if the future or the output
//!     is large; in the live list and the ready queue.
//!  2: `Scheduler::run_some`: out of the ready queue, `RUNNING`.
//!  3: `Running::poll`: with `Ready` the future is dropped in place and the outcome
//!     stored there; after a panic `Running::end` does that.
//!  4: `Running::end`: the future is dropped, the outcome is `Cancelled`, or the
//!     panic of its destructor.
//!  5: `waker::notify`: on the loop's thread, while it runs, at the tail of the
//!     ready queue; elsewhere by way of the inbox (`Scheduler::take_remote`). A
//!     task that is running is queued too, and so runs again.
//!  6: `Scheduler::shut_down` ends every live task, as 4 does.
//!  7: `RawTask::release`: when the last reference goes.
//! ```
//!
//! A task with guards or scopes (`HAS_CLEANUP_STATE`) takes longer: see
//! [`cleanup`](crate::cleanup). While cleanups are left to run, `finish` does not
//! end it at 3 and 4, but makes it `FLUSHING`: it is run on, with the outcome in
//! place, and `Scheduler::close` polls the cleanups in its turns.
//!
//! What is left of a task that has finished, for as long as a waker or a handle is
//! kept, is its allocation: a header, and the room of a small future. A large
//! future is freed when the task finishes.
//!
//! A join handle that is dropped lets go of the output: then it is dropped at
//! the end of the task, or at once if that was before. If the destructors of many
//! outputs are nested, the task waits in the queue of the module `nesting`,
//! with `JOINED` and `RESULT` set, though its handle is gone.
//!
//! # Who may touch what
//!
//! | part of the header | who |
//! |---|---|
//! | `vtable`, `remote`, `id`, `spawned_at` | anybody, to read |
//! | `state` | anybody |
//! | `inbox`, the link | whoever set `POSTED` in the state, then whoever took the task from the inbox |
//! | `flags`, `ready_next`, `live_*`, `join_waker` | the owner: the thread of the loop |
//! | the stage: future or outcome | the owner |
//!
//! # Invariants
//!
//! 1. Other threads reach a task by wakers, abort handles and the `TaskSlot`s of
//!    their own loops only, which touch what the table grants to anybody.
//!    Everything else is the owner's.
//! 2. No `&mut Header` and no reference to a whole `TaskCell` is formed while
//!    others can reach the task: not after `RawTask::new`, nor before `free`. So
//!    references to headers may overlap each other and a poll.
//! 3. The owner's share is one reference. It is held while any of `QUEUED`,
//!    `RUNNING`, `LIVE` or `JOINED` is set, and given back by whoever clears
//!    the last of them. So the ready queue, the live list, the loop and the
//!    join handle use a task without counting.
//! 4. The flags say what the stage holds. `LIVE` without `FLUSHING`: the future. `LIVE` with
//!    `FLUSHING`: the outcome. `RESULT`: the outcome, which belongs to the call that
//!    clears the flag. None of these: nothing. While `LIVE` is set, only the holder of
//!    the task's token (`scheduler::token`) touches the stage. The flags are behind while the
//!    future is dropped and replaced by the outcome, which an `AbortOnPanic` guards, from
//!    then until `FLUSHING` is set or `LIVE` is cleared, and when `FLUSHING` is cleared before
//!    the end. The token is an `Ended` then.
//!    The join waker is there only while `JOINED` is set. The owner drops the future, the
//!    outcome and the join waker while it holds its share, so freeing the memory, on any
//!    thread, runs no user code.
//! 5. The future does not move between its first poll and its drop, for the
//!    allocation does not and it is dropped in place.
//! 6. A task keeps its `Remote`; so no other loop has the same address, and
//!    comparing addresses tells whether the loop that runs here owns the task.
//! 7. No borrow or half-made change is held while a waker, a destructor or a
//!    poll runs. They may spawn, wake, abort and drop handles, these of the
//!    same task included.
//! 8. No user code runs unguarded between the storing of an outcome and the end of the
//!    run, when the task is no longer current: a panic would land in
//!    `Scheduler::fail_current`, which ends the future of the current task. Wakers that the
//!    loop keeps are in a `panics::Foreign`, which catches the panic of
//!    a destructor; other calls are in `panics::caught`. A panic that
//!    gets past these drops the `Ended`, which aborts the process, and `fail_current`
//!    aborts it if the flags do not say that the future is in place.

pub(crate) mod budget;
pub(crate) mod error;
pub(crate) mod header;
pub(crate) mod join;
pub(crate) mod raw;
pub(crate) mod ready_queue;
pub(crate) mod remote;
pub(crate) mod running;
pub(crate) mod scheduler;
pub(crate) mod state;
pub(crate) mod task_slot;
pub(crate) mod waker;
