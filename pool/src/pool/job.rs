//! [`Job`], a job that a pool has accepted, and [`Completion`], which takes its outcome.

use std::ops::{Deref, Range};
use std::rc::Rc;

use coreloop_sync::{OwnedSemaphorePermit, oneshot, watch};
use serde::de::DeserializeOwned;

use super::attached::Attached;
use super::deadlines::Timer;
use crate::dispatch::{JobKey, JobOptions};
use crate::error::{ErrorKind, JobError};
use crate::frame::{Kind, Slot};
use crate::job::encoded::{Input, Kept};
use crate::panics;

/// A job that a pool has accepted.
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) function: u16,
    pub(crate) options: JobOptions,
    /// The number of the attempt as which the job was sent last; 0 if it was not sent.
    pub(crate) attempt: u32,
    /// Whether the call, or an item of the chunk, has run in a worker that has ended, and lost
    /// its result with it, without using up an attempt.
    pub(crate) has_run: bool,
    /// The slot of the worker that it was sent to last.
    pub(crate) slot: Slot,
    /// [`Kind::Job`], [`Kind::Chunk`] or [`Kind::Portable`].
    pub(crate) kind: Kind,
    /// The body of the frame. It is kept until the job has a result, because the job may
    /// have to be sent again.
    pub(crate) body: Body,
    /// The descriptors in the arguments, which are kept as long.
    pub(crate) attached: Attached,
    /// `None` once the outcome is known, while the function may still run.
    pub(crate) completion: Option<Box<dyn Completion>>,
    /// Whether `JobHandle::cancel` has cancelled the job and waits for its outcome.
    pub(crate) is_cancelled: bool,
    /// The channel of the values that the job sends by `job::progress`.
    pub(crate) progress: Option<watch::Sender<Option<Rc<Kept>>>>,
    /// Room in the queue, until the job is sent.
    pub(crate) room: Option<OwnedSemaphorePermit>,
    /// The time limit.
    pub(crate) timer: Option<Timer>,
}

/// A body of at least this length is written without a copy. A shorter one is copied into the
/// frames before it, so that many bodies take one write.
const LARGE: usize = 8 << 10;

/// The body of a frame.
#[derive(Clone)]
pub(crate) enum Body {
    /// A short body, for which an `Rc` would be a needless allocation.
    Owned(Vec<u8>),
    Shared(Rc<Vec<u8>>),
}

impl Body {
    /// Returns the body if it is written without a copy.
    pub(super) fn large(&self) -> Option<&Rc<Vec<u8>>> {
        match self {
            Self::Shared(bytes) if bytes.len() >= LARGE => Some(bytes),
            Self::Shared(_) | Self::Owned(_) => None,
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() < LARGE {
            Self::Owned(bytes)
        } else {
            Self::Shared(Rc::new(bytes))
        }
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Job {
    /// Returns a copy with the same body, without what belongs to the handle of the job.
    pub(crate) fn without_completion(&self) -> Self {
        Self {
            body: self.body.clone(),
            attached: self.attached.clone(),
            completion: None,
            progress: None,
            room: None,
            timer: None,
            ..*self
        }
    }
}

/// Takes the outcome of a job, for the handle or the map that waits for it.
pub(crate) trait Completion {
    /// Takes the result frame that the worker has sent. Its kind is not [`Kind::Progress`].
    fn received(self: Box<Self>, kind: Kind, result: Input<'_>, context: &FrameContext);

    /// Takes the error of a job that has no result.
    fn failed(self: Box<Self>, error: JobError);

    /// The number of items of a chunk; `None` for one call.
    fn items(&self) -> Option<usize> {
        None
    }

    /// Returns the completion of some items of a chunk; `None` for one call.
    fn part(&self, items: Range<usize>) -> Option<Box<dyn Completion>> {
        let _ = items;
        None
    }

    /// Takes the key of a new job, to which some of the items were moved.
    fn resubmitted(&self, key: JobKey) {
        let _ = key;
    }
}

/// The job, the attempt and the worker of a result.
#[derive(Debug)]
pub(crate) struct FrameContext {
    pub(crate) name: &'static str,
    pub(crate) worker: Option<u32>,
    pub(crate) attempt: u32,
}

impl FrameContext {
    /// Decodes the outcome in a frame of this kind.
    pub(crate) fn outcome<R: DeserializeOwned>(
        &self,
        kind: Kind,
        result: Input<'_>,
    ) -> Result<R, JobError> {
        if kind != Kind::Done {
            return Err(self.failure(kind, result.bytes));
        }
        let text = match panics::catch(|| result.decode()) {
            Ok(Ok(output)) => return Ok(output),
            Ok(Err(error)) => format!("the result does not decode: {error}"),
            Err(_) => "decoding the result panicked".to_owned(),
        };
        Err(self.error(ErrorKind::Codec(text)))
    }

    /// Returns the error in a frame of this kind, which is not [`Kind::Done`].
    pub(crate) fn failure(&self, kind: Kind, body: &[u8]) -> JobError {
        let text = String::from_utf8_lossy(body).into_owned();
        self.error(match kind {
            Kind::Panicked => ErrorKind::Panic(text),
            _ => ErrorKind::Codec(text),
        })
    }

    pub(crate) fn error(&self, kind: ErrorKind) -> JobError {
        JobError::new(kind)
            .of_job(self.name)
            .started(self.worker, self.attempt)
    }
}

/// One call, whose outcome a handle waits for.
pub(crate) struct Single<R> {
    sender: oneshot::Sender<Result<R, JobError>>,
}

impl<R> Single<R> {
    pub(crate) fn new() -> (Self, oneshot::Receiver<Result<R, JobError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender }, receiver)
    }

    fn send(self, outcome: Result<R, JobError>) {
        // If no handle waits any more, the outcome is dropped.
        panics::caught(|| drop(self.sender.send(outcome)));
    }
}

impl<R: DeserializeOwned + 'static> Completion for Single<R> {
    fn received(self: Box<Self>, kind: Kind, result: Input<'_>, context: &FrameContext) {
        // Without a receiver the result need not be decoded.
        if !self.sender.is_closed() {
            self.send(context.outcome(kind, result));
        }
    }

    fn failed(self: Box<Self>, error: JobError) {
        self.send(Err(error));
    }
}
