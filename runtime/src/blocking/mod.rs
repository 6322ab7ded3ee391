//! Work that blocks, on threads of its own.
//!
//! [`spawn_blocking`] makes a job, which goes to the [`Pool`] at once, and a
//! task, which waits for it. So it has what any task has: an id, a place in the
//! list of tasks, and a `JoinHandle`. [`Handle::spawn_blocking`] makes the job
//! only.
//!
//! # The life of a job
//!
//! ```text
//!   1 submit             2 next               3 run
//!  ─────────> queued ─────────────> running ─────────> over
//!                │ 4 cancel, close     │ 5 left behind: as 3, but nobody
//!                v                     v   waits any more
//!             dropped, unrun          over
//!
//!  1: `submit`, on any thread.
//!  2: `Pool::next`, on a thread of the pool; oldest first.
//!  3: `Work::run`: the output, or the panic, is put in the job's slot.
//!  4: `Pool::cancel`, when the job's handle or task is aborted; `Pool::abandon` and
//!     `Pool::close` at the end of the runtime. The closure is dropped, the slot says
//!     "cancelled".
//!  5: A thread cannot be stopped. It ends after its job.
//! ```

mod count;
mod options;
mod pool;
#[cfg(all(test, not(loom)))]
mod tests;
mod worker;

use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::context;
use crate::event_loop::EventLoop;
use crate::handle::{RemoteJoinHandle, Sender, Shared};
use crate::panics;
use crate::task::{Id, JoinError, JoinHandle};

use self::count::Counted;
use self::pool::{Job, Work};

pub(crate) use self::options::Options;
pub(crate) use self::pool::Pool;
pub(crate) use self::worker::current;

/// Runs `work`, which may block, on a thread of the runtime's pool, so that the
/// loop and its tasks go on meanwhile.
///
/// The pool starts a thread if none is idle, up to
/// [`max_blocking_threads`](crate::runtime::Builder::max_blocking_threads); what
/// comes then waits, and is run in order. Idle threads end after
/// [`thread_keep_alive`](crate::runtime::Builder::thread_keep_alive). Inside
/// `work`, [`Handle::current`](crate::runtime::Handle::current) is this runtime.
///
/// For work that computes for long, keep an eye on the number of threads: 512
/// are many more than there are cores.
///
/// # Aborting, and the end of the runtime
///
/// [`JoinHandle::abort`] drops the work if it still waits for a thread. Running
/// work cannot be stopped: it goes on, and the handle gives what it returns, as
/// if it had not been aborted.
///
/// When the runtime is dropped, work that waits is dropped, and running work is
/// left behind: the drop does not wait for it. Its thread ends with it, and its
/// output is dropped there.
///
/// With a [clock that stands still](crate::runtime::Builder::start_paused), time
/// does not jump while there is blocking work.
///
/// # Errors
///
/// The handle's error is a panic if no thread can be started for the work and
/// none exists that could come to it.
///
/// # Panics
///
/// Outside a runtime. On other threads, such as inside blocking work, use
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

/// As [`spawn_blocking`], on a loop that need not be the current one.
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
    let job = event_loop.shared().spawn_blocking(id, work, spawned_at);
    let task = BlockingTask { job };
    let handle = event_loop.spawn_as(id, task, spawned_at, event_loop.is_running());
    handle.shield();
    handle
}

/// The task that waits for a job of its own loop.
struct BlockingTask<R> {
    job: RemoteJoinHandle<R>,
}

impl<R> Future for BlockingTask<R> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let asked = context::with_running(|event_loop| event_loop.tasks.take_abort());
        if asked == Some(true) {
            self.job.abort();
        }
        match ready!(self.job.poll_outcome(context)).map_err(JoinError::try_into_panic) {
            Ok(output) => Poll::Ready(output),
            Err(Ok(panic)) => resume_unwind(panic),
            Err(Err(_cancelled)) => {
                context::with_running(|event_loop| event_loop.tasks.give_in());
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

impl<R> Drop for BlockingTask<R> {
    /// At the end of the loop nobody is left to take the output.
    fn drop(&mut self) {
        self.job.abort();
    }
}

/// Puts `work` in the pool of `shared`.
pub(crate) fn submit<W, R>(
    shared: &Arc<Shared>,
    work: W,
    sender: Sender<R>,
    spawned_at: &'static Location<'static>,
) where
    W: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let id = sender.id();
    let closure = Box::new(Closure {
        work,
        sender,
        spawned_at,
        shared: Arc::clone(shared),
    });
    let job = Job {
        work: closure,
        spawned_at,
        _counted: Counted::new(Arc::clone(shared)),
    };
    worker::submit(shared, id, job);
}

/// What a job does.
struct Closure<W, R> {
    work: W,
    sender: Sender<R>,
    spawned_at: &'static Location<'static>,
    shared: Arc<Shared>,
}

impl<W, R> Work for Closure<W, R>
where
    W: FnOnce() -> R + Send,
    R: Send + 'static,
{
    fn run(self: Box<Self>, ran: &dyn Fn()) {
        let Closure {
            work,
            sender,
            spawned_at,
            shared,
        } = *self;
        let id = sender.id();
        let outcome = catch_unwind(AssertUnwindSafe(work));
        ran();
        let outcome = outcome.map_err(|panic| JoinError::panicked(id, panic));
        match sender.send(outcome) {
            None => {}
            Some(Ok(unwanted)) => {
                panics::caught(|| drop(unwanted));
            }
            // A panic that nobody waits for is the loop's to judge.
            Some(Err(error)) => {
                if let Ok(panic) = error.try_into_panic() {
                    shared.rethrow(id, panic, spawned_at);
                }
            }
        }
    }

    fn refuse(self: Box<Self>, error: &io::Error) {
        let Closure { work, sender, .. } = *self;
        panics::caught(|| drop(work));
        let message = format!("cannot start a thread for blocking work: {error}");
        let error = JoinError::panicked(sender.id(), Box::new(message));
        drop(sender.send(Err(error)));
    }
}
