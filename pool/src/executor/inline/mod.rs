//! [`InlineEngine`], the executor that runs jobs on the loop.
//!
//! One task runs the jobs, in order, while there are any. It awaits an async job, so other tasks
//! run meanwhile, but no other job does.
//!
//! # Invariants
//!
//! 1. Nothing is borrowed while user code runs: a job, its destructor, the wake of a handle.
//!    Any of these may use the executor.
//! 2. A job is in the queue, and then in `running`. Before it leaves these, its outcome is sent,
//!    so every handle resolves.

mod initializer;
mod job;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::time::Duration;

use coreloop_runtime::task::{JoinHandle, spawn, yield_now};
use coreloop_runtime::time::{Instant, timeout_at};
use coreloop_sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::error::{ErrorKind, JobError};
use crate::executor::slot::{Slot, Waits};
use crate::executor::{Items, error, registered};
use crate::job::context;
use crate::job::encoded::Encoded;
use crate::job::function::JobFn;
use crate::job::registry::Registry;
use crate::job::worker_state::{self, WorkerState};
use crate::panics;
use crate::pool::core::Phase;
use crate::pool::request::encode_value;
use crate::pool::{JobHandle, LocalOptions, Report};
use initializer::Initialization;
pub(crate) use job::InlineJob;
use job::{Work, call};

/// Runs jobs on the loop. Dropping it is like a shutdown with a timeout of zero.
pub(crate) struct InlineEngine(Rc<Inline>);

/// The part of the executor that its handles and its task share.
pub(crate) struct Inline {
    registry: &'static Registry,
    max_message: usize,
    initialization: Initialization,
    queue: RefCell<BTreeMap<u64, Rc<InlineJob>>>,
    running: RefCell<Option<Rc<InlineJob>>>,
    /// Room in the queue.
    room: Rc<Semaphore>,
    phase: Cell<Phase>,
    /// Notified when a job has ended, when the task has ended, and when the phase changes.
    changed: Notify,
    /// The task that runs jobs, while there is one.
    task: RefCell<Option<JoinHandle<()>>>,
    state: RefCell<Option<WorkerState>>,
    next_id: Cell<u64>,
    /// The number of jobs that have run to their end.
    finished: Cell<usize>,
}

impl InlineEngine {
    pub(crate) fn new(options: LocalOptions) -> Rc<Self> {
        Rc::new(Self(Rc::new(Inline {
            registry: options.registry,
            max_message: options.max_message,
            initialization: Initialization::new(options.initializer),
            queue: RefCell::default(),
            running: RefCell::default(),
            room: Rc::new(Semaphore::new(options.queue)),
            phase: Cell::new(Phase::Open),
            changed: Notify::new(),
            task: RefCell::default(),
            state: RefCell::default(),
            next_id: Cell::new(1),
            finished: Cell::new(0),
        })))
    }

    /// Calls a function on the loop. Waits while the queue is full.
    pub(crate) async fn submit<F, S>(
        &self,
        function: F,
        arguments: F::Arguments,
    ) -> Result<JobHandle<F::Output>, JobError>
    where
        F: JobFn<S>,
    {
        let inline = &self.0;
        let name = registered::<F>(inline.registry)?.name();
        inline.check_open(name)?;
        let arguments = inline.encode(name, arguments)?;
        let room = Rc::clone(&inline.room).acquire_owned().await;
        inline.check_open(name)?;
        let (slot, outcome) = Slot::new();
        let waits = Rc::clone(&slot) as Rc<dyn Waits>;
        let max_length = inline.max_message;
        let work = async move {
            slot.send(call(function, name, max_length, arguments).await);
        };
        let job = inline.start(name, waits, room.ok(), Box::pin(work));
        Ok(JobHandle::of_inline(outcome, Rc::clone(inline), job))
    }

    /// Calls a function for each of some items, one after the other. Does not wait.
    pub(crate) fn submit_items<F, S>(
        &self,
        function: F,
        items: Vec<F::Arguments>,
    ) -> Result<JobHandle<Items<F::Output>>, JobError>
    where
        F: JobFn<S>,
    {
        let inline = &self.0;
        let name = registered::<F>(inline.registry)?.name();
        inline.check_open(name)?;
        let items = items.into_iter().map(|item| inline.encode(name, item));
        let items: Vec<_> = items.collect();
        let (slot, outcome) = Slot::new();
        let waits = Rc::clone(&slot) as Rc<dyn Waits>;
        let max_length = inline.max_message;
        let work = async move {
            let mut results = Vec::with_capacity(items.len());
            for item in items {
                results.push(match item {
                    Ok(arguments) => call(function, name, max_length, arguments).await,
                    Err(error) => Err(error),
                });
            }
            slot.send(Ok(results));
        };
        let job = inline.start(name, waits, None, Box::pin(work));
        Ok(JobHandle::of_inline(outcome, Rc::clone(inline), job))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.phase.get() > Phase::Open
    }

    pub(crate) fn close(&self) {
        self.0.close();
    }

    pub(crate) async fn join(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.is_closed() && self.0.task.borrow().is_none() {
                return;
            }
            changed.await;
        }
    }

    pub(crate) async fn shutdown(&self, timeout: Duration) -> Report {
        let before = self.0.finished.get();
        self.close();
        match Instant::now().checked_add(timeout) {
            // An elapsed time is not an error here.
            Some(deadline) => drop(timeout_at(deadline, self.join()).await),
            None => self.join().await,
        }
        let done = self.0.finished.get() - before;
        let (dropped, killed) = self.0.stop();
        self.join().await;
        Report {
            done,
            dropped,
            killed,
            abandoned: 0,
        }
    }
}

impl Drop for InlineEngine {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Inline {
    fn encode<T: serde::Serialize>(
        &self,
        name: &'static str,
        arguments: T,
    ) -> Result<Encoded, JobError> {
        let mut body = Encoded::default();
        encode_value(arguments, self.max_message, &mut body)
            .map_err(|text| error(Some(name), ErrorKind::Codec(text)))?;
        Ok(body)
    }

    fn check_open(&self, name: &'static str) -> Result<(), JobError> {
        if let Some(reason) = self.initialization.failure() {
            return Err(error(Some(name), ErrorKind::Initializer(reason)));
        }
        match self.phase.get() {
            Phase::Open => Ok(()),
            Phase::Closing | Phase::ShutDown => Err(error(Some(name), ErrorKind::ShutDown)),
        }
    }

    /// Puts a job in the queue.
    fn start(
        self: &Rc<Self>,
        name: &'static str,
        waits: Rc<dyn Waits>,
        room: Option<OwnedSemaphorePermit>,
        work: Work,
    ) -> Rc<InlineJob> {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let job = InlineJob::new(id, name, waits, room, work);
        self.queue.borrow_mut().insert(id, Rc::clone(&job));
        if self.task.borrow().is_none() {
            let end = End(Rc::clone(self));
            let task = spawn(async move { end.0.run().await });
            *self.task.borrow_mut() = Some(task);
        }
        job
    }

    /// Runs the jobs of the queue.
    async fn run(&self) {
        if let Err(reason) = self.initialization.run(self).await {
            panics::caught(|| self.room.close());
            for job in mem::take(&mut *self.queue.borrow_mut()).into_values() {
                job.fail(ErrorKind::Initializer(reason.clone()));
                job.end();
            }
            return;
        }
        loop {
            let next = self.queue.borrow_mut().pop_first();
            let Some((_, job)) = next else {
                return;
            };
            let Some(mut work) = job.work.take().filter(|_| job.flags.start()) else {
                continue;
            };
            *self.running.borrow_mut() = Some(Rc::clone(&job));
            job.leave_room();
            poll_fn(|cx| self.enter(|| context::enter(job.context(), || work.as_mut().poll(cx))))
                .await;
            self.finished.set(self.finished.get() + 1);
            self.ended();
            drop(work);
            self.notify();
            // The job may have taken long, so other tasks run before the next one.
            yield_now().await;
        }
    }

    /// Calls `poll` with the state that the initializer has returned.
    fn enter<R>(&self, poll: impl FnOnce() -> R) -> R {
        let state = self.state.borrow().clone();
        worker_state::with(state, poll)
    }

    /// Ends the job that runs.
    fn ended(&self) {
        let job = self.running.borrow_mut().take();
        if let Some(job) = job {
            job.flags.finish();
            // Its outcome was sent, unless its task was dropped.
            job.fail(ErrorKind::ShutDown);
            job.end();
        }
    }

    /// Makes the handle of a job return an error now. A job that has not started never runs.
    pub(crate) fn cancel(&self, job: &InlineJob) {
        if !self.cancel_queued(job) && self.is_running(job) {
            job.flags.cancel();
            job.fail(ErrorKind::Cancelled);
        }
    }

    /// Cancels a job for `JobHandle::cancel`, which still waits for the outcome if the job has
    /// started.
    pub(crate) fn ask_cancel(&self, job: &InlineJob) {
        if !self.cancel_queued(job) && self.is_running(job) {
            job.flags.cancel();
        }
    }

    fn cancel_queued(&self, job: &InlineJob) -> bool {
        let queued = self.queue.borrow_mut().remove(&job.id);
        let is_queued = queued.is_some();
        if is_queued {
            job.flags.cancel();
            job.fail(ErrorKind::Cancelled);
            job.end();
        }
        is_queued
    }

    fn is_running(&self, job: &InlineJob) -> bool {
        let running = self.running.borrow();
        running.as_ref().is_some_and(|running| running.id == job.id)
    }

    fn close(&self) {
        if self.phase.get() == Phase::Open {
            self.phase.set(Phase::Closing);
            panics::caught(|| self.room.close());
            self.drop_state();
            self.notify();
        }
    }

    /// Wakes the tasks that wait for a change.
    fn notify(&self) {
        panics::caught(|| self.changed.notify_waiters());
    }

    /// Ends everything now. Returns how many jobs never run, and how many were dropped while
    /// they ran.
    fn stop(&self) -> (usize, usize) {
        self.close();
        self.phase.set(Phase::ShutDown);
        let queue = mem::take(&mut *self.queue.borrow_mut());
        let dropped = queue.len();
        for job in queue.into_values() {
            job.flags.cancel();
            job.fail(ErrorKind::ShutDown);
            job.end();
        }
        let running = self.running.borrow().clone();
        if let Some(job) = &running {
            job.flags.cancel();
            job.fail(ErrorKind::ShutDown);
        }
        let task = self.task.borrow().as_ref().map(JoinHandle::abort_handle);
        if let Some(task) = task {
            task.abort();
        }
        (dropped, usize::from(running.is_some()))
    }

    /// Drops the state of the worker if no more jobs will run.
    fn drop_state(&self) {
        if self.phase.get() > Phase::Open && self.task.borrow().is_none() {
            let state = self.state.take();
            panics::caught(|| drop(state));
        }
    }
}

/// Cleans up after the task that runs jobs, however the task ends.
struct End(Rc<Inline>);

impl Drop for End {
    fn drop(&mut self) {
        let inline = &self.0;
        inline.ended();
        let task = inline.task.take();
        drop(task);
        let is_left = !inline.queue.borrow().is_empty();
        if is_left {
            // The runtime has ended, or a panic has ended the task.
            inline.stop();
        }
        inline.drop_state();
        inline.notify();
    }
}
