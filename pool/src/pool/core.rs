//! [`Core`], what the handles of a pool and the tasks of its workers share.
//!
//! # Invariants
//!
//! 1. Nothing is borrowed while user code runs: the code that decodes a result, the
//!    destructor of an outcome, the wake of a handle. Any of these may use the pool. A panic
//!    of it is caught, because it would end the task of a worker.
//! 2. Each job is in the dispatcher until its outcome was passed to its completion, and
//!    leaves it once. So every handle resolves.

use std::any::{TypeId, type_name};
use std::cell::{Cell, RefCell};
use std::io;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use coreloop_runtime::time::Instant;
use coreloop_sync::{Notify, Semaphore, watch};

use super::builder::Options;
use super::chunk::{self, Broken};
use super::deadlines::Deadlines;
use super::job::{Completion, FrameContext, Job};
use super::link::{Link, Out};
use super::starts::Starts;
use crate::dispatch::{Aborted, Dispatcher, JobKey, JobOptions, Started, WorkerKey};
use crate::error::{ErrorKind, JobError};
use crate::frame::{Header, Kind, garbled};
use crate::job::registry::{Registered, Registry, not_registered};

/// What the handles of a pool and the tasks of its workers share.
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) registry: &'static Registry,
    pub(crate) dispatcher: RefCell<Dispatcher<Job, Rc<Link>>>,
    /// Room in the queue.
    pub(crate) room: Rc<Semaphore>,
    pub(crate) starts: Starts,
    phase: Cell<Phase>,
    /// Why no worker will become ready.
    broken: RefCell<Option<String>>,
    /// Notified when a worker has become ready or has ended, and when a job has left a pool
    /// that is closing.
    pub(crate) changed: Notify,
    pub(crate) counters: Counters,
    pub(crate) deadlines: Deadlines,
    next_id: Cell<u64>,
    pub(crate) is_watching_memory: Cell<bool>,
    /// How the worker of a single process has ended.
    pub(crate) status: RefCell<Option<ExitStatus>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Open,
    /// No more jobs are accepted; those that were accepted run.
    Closing,
    /// No job runs any more.
    ShutDown,
}

/// How many jobs had which outcome.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) done: Cell<u64>,
    pub(crate) failed: Cell<u64>,
    pub(crate) killed: Cell<u64>,
}

impl Core {
    pub(crate) fn new(options: Options, registry: &'static Registry) -> Rc<Self> {
        Rc::new(Self {
            dispatcher: RefCell::new(Dispatcher::new(options.limits())),
            room: Rc::new(Semaphore::new(options.queue)),
            starts: Starts::new(),
            phase: Cell::new(Phase::Open),
            broken: RefCell::new(None),
            changed: Notify::new(),
            counters: Counters::default(),
            deadlines: Deadlines::default(),
            next_id: Cell::new(1),
            is_watching_memory: Cell::new(false),
            status: RefCell::new(None),
            options,
            registry,
        })
    }

    /// Finds a function.
    pub(crate) fn function<F: 'static>(&self) -> Result<u16, JobError> {
        self.registry.find(TypeId::of::<F>()).ok_or_else(|| {
            let name = type_name::<F>();
            JobError::new(ErrorKind::NotRegistered(not_registered(name))).of_job(name)
        })
    }

    pub(crate) fn registered(&self, function: u16) -> &'static Registered {
        self.registry
            .get(function)
            .expect("the number comes from this registry")
    }

    /// Returns an error if no more jobs are accepted.
    pub(crate) fn check_open(&self, function: u16) -> Result<(), JobError> {
        let error = if let Some(reason) = &*self.broken.borrow() {
            ErrorKind::Initializer(reason.clone())
        } else if self.phase.get() > Phase::Open {
            ErrorKind::ShutDown
        } else {
            return Ok(());
        };
        Err(self.error(function, error))
    }

    pub(crate) fn error(&self, function: u16, kind: ErrorKind) -> JobError {
        JobError::new(kind).of_job(self.registered(function).name())
    }

    /// Wakes the tasks that wait for a change.
    fn notify(&self) {
        crate::panics::caught(|| self.changed.notify_waiters());
    }

    pub(crate) fn new_id(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    /// Puts a job in the queue.
    pub(crate) fn submit(self: &Rc<Self>, job: Job, options: JobOptions) -> JobKey {
        let (key, worker) = self.dispatcher.borrow_mut().submit(job, options);
        if let Some(link) = worker.and_then(|worker| self.link(worker)) {
            link.wake();
            self.wake_workers();
        }
        key
    }

    /// Wakes the workers that the dispatcher chooses for the jobs that wait.
    pub(crate) fn wake_workers(&self) {
        loop {
            let worker = self.dispatcher.borrow_mut().next_to_wake();
            let Some(worker) = worker else {
                return;
            };
            if let Some(link) = self.link(worker) {
                link.wake();
            }
        }
    }

    /// The link of a worker that has not ended.
    pub(crate) fn link(&self, worker: WorkerKey) -> Option<Rc<Link>> {
        self.dispatcher.borrow().words(worker).cloned()
    }

    pub(crate) fn links(&self) -> Vec<(WorkerKey, Rc<Link>)> {
        let dispatcher = self.dispatcher.borrow();
        let link = |key| Some((key, Rc::clone(dispatcher.words(key)?)));
        dispatcher.workers().filter_map(link).collect()
    }

    /// Sends nothing more to a worker, which ends when it has finished what it has started.
    pub(crate) fn retire(self: &Rc<Self>, worker: WorkerKey) {
        self.dispatcher.borrow_mut().retire(worker);
        self.end_if_drained(worker);
        // Its task starts a replacement: this may be called outside the runtime.
        if let Some(link) = self.link(worker) {
            link.wake();
        }
        self.wake_workers();
    }

    fn end_if_drained(&self, worker: WorkerKey) {
        let is_drained = self.dispatcher.borrow().is_drained(worker);
        if is_drained && let Some(link) = self.link(worker) {
            link.end();
        }
    }

    /// Appends the next jobs of a worker to its frames.
    pub(crate) fn refill(&self, worker: WorkerKey, out: &mut Out) {
        let mut dispatcher = self.dispatcher.borrow_mut();
        loop {
            let Some(send) = dispatcher.next(worker) else {
                // Jobs that wait behind a long one in another worker.
                if dispatcher.take_back(worker) > 0 {
                    continue;
                }
                break;
            };
            let job = send.payload;
            job.attempt = send.attempt;
            job.slot = send.ticket.slot();
            let header = Header {
                length: u32::try_from(job.body.len()).unwrap_or(u32::MAX),
                kind: job.kind,
                function: job.function,
                ticket: send.ticket,
                job: Header::join_job(job.id, send.attempt),
            };
            out.push(header, &job.body);
            out.room.extend(job.room.take());
        }
        drop(dispatcher);
        // Returning the permits wakes tasks.
        crate::panics::caught(|| out.room.clear());
    }

    pub(crate) fn in_flight(&self, worker: WorkerKey) -> usize {
        let state = self.dispatcher.borrow().state(worker);
        state.map_or(0, |state| state.in_flight)
    }

    pub(crate) fn has_waiting_jobs(&self) -> bool {
        self.dispatcher.borrow().has_waiting()
    }

    pub(crate) fn observe(
        &self,
        worker: WorkerKey,
        results: usize,
        elapsed: Duration,
        had_pauses: bool,
    ) {
        let mut dispatcher = self.dispatcher.borrow_mut();
        if had_pauses {
            dispatcher.observe_with_pauses(worker, results, elapsed);
        } else {
            dispatcher.observe(worker, results, elapsed);
        }
    }

    /// Handles a frame of a worker. Returns whether it is the result of a job.
    ///
    /// # Errors
    ///
    /// Returns an error if a worker of this program does not send such a frame.
    pub(crate) fn received(
        self: &Rc<Self>,
        worker: WorkerKey,
        link: &Rc<Link>,
        header: Header,
        body: &[u8],
    ) -> io::Result<bool> {
        match header.kind {
            Kind::Ready if link.ready_at.get().is_none() => self.ready(worker, link),
            Kind::InitializerFailed if link.ready_at.get().is_none() => {
                let text = String::from_utf8_lossy(body).into_owned();
                *link.failure.borrow_mut() = Some(text);
            }
            Kind::Progress => self.progress(worker, header, body)?,
            Kind::Done | Kind::ChunkDone | Kind::Panicked | Kind::Codec => {
                self.finished(worker, link, header, body)?;
                return Ok(true);
            }
            _ => return Err(garbled("an unexpected frame")),
        }
        Ok(false)
    }

    fn ready(&self, worker: WorkerKey, link: &Link) {
        link.ready_at.set(Some(Instant::now()));
        self.starts.ready();
        self.dispatcher.borrow_mut().ready(worker);
        self.wake_workers();
        self.notify();
    }

    fn progress(&self, worker: WorkerKey, header: Header, body: &[u8]) -> io::Result<()> {
        let mut dispatcher = self.dispatcher.borrow_mut();
        let (_, job) = dispatcher
            .by_ticket(worker, header.ticket)
            .ok_or_else(|| garbled("the progress of a job that it does not have"))?;
        let sender = job
            .progress
            .get_or_insert_with(|| watch::Sender::new(None))
            .clone();
        drop(dispatcher);
        // Wakes the tasks that wait for it.
        crate::panics::caught(|| drop(sender.send_replace(Some(Rc::from(body)))));
        Ok(())
    }

    fn finished(
        self: &Rc<Self>,
        worker: WorkerKey,
        link: &Link,
        header: Header,
        body: &[u8],
    ) -> io::Result<()> {
        let finished = self
            .dispatcher
            .borrow_mut()
            .finish(worker, header.ticket)
            .ok_or_else(|| garbled("the result of a job that it does not have"))?;
        link.done.set(link.done.get() + 1);
        let mut job = finished.payload;
        // A call has no result of a chunk, and a chunk no other one.
        let is_valid = (job.kind == Kind::Chunk) == (header.kind == Kind::ChunkDone);
        let name = self.registered(job.function).name();
        let context = FrameContext {
            name,
            worker: Some(link.pid),
            attempt: finished.attempt,
        };
        if let Some(completion) = job.completion.take() {
            let counter = match header.kind {
                Kind::Done | Kind::ChunkDone => &self.counters.done,
                _ => &self.counters.failed,
            };
            counter.set(counter.get() + 1);
            let broken = ErrorKind::BrokenWorker(None);
            crate::panics::caught(|| match is_valid {
                true => completion.received(header.kind, body, &context),
                false => completion.failed(context.error(broken)),
            });
        }
        drop(job);
        self.after_job(worker, link);
        if is_valid {
            Ok(())
        } else {
            Err(garbled("a result of the wrong kind"))
        }
    }

    /// Does what may follow from a job that has left the dispatcher.
    fn after_job(self: &Rc<Self>, worker: WorkerKey, link: &Link) {
        self.kill_if_unwanted(worker, link);
        self.check_memory_after_job(worker, link);
        self.end_if_drained(worker);
        if self.phase.get() > Phase::Open {
            self.notify();
            self.end_if_idle();
        }
    }

    /// Ends all workers of a pool that is closed and has no jobs.
    pub(crate) fn end_if_idle(&self) {
        if self.phase.get() == Phase::Open || !self.dispatcher.borrow().is_empty() {
            return;
        }
        self.dispatcher.borrow_mut().set_target(0);
        for (_, link) in self.links() {
            link.end();
        }
    }

    /// Ends the waiting for a job with the error `kind`. A job that has not started never
    /// runs. One that has started is asked to stop, and its worker is killed if the options
    /// say so.
    pub(crate) fn cancel(self: &Rc<Self>, key: JobKey, kind: ErrorKind) {
        let aborted = self.dispatcher.borrow_mut().abort(key);
        match aborted {
            Aborted::Removed { payload, attempts } => self.drop_removed(payload, attempts, kind),
            Aborted::Started { worker, .. } => {
                let taken = self.take_completion(key);
                let pid = self.link(worker).map(|link| link.pid);
                self.kill_for(worker);
                if let Some((function, attempt, completion)) = taken {
                    self.count_failed();
                    completion.failed(self.error(function, kind).started(pid, attempt));
                }
            }
            Aborted::Gone => return,
        }
        self.after_abort();
    }

    /// Asks for the end of a job whose outcome its handle still awaits.
    pub(crate) fn ask_cancel(self: &Rc<Self>, key: JobKey) {
        let aborted = self.dispatcher.borrow_mut().abort(key);
        match aborted {
            Aborted::Removed { payload, attempts } => {
                self.drop_removed(payload, attempts, ErrorKind::Cancelled);
            }
            Aborted::Started { worker, .. } => {
                if let Some(job) = self.dispatcher.borrow_mut().payload(key) {
                    job.is_cancelled = true;
                }
                self.kill_for(worker);
            }
            Aborted::Gone => return,
        }
        self.after_abort();
    }

    /// Kills the worker of an aborted job, if the pool does that.
    fn kill_for(self: &Rc<Self>, worker: WorkerKey) {
        if !self.options.kill_on_cancel {
            return;
        }
        // So that it starts no other job meanwhile. Its other jobs return to the queue.
        self.retire(worker);
        if let Some(link) = self.link(worker) {
            self.kill_if_unwanted(worker, &link);
        }
    }

    /// Kills a worker that runs only jobs for which it has to be killed. One that also has
    /// finished another job is killed when the result of that job was read.
    fn kill_if_unwanted(&self, worker: WorkerKey, link: &Link) {
        if self.options.kill_on_cancel && self.dispatcher.borrow().runs_only_aborted(worker) {
            self.kill(link);
        }
    }

    fn kill(&self, link: &Link) {
        if !link.is_killed.get() {
            self.counters.killed.set(self.counters.killed.get() + 1);
            link.kill();
        }
    }

    fn drop_removed(&self, job: Job, attempts: u32, kind: ErrorKind) {
        let mut error = self.error(job.function, kind);
        if attempts > 0 {
            error = error.started(None, attempts);
        }
        self.drop_job(job, error);
    }

    fn after_abort(&self) {
        self.wake_workers();
        if self.phase.get() > Phase::Open {
            self.notify();
            self.end_if_idle();
        }
    }

    /// Returns whether a worker has started the job, or has finished it.
    pub(crate) fn is_started(&self, key: JobKey) -> bool {
        let mut dispatcher = self.dispatcher.borrow_mut();
        dispatcher.payload(key).is_none() || dispatcher.is_started(key)
    }

    /// Returns the process id of the worker that has the job.
    pub(crate) fn worker_of(&self, key: JobKey) -> Option<u32> {
        let worker = self.dispatcher.borrow().location(key)?;
        self.link(worker).map(|link| link.pid)
    }

    pub(crate) fn watch_progress(&self, key: JobKey) -> watch::Receiver<Option<Rc<[u8]>>> {
        let mut dispatcher = self.dispatcher.borrow_mut();
        match dispatcher.payload(key) {
            Some(job) => {
                let sender = job.progress.get_or_insert_with(|| watch::Sender::new(None));
                sender.subscribe()
            }
            // A channel whose sender is gone.
            None => watch::channel(None).1,
        }
    }

    fn take_completion(&self, key: JobKey) -> Option<(u16, u32, Box<dyn Completion>)> {
        let mut dispatcher = self.dispatcher.borrow_mut();
        let job = dispatcher.payload(key)?;
        let completion = job.completion.take()?;
        Some((job.function, job.attempt, completion))
    }

    /// Passes an error to what waits for a job that has left the dispatcher.
    pub(crate) fn drop_job(&self, mut job: Job, error: JobError) {
        if let Some(completion) = job.completion.take() {
            self.count_failed();
            completion.failed(error);
        }
    }

    fn count_failed(&self) {
        self.counters.failed.set(self.counters.failed.get() + 1);
    }

    /// Handles the end of a worker whose socket was drained.
    pub(crate) fn ended(
        self: &Rc<Self>,
        worker: WorkerKey,
        link: &Rc<Link>,
        status: Option<ExitStatus>,
    ) {
        let served = link.ready_at.get().map(|at| at.elapsed());
        let started = self.dispatcher.borrow_mut().ended(worker);
        for job in started {
            self.judge(&job, link, status);
        }
        if !link.is_ending.get() && !link.is_killed.get() {
            match served {
                None => self.failed_start(&start_failure(link, status)),
                Some(served) => self.starts.died(served, &self.options.restarts),
            }
        }
        if self.options.is_single {
            *self.status.borrow_mut() = status;
            self.dispatcher.borrow_mut().set_target(0);
            self.fail_waiting(&|| ErrorKind::BrokenWorker(None), Some(link.pid), status);
        }
        self.start_missing();
        self.wake_workers();
        self.notify();
        self.end_if_idle();
    }

    /// Forgets a worker whose task was dropped with the runtime.
    pub(crate) fn ended_with_runtime(&self, worker: WorkerKey) {
        let started = self.dispatcher.borrow_mut().ended(worker);
        for job in started {
            let job = self.dispatcher.borrow_mut().remove(job.key);
            if let Some(job) = job {
                let error = self.error(job.function, ErrorKind::ShutDown);
                let attempt = job.attempt;
                self.drop_job(job, error.started(None, attempt));
            }
        }
        self.runtime_ended();
    }

    /// Ends a pool whose runtime has ended, so that it can start no worker.
    pub(crate) fn runtime_ended(&self) {
        self.phase.set(Phase::ShutDown);
        self.dispatcher.borrow_mut().set_target(0);
        self.room.close();
        self.fail_waiting(&|| ErrorKind::ShutDown, None, None);
        self.notify();
    }

    /// Decides what becomes of a job that had started on a worker which has ended.
    fn judge(self: &Rc<Self>, started: &Started, link: &Link, status: Option<ExitStatus>) {
        let key = started.key;
        let mut dispatcher = self.dispatcher.borrow_mut();
        let Some(job) = dispatcher.payload(key) else {
            return;
        };
        let kind = if job.is_cancelled {
            ErrorKind::Cancelled
        } else {
            ErrorKind::BrokenWorker(link.failure.borrow().clone())
        };
        let (function, slot, attempt) = (job.function, job.slot, job.attempt);
        let items = job.completion.as_ref().and_then(|waits| waits.items());
        let chunk = items.zip(job.completion.take_if(|_| items.is_some()));
        let chunk = chunk.map(|(items, completion)| Broken {
            started,
            job: job.without_completion(),
            completion,
            items,
            begun: chunk::begun(link, slot, items),
        });
        if chunk.is_none() && dispatcher.requeue(key) {
            return;
        }
        drop(dispatcher);
        let error = self
            .error(function, kind)
            .started(Some(link.pid), attempt)
            .ended_with(status);
        let rest = chunk.and_then(|chunk| chunk.divide(self, &error));
        let mut dispatcher = self.dispatcher.borrow_mut();
        if let Some((rest, is_retry)) = rest
            && let Some(job) = dispatcher.payload(key)
        {
            *job = rest;
            let is_queued = match is_retry {
                true => dispatcher.requeue(key),
                false => dispatcher.requeue_rest(key),
            };
            if is_queued {
                return;
            }
        }
        let removed = dispatcher.remove(key);
        drop(dispatcher);
        if let Some(job) = removed {
            self.drop_job(job, error);
        }
    }

    /// Fails all jobs that wait for a worker.
    pub(crate) fn fail_waiting(
        &self,
        kind: &dyn Fn() -> ErrorKind,
        worker: Option<u32>,
        status: Option<ExitStatus>,
    ) {
        let waiting = self.dispatcher.borrow_mut().drain_queue();
        for job in waiting {
            let error = self.error(job.function, kind());
            let error = error.on_worker(worker).ended_with(status);
            self.drop_job(job, error);
        }
    }

    /// Counts a worker that did not become ready.
    fn failed_start(&self, reason: &str) {
        if self.starts.failed(&self.options.restarts) {
            self.give_up(reason);
        }
    }

    /// Counts a process that could not be started.
    pub(crate) fn failed_launch(&self, reason: &str) {
        let is_hopeless = self.starts.failed(&self.options.restarts);
        // There may be room for fewer workers than there should be, and some of them are
        // about to be ready.
        if is_hopeless && self.dispatcher.borrow().counts().booting == 0 {
            self.give_up(reason);
        }
    }

    /// Fails the jobs that wait, because too many workers in a row did not become ready.
    fn give_up(&self, reason: &str) {
        if !self.starts.was_ever_ready() {
            *self.broken.borrow_mut() = Some(reason.to_owned());
            self.dispatcher.borrow_mut().set_target(0);
            self.room.close();
            // Others that start would be sent nothing.
            for (_, link) in self.links() {
                link.end();
            }
        }
        let has_ready = self.dispatcher.borrow().counts().ready > 0;
        if !has_ready {
            self.fail_waiting(&|| ErrorKind::Initializer(reason.to_owned()), None, None);
        }
        self.notify();
        self.end_if_idle();
    }

    pub(crate) fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Accepts no more jobs.
    pub(crate) fn close(&self) {
        if self.phase.get() == Phase::Open {
            self.phase.set(Phase::Closing);
            self.room.close();
            // Workers are only started for the jobs that are there.
            self.dispatcher.borrow_mut().close();
            self.notify();
        }
        self.end_if_idle();
    }

    /// Ends everything now: fails the jobs that wait, kills the workers of those that run, and
    /// asks the other workers to end. Returns how many jobs were dropped and killed.
    pub(crate) fn stop(&self) -> (usize, usize) {
        self.close();
        self.phase.set(Phase::ShutDown);
        self.dispatcher.borrow_mut().set_target(0);
        let keys = self.dispatcher.borrow().keys();
        let (mut dropped, mut killed) = (0, 0);
        for key in keys {
            let aborted = self.dispatcher.borrow_mut().abort(key);
            match aborted {
                Aborted::Removed { payload, attempts } => {
                    dropped += 1;
                    self.drop_removed(payload, attempts, ErrorKind::ShutDown);
                }
                Aborted::Started { worker, .. } => {
                    killed += 1;
                    let taken = self.take_completion(key);
                    let link = self.link(worker);
                    if let Some(link) = &link {
                        self.kill(link);
                    }
                    if let Some((function, attempt, completion)) = taken {
                        self.count_failed();
                        let error = self.error(function, ErrorKind::ShutDown);
                        let pid = link.map(|link| link.pid);
                        completion.failed(error.started(pid, attempt));
                    }
                }
                Aborted::Gone => {}
            }
        }
        for (_, link) in self.links() {
            link.end();
        }
        (dropped, killed)
    }
}

/// Says why a worker did not become ready.
fn start_failure(link: &Link, status: Option<ExitStatus>) -> String {
    match (&*link.failure.borrow(), status) {
        (Some(text), _) => text.clone(),
        (None, Some(status)) => format!("worker {} ended before it was ready: {status}", link.pid),
        (None, None) => format!("worker {} ended before it was ready", link.pid),
    }
}
