//! A job: a closure that a thread of a pool runs.

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;

use crate::engine::id::Id;
use crate::engine::panics;
use crate::engine::remote::join::RemoteJoinHandle;
use crate::engine::remote::outcome::{AbortTarget, OutcomeSender, OutcomeSlot};
use crate::engine::remote::pool::count::CountedJob;
use crate::engine::remote::pool::pool_ref::PoolRef;
use crate::engine::remote::pool::refusal::Refusal;
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
        let pool = PoolRef::Runtime(Arc::clone(self));
        pool.spawn(id, spawned_at, |closure| Box::new(closure), work)
    }
}

impl PoolRef {
    /// Like [`Handle::spawn_blocking`], but with refusals as values.
    pub(super) fn spawn_refusable<W, R>(
        &self,
        id: Id,
        work: W,
        spawned_at: &'static Location<'static>,
    ) -> RemoteJoinHandle<Result<R, Refusal>>
    where
        W: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let work = move || Ok(work());
        self.spawn(id, spawned_at, |closure| Box::new(Refusable(closure)), work)
    }

    /// Submits `work` as the job that `make` creates of it.
    fn spawn<W, R>(
        &self,
        id: Id,
        spawned_at: &'static Location<'static>,
        make: impl FnOnce(Closure<W, R>) -> Box<dyn Work>,
        work: W,
    ) -> RemoteJoinHandle<R>
    where
        W: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let home = self.home();
        let (sender, slot) = OutcomeSlot::new(id, AbortTarget::Job(self.clone()));
        let handle = RemoteJoinHandle::new(slot, Arc::clone(home), spawned_at);
        let closure = Closure {
            work,
            sender,
            spawned_at,
            home: Arc::clone(home),
        };
        let job = Job {
            work: make(closure),
            spawned_at,
            _counted: CountedJob::new(Arc::clone(home)),
        };
        worker::submit(self, id, job);
        handle
    }
}

/// The closure of a job, and the sender of its outcome.
struct Closure<W, R> {
    work: W,
    sender: OutcomeSender<R>,
    spawned_at: &'static Location<'static>,
    home: Arc<Shared>,
}

/// A closure whose output can be a refusal.
struct Refusable<W, R>(Closure<W, Result<R, Refusal>>);

impl<W, R> Closure<W, R>
where
    W: FnOnce() -> R + Send,
    R: Send + 'static,
{
    fn run(self, job_ran: &dyn Fn()) {
        let Self {
            work,
            sender,
            spawned_at,
            home,
        } = self;
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
                    home.rethrow(id, panic, spawned_at);
                }
            }
        }
    }

    /// Drops the closure, and returns the sender.
    fn give_up(self) -> OutcomeSender<R> {
        let Self { work, sender, .. } = self;
        panics::caught(|| drop(work));
        sender
    }
}

impl<W, R> Work for Closure<W, R>
where
    W: FnOnce() -> R + Send,
    R: Send + 'static,
{
    fn run(self: Box<Self>, job_ran: &dyn Fn()) {
        Closure::run(*self, job_ran);
    }

    fn refuse(self: Box<Self>, refusal: &Refusal) {
        let sender = self.give_up();
        let error = JoinError::panicked(sender.id(), Box::new(refusal.to_string()));
        drop(sender.send(Err(error)));
    }
}

impl<W, R> Work for Refusable<W, R>
where
    W: FnOnce() -> Result<R, Refusal> + Send,
    R: Send + 'static,
{
    fn run(self: Box<Self>, job_ran: &dyn Fn()) {
        self.0.run(job_ran);
    }

    fn refuse(self: Box<Self>, refusal: &Refusal) {
        let sender = self.0.give_up();
        drop(sender.send(Ok(Err(refusal.clone()))));
    }
}
