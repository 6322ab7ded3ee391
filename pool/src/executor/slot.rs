//! [`Slot`], the place from which a job of this process sends its outcome.

use std::cell::Cell;
use std::rc::Rc;

use coreloop_sync::oneshot::{self, Receiver, Sender};

use crate::error::JobError;
use crate::panics;

/// Sends the outcome of a job to its handle, once: what comes first counts.
pub(super) struct Slot<R>(Cell<Option<Sender<Result<R, JobError>>>>);

/// A handle that waits for an outcome, whatever the type of the result is.
pub(crate) trait Waits {
    /// Makes the job fail, unless its outcome was sent.
    fn fail(&self, error: JobError);
}

impl<R> Slot<R> {
    pub(super) fn new() -> (Rc<Self>, Receiver<Result<R, JobError>>) {
        let (sender, receiver) = oneshot::channel();
        (Rc::new(Self(Cell::new(Some(sender)))), receiver)
    }

    pub(super) fn send(&self, outcome: Result<R, JobError>) {
        if let Some(sender) = self.0.take() {
            // If no handle waits any more, the outcome is dropped.
            panics::caught(|| drop(sender.send(outcome)));
        }
    }
}

impl<R> Waits for Slot<R> {
    fn fail(&self, error: JobError) {
        self.send(Err(error));
    }
}
