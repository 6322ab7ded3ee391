//! Blocking work, which runs on threads of its own.
//!
//! [`spawn_blocking`] creates a job, which goes to the [`Pool`] at once, and a task
//! that waits for it. So blocking work has what any task has: an id, an entry in the
//! list of tasks, and a `JoinHandle`. [`Handle::spawn_blocking`] creates only the job.
//!
//! # The life of a job
//!
//! ```text
//!   1 submit             2 next               3 run
//!  ─────────> queued ─────────────> running ─────────> finished
//!                │ 4 cancel, close     │ 5 left behind: like 3, but the
//!                v                     v   outcome is dropped
//!             dropped, unrun         finished
//!
//!  1: `submit`, on any thread.
//!  2: `Pool::next`, on a thread of the pool; oldest first.
//!  3: `Work::run`: the output, or the panic, is stored in the job's slot.
//!  4: `Pool::cancel`, when the job's handle or task is aborted; `Pool::abandon` and
//!     `Pool::close` at the end of the runtime. The closure is dropped, and
//!     "cancelled" is stored in the slot.
//!  5: A running job cannot be stopped. Its thread ends after the job.
//! ```

use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::engine::core::context;
use crate::engine::core::event_loop::EventLoop;
use crate::engine::id::Id;
use crate::engine::remote::join::RemoteJoinHandle;
use crate::engine::remote::spawner;
use crate::engine::task::error::JoinError;
use crate::engine::task::join::JoinHandle;
use crate::engine::task::spawn_options::SpawnOptions;

/// Runs `work`, which may block, on a thread of the runtime's pool.
///
/// The loop and its tasks continue to run meanwhile.
///
/// The pool starts a thread if none is idle, up to
/// [`max_blocking_threads`](crate::runtime::Builder::max_blocking_threads). Further
/// work waits in a queue, and runs in order. Idle threads end after
/// [`thread_keep_alive`](crate::runtime::Builder::thread_keep_alive). Inside `work`,
/// [`Handle::current`](crate::runtime::Handle::current) returns a handle to this
/// runtime.
///
/// For long computations, set a smaller maximum: the default of 512 threads is far more
/// than there are cores.
///
/// # Aborting, and the end of the runtime
///
/// [`JoinHandle::abort`] drops the work if it still waits for a thread. Running work
/// cannot be stopped: it continues, and awaiting the handle returns its output, as if
/// it had not been aborted.
///
/// When the runtime is dropped, waiting work is dropped, and running work is left to
/// finish: the drop does not wait for it. Its thread ends with it, and its output is
/// dropped there.
///
/// While there is blocking work, a [paused
/// clock](crate::runtime::Builder::start_paused) does not jump.
///
/// # Errors
///
/// Awaiting the handle returns an error that is a panic if no thread can be started for
/// the work and the pool has no thread that could run it later.
///
/// # Panics
///
/// Panics outside a runtime. On other threads, such as inside blocking work, use
/// [`Handle::spawn_blocking`](crate::runtime::Handle::spawn_blocking).
///
/// # Examples
///
/// ```
/// use coreloop::task::spawn_blocking;
///
/// # coreloop::block_on(async {
/// let sum = spawn_blocking(|| (1..=1_000_u64).sum::<u64>()).await.unwrap();
/// assert_eq!(sum, 500_500);
/// # })
/// ```
#[track_caller]
pub fn spawn_blocking<W, R>(work: W) -> JoinHandle<R>
where
    W: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let spawned_at = Location::caller();
    let spawned = context::with_current(|event_loop| spawn_on(event_loop, work, spawned_at));
    match spawned {
        Some(handle) => handle,
        None => context::missing("spawn_blocking"),
    }
}

/// Like [`spawn_blocking`], on a loop that need not be the current one.
pub(crate) fn spawn_on<W, R>(
    event_loop: &EventLoop,
    work: W,
    spawned_at: &'static Location<'static>,
) -> JoinHandle<R>
where
    W: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let id = Id::fresh();
    let job = spawner::shared_of(event_loop).spawn_blocking(id, work, spawned_at);
    let task = BlockingTask { job };
    let handle = event_loop.spawn(task, SpawnOptions::at(spawned_at).with_id(id));
    handle.decide_abort();
    handle
}

/// The task that waits for a job of its own loop.
struct BlockingTask<R> {
    job: RemoteJoinHandle<R>,
}

impl<R> Future for BlockingTask<R> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let asked = context::with_running(|event_loop| event_loop.tasks.take_abort());
        if asked == Some(true) {
            self.job.abort();
        }
        match ready!(self.job.poll_outcome(cx)).map_err(JoinError::try_into_panic) {
            Ok(output) => Poll::Ready(output),
            Err(Ok(panic)) => resume_unwind(panic),
            Err(Err(_cancelled)) => {
                context::with_running(|event_loop| event_loop.tasks.cancel_current());
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl<R> Drop for BlockingTask<R> {
    /// Aborts the job: if the loop ends first, no task is left to take the output.
    fn drop(&mut self) {
        self.job.abort();
    }
}
