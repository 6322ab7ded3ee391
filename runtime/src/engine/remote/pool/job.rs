//! A job: a closure that a thread of the pool runs.

use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;

use crate::engine::id::Id;
use crate::engine::panics;
use crate::engine::remote::join::RemoteJoinHandle;
use crate::engine::remote::outcome::{AbortTarget, OutcomeSender, OutcomeSlot};
use crate::engine::remote::pool::count::CountedJob;
use crate::engine::remote::pool::{Job, Work, worker};
use crate::engine::remote::shared::Shared;
use crate::engine::task::error::JoinError;

impl Shared {
    /// Like [`Handle::spawn_blocking`], with an id.
    pub(crate) fn spawn_blocking<W, R>(
        self: &Arc<Self>,
        id: Id,
        work: W,
        spawned_at: &'static Location<'static>,
    ) -> RemoteJoinHandle<R>
    where
        W: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let (sender, slot) = OutcomeSlot::new(id, AbortTarget::Job(Arc::clone(self)));
        let handle = RemoteJoinHandle::new(slot, Arc::clone(self), spawned_at);
        submit(self, work, sender, spawned_at);
        handle
    }
}

/// Submits `work` to the pool of `shared`.
fn submit<W, R>(
    shared: &Arc<Shared>,
    work: W,
    sender: OutcomeSender<R>,
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
        _counted: CountedJob::new(Arc::clone(shared)),
    };
    worker::submit(shared, id, job);
}

/// The closure of a job, and the sender of its outcome.
struct Closure<W, R> {
    work: W,
    sender: OutcomeSender<R>,
    spawned_at: &'static Location<'static>,
    shared: Arc<Shared>,
}

impl<W, R> Work for Closure<W, R>
where
    W: FnOnce() -> R + Send,
    R: Send + 'static,
{
    fn run(self: Box<Self>, job_ran: &dyn Fn()) {
        let Self {
            work,
            sender,
            spawned_at,
            shared,
        } = *self;
        let id = sender.id();
        let outcome = catch_unwind(AssertUnwindSafe(work));
        job_ran();
        let outcome = outcome.map_err(|panic| JoinError::panicked(id, panic));
        match sender.send(outcome) {
            None => {}
            Some(Ok(unwanted)) => {
                panics::caught(|| drop(unwanted));
            }
            // No handle waits for the panic, so the loop treats it as unhandled.
            Some(Err(error)) => {
                if let Ok(panic) = error.try_into_panic() {
                    shared.rethrow(id, panic, spawned_at);
                }
            }
        }
    }

    fn refuse(self: Box<Self>, error: &io::Error) {
        let Self { work, sender, .. } = *self;
        panics::caught(|| drop(work));
        let message = format!("cannot start a thread for blocking work: {error}");
        let error = JoinError::panicked(sender.id(), Box::new(message));
        drop(sender.send(Err(error)));
    }
}
