//! [`JobHandle`], which waits for the outcome of a job.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use coreloop_sync::oneshot;
use serde::de::DeserializeOwned;

use super::core::Core;
use super::progress::{Progress, Values};
use crate::dispatch::JobKey;
use crate::error::{ErrorKind, JobError};
use crate::executor::inline::{Inline, InlineJob};
use crate::executor::threads::ThreadJob;
use crate::executor::threads::control::ThreadControl;

/// A handle of a job, and the future of its result.
///
/// Dropping the handle detaches the job: it still runs. [`Pool::run`](super::Pool::run)
/// returns a future that cancels its job when it is dropped.
///
/// # Cancel safety
///
/// Cancel safe: a handle that is awaited through `&mut handle` can be awaited again.
///
/// # Panics
///
/// Panics if the handle is polled after it has returned the outcome.
#[must_use = "dropping the handle detaches the job"]
pub struct JobHandle<R> {
    /// Receives the outcome. A job on a thread only sends one here if it was cancelled or the
    /// executor was shut down.
    outcome: oneshot::Receiver<Result<R, JobError>>,
    /// The job, if it is on a thread.
    thread: Option<ThreadJob<Result<R, JobError>>>,
    /// The outcome that [`wait`](crate::wait) has received.
    kept: Option<Result<R, JobError>>,
    control: Control,
}

/// Where a job runs, and how its handle reaches it.
pub(crate) enum Control {
    Pool { core: Rc<Core>, key: JobKey },
    Thread(Rc<ThreadControl>),
    Inline(Rc<Inline>, Rc<InlineJob>),
}

// The result is never pinned.
impl<R> Unpin for JobHandle<R> {}

impl<R> JobHandle<R> {
    pub(crate) fn of_pool(
        core: Rc<Core>,
        key: JobKey,
        outcome: oneshot::Receiver<Result<R, JobError>>,
    ) -> Self {
        Self::new(outcome, None, Control::Pool { core, key })
    }

    pub(crate) fn of_thread(
        outcome: oneshot::Receiver<Result<R, JobError>>,
        job: ThreadJob<Result<R, JobError>>,
        control: Rc<ThreadControl>,
    ) -> Self {
        Self::new(outcome, Some(job), Control::Thread(control))
    }

    pub(crate) fn of_inline(
        outcome: oneshot::Receiver<Result<R, JobError>>,
        inline: Rc<Inline>,
        job: Rc<InlineJob>,
    ) -> Self {
        Self::new(outcome, None, Control::Inline(inline, job))
    }

    fn new(
        outcome: oneshot::Receiver<Result<R, JobError>>,
        thread: Option<ThreadJob<Result<R, JobError>>>,
        control: Control,
    ) -> Self {
        Self {
            outcome,
            thread,
            kept: None,
            control,
        }
    }

    /// Cancels the job.
    ///
    /// A job that has not started never runs, even if it was sent to a worker. One that has
    /// started is [asked to stop](crate::job::is_cancelled), and its worker is killed if the
    /// pool has [`kill_on_cancel`](super::Builder::kill_on_cancel). In both cases the handle
    /// returns an error at once for which [`is_cancelled`](JobError::is_cancelled) returns
    /// `true`; its [`has_started`](JobError::has_started) says which case it was. For a job that
    /// has finished, this does nothing.
    ///
    /// A job on a thread or on the loop is asked to stop if it has started. Its result is
    /// dropped.
    pub fn abort(&self) {
        match &self.control {
            Control::Pool { core, key } => core.cancel(*key, ErrorKind::Cancelled),
            Control::Thread(control) => {
                if let Some(job) = &self.thread {
                    control.abort(job);
                }
            }
            Control::Inline(inline, job) => inline.cancel(job),
        }
    }

    /// Cancels the job, and waits until it does not run any more.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the job stays cancelled, and its outcome is dropped.
    ///
    /// # Errors
    ///
    /// If the job finishes nevertheless, returns its outcome. Otherwise returns an error for
    /// which [`is_cancelled`](JobError::is_cancelled) returns `true`: if
    /// [`has_started`](JobError::has_started) returns `false`, the job never ran; otherwise
    /// its worker has ended.
    pub async fn cancel(self) -> Result<R, JobError> {
        match &self.control {
            Control::Pool { core, key } => core.ask_cancel(*key),
            Control::Thread(control) => {
                if let Some(job) = &self.thread {
                    control.ask_cancel(job);
                }
            }
            Control::Inline(inline, job) => inline.ask_cancel(job),
        }
        self.await
    }

    /// Cancels the job if it has not started. Returns whether it is cancelled; only a job of a pool
    /// may be.
    #[cfg(feature = "portable")]
    pub(crate) fn withdraw(&self) -> bool {
        match &self.control {
            Control::Pool { core, key } => core.withdraw(*key),
            Control::Thread(_) | Control::Inline(..) => false,
        }
    }

    /// Returns the outcome, if it is there.
    pub(crate) fn try_outcome(mut self) -> Option<Result<R, JobError>> {
        self.kept.take().or_else(|| self.outcome.try_recv().ok())
    }

    /// Returns whether the outcome is there, so that awaiting the handle does not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let has_outcome = !self.outcome.is_empty() || self.outcome.is_terminated();
        has_outcome
            || self.kept.is_some()
            || self.thread.as_ref().is_some_and(ThreadJob::is_finished)
    }

    /// Waits for the outcome and keeps it, so that awaiting the handle does not wait. Returns
    /// whether the job has a result.
    pub(crate) async fn keep(&mut self) -> bool {
        if self.kept.is_none() {
            let outcome = (&mut *self).await;
            self.kept = Some(outcome);
        }
        matches!(self.kept, Some(Ok(_)))
    }

    /// Returns whether the job has started, as [`JobError::has_started`] defines it.
    ///
    /// This stays `true` when the job has finished. For a job that failed before it started this
    /// returns `false` until the handle has returned the error.
    #[must_use]
    pub fn is_started(&self) -> bool {
        let has_started = |outcome: &Result<R, JobError>| match outcome {
            Ok(_) => true,
            Err(error) => error.has_started(),
        };
        let outcome = self.kept.as_ref().map(has_started);
        if let Some(has_started) = outcome.or_else(|| self.outcome.peek(has_started)) {
            return has_started;
        }
        match &self.control {
            Control::Pool { core, key } => core.is_started(*key),
            Control::Thread(_) => self.thread.as_ref().is_some_and(ThreadJob::is_started),
            Control::Inline(_, job) => job.is_started(),
        }
    }

    /// Returns the process id of the worker that has the job; `None` if it waits in the pool,
    /// has finished, or is not one for a process.
    #[must_use]
    pub fn worker(&self) -> Option<u32> {
        match &self.control {
            Control::Pool { core, key } => core.worker_of(*key),
            Control::Thread(_) | Control::Inline(..) => None,
        }
    }

    /// Returns what the job sends by [`job::progress`](crate::job::progress).
    ///
    /// Only the latest value is kept. Values that do not decode as a `T` are errors.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::pool::{Pool, job};
    ///
    /// #[coreloop::job]
    /// fn copy(files: u32) -> u32 {
    ///     for file in 1..=files {
    ///         // If the handle is gone, the value has no reader.
    ///         let _ = job::progress(&file);
    ///     }
    ///     files
    /// }
    ///
    /// #[coreloop::main]
    /// async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let pool = Pool::builder().build()?;
    ///     let copying = pool.submit(copy, 100).await?;
    ///     let mut progress = copying.progress::<u32>();
    ///     while let Some(files) = progress.changed().await {
    ///         println!("{} of 100 files", files?);
    ///     }
    ///     assert_eq!(copying.await?, 100);
    ///     Ok(())
    /// }
    /// ```
    pub fn progress<T: DeserializeOwned>(&self) -> Progress<T> {
        let values = match &self.control {
            Control::Pool { core, key } => Values::Loop(core.watch_progress(*key)),
            Control::Thread(control) => Values::Thread(control.reader()),
            Control::Inline(_, job) => Values::Loop(job.watch_progress()),
        };
        Progress::new(values)
    }
}

impl<R> Future for JobHandle<R> {
    type Output = Result<R, JobError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(kept) = self.kept.take() {
            return Poll::Ready(kept);
        }
        if let Poll::Ready(outcome) = Pin::new(&mut self.outcome).poll(cx) {
            // The sender is dropped only with the runtime.
            let outcome = outcome.unwrap_or_else(|_| Err(JobError::new(ErrorKind::ShutDown)));
            return Poll::Ready(outcome);
        }
        let Self {
            thread, control, ..
        } = &mut *self;
        let (Some(job), Control::Thread(control)) = (thread, control) else {
            return Poll::Pending;
        };
        let outcome = ready!(Pin::new(job).poll(cx));
        let outcome = control.outcome(outcome);
        // No error for a cancellation or a shutdown is sent any more.
        self.outcome.close();
        let _ = self.outcome.try_recv();
        Poll::Ready(outcome)
    }
}

impl<R> fmt::Debug for JobHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobHandle")
            .field("is_finished", &self.is_finished())
            .field("is_started", &self.is_started())
            .finish_non_exhaustive()
    }
}

/// A handle that cancels its job when it is dropped before the job has finished.
pub(crate) struct CancelOnDrop<R>(pub(crate) JobHandle<R>);

impl<R> CancelOnDrop<R> {
    pub(crate) async fn outcome(mut self) -> Result<R, JobError> {
        (&mut self.0).await
    }
}

impl<R> Drop for CancelOnDrop<R> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
