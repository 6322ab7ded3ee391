//! [`ThreadControl`], the part of a job's handle that the executor shares.

use std::cell::RefCell;
use std::fmt;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use slab::Slab;

use super::latest::{Latest, Reader};
use super::{ThreadFailure, ThreadJob};
use crate::error::{ErrorKind, JobError};
use crate::executor::slot::Waits;
use crate::job::context::{Flags, Stage};
use crate::panics;
use coreloop_runtime::task::Refusal;

/// The part of a job's handle that the executor shares, to fail the job at its shutdown.
pub(crate) struct ThreadControl {
    name: Option<&'static str>,
    waits: Rc<dyn Waits>,
    flags: Arc<Flags>,
    latest: Arc<Latest>,
    list: Rc<Controls>,
    key: usize,
}

/// The controls of the handles that were not dropped.
#[derive(Default)]
pub(super) struct Controls(RefCell<Slab<Weak<ThreadControl>>>);

impl Controls {
    /// Adds the handle of a job.
    pub(super) fn add(
        self: &Rc<Self>,
        name: Option<&'static str>,
        waits: Rc<dyn Waits>,
        flags: Arc<Flags>,
        latest: Arc<Latest>,
    ) -> Rc<ThreadControl> {
        let mut list = self.0.borrow_mut();
        let entry = list.vacant_entry();
        let control = Rc::new(ThreadControl {
            name,
            waits,
            flags,
            latest,
            list: Rc::clone(self),
            key: entry.key(),
        });
        entry.insert(Rc::downgrade(&control));
        control
    }

    /// Makes all jobs fail that had not finished when their flags were
    /// [shut down](Flags::shut_down). A job that has seen this and finished since fails too, so
    /// that the outcome does not depend on the speed of its thread.
    pub(super) fn shut_down(&self) {
        let controls: Vec<_> = {
            let list = self.0.borrow();
            list.iter()
                .filter_map(|(_, control)| control.upgrade())
                .collect()
        };
        for control in controls {
            if control.flags.was_shut_down() {
                let has_started = control.flags.has_started();
                control.fail(ErrorKind::ShutDown, has_started);
            }
        }
    }
}

impl ThreadControl {
    /// Aborts a job, and makes its handle return an error now.
    pub(crate) fn abort<R>(&self, job: &ThreadJob<R>) {
        match job.abort() {
            Some(Stage::Waiting) => self.fail(ErrorKind::Cancelled, false),
            Some(Stage::Running) => self.fail(ErrorKind::Cancelled, true),
            Some(Stage::Finished) | None => {}
        }
    }

    /// Aborts a job for `JobHandle::cancel`, which still waits for the outcome if the job has
    /// started.
    pub(crate) fn ask_cancel<R>(&self, job: &ThreadJob<R>) {
        if job.abort() == Some(Stage::Waiting) {
            self.fail(ErrorKind::Cancelled, false);
        }
    }

    pub(crate) fn reader(&self) -> Reader {
        self.latest.reader()
    }

    /// Turns the outcome of a thread's job into the outcome that the handle returns.
    pub(crate) fn outcome<R>(
        &self,
        outcome: Result<Result<R, JobError>, ThreadFailure>,
    ) -> Result<R, JobError> {
        let (kind, has_started) = match outcome {
            Ok(outcome) => return outcome,
            Err(ThreadFailure::Panicked(payload)) => {
                let message = panics::message(&*payload).to_owned();
                panics::discard(payload);
                (ErrorKind::Panic(message), true)
            }
            Err(ThreadFailure::Aborted) => (ErrorKind::Cancelled, false),
            Err(ThreadFailure::ShutDown) => (ErrorKind::ShutDown, false),
            Err(ThreadFailure::Refused(Refusal::Initializer(text))) => {
                (ErrorKind::Initializer(text), false)
            }
            Err(ThreadFailure::Refused(Refusal::NoThread(text))) => {
                let text = format!("no thread can be started: {text}");
                (ErrorKind::Initializer(text), false)
            }
        };
        Err(error(self.name, kind, has_started))
    }

    fn fail(&self, kind: ErrorKind, has_started: bool) {
        self.waits.fail(error(self.name, kind, has_started));
    }
}

impl Drop for ThreadControl {
    fn drop(&mut self) {
        let entry = self.list.0.borrow_mut().try_remove(self.key);
        drop(entry);
    }
}

impl fmt::Debug for ThreadControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadControl")
            .field("name", &self.name)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// Creates the error of a job, which may be a closure.
pub(super) fn error(name: Option<&'static str>, kind: ErrorKind, has_started: bool) -> JobError {
    let error = crate::executor::error(name, kind);
    if has_started {
        error.started(None, 1)
    } else {
        error
    }
}
