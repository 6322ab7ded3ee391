//! [`Slot`], which sends the outcome of a job of this process to its handle.

use std::cell::Cell;
use std::rc::Rc;

use coreloop_sync::oneshot::{self, Receiver, Sender};

use crate::error::JobError;
use crate::panics;

/// Sends the outcome of a job to its handle. Only the first outcome is sent.
pub(super) struct Slot<R>(Cell<Option<Sender<Result<R, JobError>>>>);

/// A [`Slot`] without the type of its result.
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
