//! [`Context`], the record of the job that runs on this thread, and [`enter`], which sets it
//! while the job runs.
//!
//! # Invariants
//!
//! 1. While [`CURRENT`] is borrowed, no user code runs: contexts are dropped, sinks are called
//!    and values are encoded after the borrow has ended.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::encoded::Encoded;
use crate::frame::Ticket;
use crate::page::Page;

/// One attempt to run a job.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) id: u64,
    /// The number of this attempt; the first is 1.
    pub(crate) attempt: u32,
    pub(crate) cancel: Cancel,
    pub(crate) progress: Progress,
}

/// Where the request to cancel a job is read.
#[derive(Debug, Clone)]
pub(crate) enum Cancel {
    /// In the word of the job's slot, which the master changes.
    Word { page: Rc<Page>, ticket: Ticket },
    /// In the flags that the job shares with its handle.
    Flags(Arc<Flags>),
}

/// The flags that a job shares with its handle in the same process.
///
/// The flags are in one atomic, so one comes first if a start and a cancellation happen at
/// the same time: a job that was cancelled before it started never starts.
#[derive(Debug, Default)]
pub(crate) struct Flags(AtomicU8);

const STARTED: u8 = 1;
const CANCELLED: u8 = 2;
const FINISHED: u8 = 4;
/// The executor ended before the job had finished.
const SHUT_DOWN: u8 = 8;

/// How far a job had come when it was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It had not started, and never will.
    Waiting,
    Running,
    Finished,
}

/// The destination of a job's progress.
#[derive(Clone)]
pub(crate) enum Progress {
    /// Nowhere.
    Ignored,
    /// To a sink of this thread: the socket of a worker, or the handle of an inline job.
    Local(Rc<dyn Sink>),
    /// To a sink that another thread reads.
    Shared(Arc<dyn Sink + Send + Sync>),
}

/// Takes the encoded values that jobs report as their progress.
///
/// A sink may serve all jobs of a worker: it gets the context of the one that reports.
pub(crate) trait Sink {
    /// Passes a value on. It may wait for room.
    ///
    /// # Errors
    ///
    /// Returns an error if the value is too long or can no longer be passed on.
    fn send(&self, job: &Context, value: Encoded) -> io::Result<()>;
}

thread_local! {
    /// The job that runs on this thread.
    static CURRENT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// Runs `run` as the job of `context`. When it returns or panics, the context before it is
/// the current one again.
///
/// An async job is entered for each poll.
pub(crate) fn enter<R>(context: Context, run: impl FnOnce() -> R) -> R {
    let _outer = Outer(replace(Some(context)));
    run()
}

/// Returns what `read` returns for the job that runs on this thread. Returns `None` outside a
/// job, and if the thread is ending.
///
/// `read` must not run user code.
#[inline]
pub(super) fn with_current<R>(read: impl FnOnce(&Context) -> R) -> Option<R> {
    CURRENT
        .try_with(|current| current.borrow().as_ref().map(read))
        .ok()
        .flatten()
}

/// Sets the current context, and returns the one before.
fn replace(context: Option<Context>) -> Option<Context> {
    // A thread that is ending keeps none.
    CURRENT
        .try_with(|current| mem::replace(&mut *current.borrow_mut(), context))
        .ok()
        .flatten()
}

/// The context to which the thread returns when this is dropped.
struct Outer(Option<Context>);

impl Drop for Outer {
    fn drop(&mut self) {
        drop(replace(self.0.take()));
    }
}

impl Cancel {
    /// Returns whether the job was asked to end: one relaxed load.
    #[inline]
    pub(super) fn is_requested(&self) -> bool {
        match self {
            Self::Word { page, ticket } => {
                page.word(ticket.slot()).is_cancel_asked(ticket.sequence())
            }
            Self::Flags(flags) => flags.is_cancelled(),
        }
    }
}

// The flags order no other memory: the outcome of a job has its own synchronization.
impl Flags {
    /// Records that the job runs. Returns `false` if it was cancelled before, and must not
    /// run.
    #[must_use]
    pub(crate) fn start(&self) -> bool {
        let start = |flags| (flags & CANCELLED == 0).then_some(flags | STARTED);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, start)
            .is_ok()
    }

    pub(crate) fn has_started(&self) -> bool {
        self.has(STARTED)
    }

    /// Records that the job does not run any more.
    pub(crate) fn finish(&self) {
        self.0.fetch_or(FINISHED, Ordering::Relaxed);
    }

    /// Asks the job to end, or not to start. Returns how far it had come; `None` if it had not
    /// started, and was cancelled before.
    pub(crate) fn cancel(&self) -> Option<Stage> {
        let before = self.0.fetch_or(CANCELLED, Ordering::Relaxed);
        if before & FINISHED != 0 {
            Some(Stage::Finished)
        } else if before & STARTED != 0 {
            Some(Stage::Running)
        } else {
            (before & CANCELLED == 0).then_some(Stage::Waiting)
        }
    }

    /// Like [`cancel`](Self::cancel), at the end of the executor.
    pub(crate) fn shut_down(&self) -> Option<Stage> {
        let stage = self.cancel();
        if stage != Some(Stage::Finished) {
            self.0.fetch_or(SHUT_DOWN, Ordering::Relaxed);
        }
        stage
    }

    /// Returns whether the job had not finished when the executor ended. It may have finished
    /// since.
    pub(crate) fn was_shut_down(&self) -> bool {
        self.has(SHUT_DOWN)
    }

    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.has(CANCELLED)
    }

    #[inline]
    fn has(&self, flag: u8) -> bool {
        self.0.load(Ordering::Relaxed) & flag != 0
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ignored => "Ignored",
            Self::Local(_) => "Local(..)",
            Self::Shared(_) => "Shared(..)",
        })
    }
}
