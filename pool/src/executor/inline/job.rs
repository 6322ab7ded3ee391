//! [`InlineJob`], a job in the queue of the loop, and [`call`], its work.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use coreloop_sync::{OwnedSemaphorePermit, watch};

use crate::error::{ErrorKind, JobError};
use crate::executor::slot::Waits;
use crate::job::call::run_async;
use crate::job::context::{self, Cancel, Flags, Progress, Sink};
use crate::job::encoded::{Encoded, Kept};
use crate::job::function::JobFn;
use crate::panics;
use crate::pool::job::FrameContext;
use crate::worker::conclude;

/// The work of a job, which sends the outcome to the handle.
pub(super) type Work = Pin<Box<dyn Future<Output = ()>>>;

/// The values that jobs send by `job::progress`.
type Values = watch::Sender<Option<Rc<Kept>>>;

/// A job of an executor that runs its jobs on the loop.
pub(crate) struct InlineJob {
    pub(super) id: u64,
    pub(super) name: &'static str,
    pub(super) flags: Arc<Flags>,
    /// `None` once the job has started, or was cancelled before.
    pub(super) work: Cell<Option<Work>>,
    pub(super) waits: Rc<dyn Waits>,
    /// Room in the queue, until the job starts.
    pub(super) room: Cell<Option<OwnedSemaphorePermit>>,
    /// `None` once the job has ended.
    progress: RefCell<Option<Values>>,
}

impl InlineJob {
    pub(super) fn new(
        id: u64,
        name: &'static str,
        waits: Rc<dyn Waits>,
        room: Option<OwnedSemaphorePermit>,
        work: Work,
    ) -> Rc<Self> {
        Rc::new(Self {
            id,
            name,
            flags: Arc::default(),
            work: Cell::new(Some(work)),
            waits,
            room: Cell::new(room),
            progress: RefCell::new(Some(watch::Sender::new(None))),
        })
    }

    /// Makes the job fail, unless its outcome is known.
    pub(super) fn fail(&self, kind: ErrorKind) {
        let error = JobError::new(kind).of_job(self.name);
        self.waits.fail(match self.flags.has_started() {
            true => error.started(None, 1),
            false => error,
        });
    }

    /// Drops what only a job that has not ended needs.
    pub(super) fn end(&self) {
        let work = self.work.take();
        panics::caught(|| drop(work));
        self.leave_room();
        let progress = self.progress.take();
        panics::caught(|| drop(progress));
    }

    /// Gives the place in the queue back, which wakes a task.
    pub(super) fn leave_room(&self) {
        let room = self.room.take();
        panics::caught(|| drop(room));
    }

    /// Returns the context in which the work is polled.
    pub(super) fn context(self: &Rc<Self>) -> context::Context {
        context::Context {
            id: self.id,
            attempt: 1,
            cancel: Cancel::Flags(Arc::clone(&self.flags)),
            progress: Progress::Local(Rc::clone(self) as Rc<dyn Sink>),
        }
    }

    pub(crate) fn is_started(&self) -> bool {
        self.flags.has_started()
    }

    pub(crate) fn watch_progress(&self) -> watch::Receiver<Option<Rc<Kept>>> {
        match &*self.progress.borrow() {
            Some(progress) => progress.subscribe(),
            // A channel whose sender is gone.
            None => watch::channel(None).1,
        }
    }
}

impl Sink for InlineJob {
    fn send(&self, _: &context::Context, value: Encoded) -> io::Result<()> {
        let progress = self.progress.borrow().clone();
        if let Some(progress) = progress {
            // Wakes the tasks that wait for it. A panic of a waker must not fail the job.
            panics::caught(|| drop(progress.send_replace(Some(Rc::new(value.into())))));
        }
        Ok(())
    }
}

/// Calls a function with encoded arguments, and passes its result through its encoded form, as
/// a process does.
pub(super) async fn call<F, S>(
    function: F,
    name: &'static str,
    max_length: usize,
    mut arguments: Encoded,
) -> Result<F::Output, JobError>
where
    F: JobFn<S>,
{
    let mut output = Encoded::default();
    let called = Caught(Box::pin(run_async(
        function,
        arguments.input(),
        &mut output,
    )))
    .await;
    let kind = conclude(called, Encoded::default().mark(), max_length, &mut output);
    let context = FrameContext {
        name,
        worker: None,
        attempt: 1,
    };
    context.outcome(kind, output.input())
}

/// A future whose panic is an output: its message.
pub(super) struct Caught<F>(pub(super) Pin<Box<F>>);

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match panics::catch(|| self.0.as_mut().poll(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(message) => Poll::Ready(Err(message)),
        }
    }
}

impl fmt::Debug for InlineJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InlineJob")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}
