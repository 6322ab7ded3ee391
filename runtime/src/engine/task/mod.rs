//! Tasks: their memory, their states, and who may touch which part of them.
//!
//! A task is one allocation: a [`Header`](header::Header), whose type is the same for all
//! tasks, and a *stage*, which holds the future and later the outcome. A future or an output
//! of more than 512 bytes has an allocation of its own, to which the stage points. `RawTask`
//! is a pointer to the header. The *owner* of a task is the thread of its loop.
//!
//! # References
//!
//! The state of a task, an atomic word, counts the references to it:
//!
//! - each `Waker`, `AbortHandle`, `TaskSlot` and `TaskRef` owns one;
//! - the inbox owns one while `IN_INBOX` is set in the state;
//! - the owner has one, which the ready queue, the list of live tasks, the run of the task
//!   and the `JoinHandle` share by means of flags (invariant 3).
//!
//! The memory is freed with the last reference.
//!
//! # The life of a task
//!
//! ```text
//!  1 spawn             2 run_some
//! ─────────> ┌───────┐ ────────────────────> ┌─────────┐
//!            │ ready │                       │ running │
//!        ┌─> └───────┘ <──────────────────── └─────────┘
//!        │              3 pending, but woken  │   │   │
//!        │                                    │   │   │ 5 ready or panicked, or
//!        │ 4 notify         3 pending         │   │   │ 6 aborted:
//!        │           ┌────────────────────────┘   │   │ cleanups are left to run
//!        │           v                            │   v
//!        │        ┌──────┐              5 or 6:   │  ┌──────────┐ ──┐ 7 cleanups
//!        └─────── │ idle │         no cleanup is  │  │ flushing │   │   are pending
//!                 └──────┘                  left  │  └──────────┘ <─┘
//!                    │                            │   │ 7 all cleanups have
//!                    │ 8 shut_down, or            │   │   finished, or 8
//!                    │   the end of block_on      v   v
//!                    │                       ┌──────────┐  9 release
//!                    └─────────────────────> │ finished │ ───────────> freed
//!                                            └──────────┘
//! ```
//!
//! 1. `Scheduler::spawn` allocates the task, and puts it in the list of live tasks and in
//!    the ready queue: `LIVE`, `QUEUED`, `JOINED`.
//! 2. `Scheduler::run_some` takes the task out of the ready queue: `RUNNING` instead of
//!    `QUEUED`.
//! 3. `Running::poll` returns `Pending`, and `Running::pause` clears `RUNNING`. A task that
//!    was woken while it was running is in the ready queue already.
//! 4. `waker::notify` puts the task last in the ready queue if it is called on the owner's
//!    thread inside a turn of the loop. Elsewhere it puts the task in the inbox, from which
//!    `Scheduler::take_remote` moves it to the ready queue.
//! 5. `Running::poll` drops the future in place and stores its output there. If the poll
//!    panicked, `Scheduler::fail_current` calls `Running::end`, which drops the future, and
//!    the outcome is the panic. Then `Scheduler::complete` checks whether cleanups are left.
//! 6. When a task that is `ABORTED` runs, `Running::end` drops the future. The outcome is
//!    `Cancelled`, or the panic of the future's destructor. A task that is
//!    `HAS_CLEANUP_STATE` may have to be polled first, frozen, until its future may be
//!    dropped: see [`engine::cancel`](crate::engine::cancel).
//! 7. `Scheduler::start_flushing` makes the task `FLUSHING`, and puts it in the ready queue.
//!    When the task next runs, and whenever it is woken again, `Scheduler::poll_flushing`
//!    polls the cleanups. When none is left, `Scheduler::finish` ends the task, as it does at
//!    once after 5 and 6 if there are no cleanups: `RESULT` instead of `LIVE`.
//! 8. `Scheduler::end_now` ends a task that is ready, idle or flushing. A future that is
//!    still in place is dropped as in 6; cleanups are abandoned.
//! 9. `RawTask::release` frees the memory when the last reference is given back.
//!
//! While a waker or a handle keeps a task that has finished, its allocation remains: the
//! header, and the room of a small future. A large future is freed when its outcome is
//! stored.
//!
//! A join handle that is dropped gives up the outcome, which is then dropped when the task
//! finishes, or at once if it has finished. If the destructors of too many outputs are
//! nested, the outcome waits in the queue of the module `nesting`. The task is `JOINED` and
//! has its `RESULT` meanwhile, although its handle is gone.
//!
//! # Who may touch which part
//!
//! | part of the task | who may touch it |
//! |---|---|
//! | `vtable`, `remote`, `id`, `spawned_at` | any thread, to read |
//! | `state` | any thread |
//! | `remote_link` | the thread that set `IN_INBOX` in the state, then the thread that took the task from the inbox |
//! | `flags`, `ready_next`, `live_previous`, `live_next`, `join_waker` | the owner |
//! | the stage: the future or the outcome | the owner |
//!
//! # Invariants
//!
//! 1. Other threads reach a task only by its wakers, its abort handles, and the `TaskSlot`s
//!    of their own loops. These touch only what the table grants to any thread.
//! 2. From the end of `RawTask::new` to the start of `free`, while others can reach the task,
//!    no `&mut Header` is formed, and no reference to a whole `TaskCell`. So references to a
//!    header may overlap each other and a poll.
//! 3. The owner's share is one reference. It is held while any of `QUEUED`, `RUNNING`,
//!    `LIVE` or `JOINED` is set, and given back by the code that clears the last of them. So
//!    the ready queue, the list of live tasks, the loop and the join handle use a task
//!    without counting references.
//! 4. The flags determine what the stage holds:
//!    - `LIVE` without `FLUSHING`: the future;
//!    - `LIVE` with `FLUSHING`: the outcome;
//!    - `RESULT`: the outcome, which belongs to the call that clears the flag;
//!    - neither `LIVE` nor `RESULT`: nothing.
//!
//!    While `LIVE` is set, only the holder of the task's token (`scheduler::token`) touches
//!    the stage. The flags do not determine the stage in three periods of a run: while the
//!    future is dropped and replaced by the outcome, which an `AbortOnPanic` guards; from
//!    then until `FLUSHING` is set or `LIVE` is cleared; and from the clearing of `FLUSHING`
//!    to the end of the task. In the last two the token is an `Ended`.
//!
//!    A join waker is kept only while `JOINED` is set. The owner drops the future, the
//!    outcome and the join waker while it holds its share, so the thread that frees the
//!    memory, whichever it is, runs no user code.
//! 5. The future does not move between its first poll and its drop, because its allocation
//!    does not move and it is dropped in place.
//! 6. A task keeps its `Remote` alive. So no other loop's `Remote` has the same address, and
//!    comparing addresses shows whether the loop that runs on this thread owns the task.
//! 7. No borrow is held and no change is half made while a waker, a destructor or a poll
//!    runs. These may spawn, wake and abort tasks and drop handles, also handles of the task
//!    that is running.
//! 8. No user code runs unguarded between the storing of an outcome and the end of the run,
//!    when the task is no longer current. A panic would get to `Scheduler::fail_current`,
//!    which ends the future of the current task. Wakers that the loop keeps are in a
//!    `panics::UserValue`, which catches the panic of a destructor; other calls of user code
//!    are in `panics::caught`. A panic that gets past these drops the `Ended`, which aborts
//!    the process; and `fail_current` aborts the process if the flags do not say that the
//!    future is in place.

pub(crate) mod budget;
pub(crate) mod error;
pub(crate) mod header;
pub(crate) mod join;
pub(crate) mod raw;
pub(crate) mod ready_queue;
pub(crate) mod remote;
pub(crate) mod running;
pub(crate) mod scheduler;
pub(crate) mod spawn_options;
pub(crate) mod state;
pub(crate) mod task_slot;
pub(crate) mod waker;
