//! [`Core`], the part of a pool that its handles and the tasks of its workers share.
//!
//! # Invariants
//!
//! 1. Nothing is borrowed while user code runs: the code that decodes a result, the
//!    destructor of an outcome, the wake of a handle. Any of these may use the pool. Their
//!    panics are caught, because a panic would end the task of a worker.
//! 2. Each job is in the dispatcher until its outcome was passed to its completion, and
//!    leaves it once. So every handle resolves.

use std::any::{TypeId, type_name};
use std::cell::{Cell, RefCell};
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use coreloop_sync::{Notify, Semaphore, watch};

use super::deadlines::Deadlines;
use super::job::Job;
use super::link::Link;
use super::options::Options;
use super::out::Out;
use super::starts::Starts;
use crate::dispatch::{Dispatcher, JobKey, JobOptions, WorkerKey};
use crate::error::{ErrorKind, JobError};
use crate::frame::Header;
use crate::job::encoded::Kept;
use crate::job::registry::{Registered, Registry, not_registered};

/// The part of a pool that its handles and the tasks of its workers share.
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) registry: &'static Registry,
    pub(crate) dispatcher: RefCell<Dispatcher<Job, Rc<Link>>>,
    /// Room in the queue.
    pub(crate) room: Rc<Semaphore>,
    pub(crate) starts: Starts,
    pub(super) phase: Cell<Phase>,
    /// Why the pool has failed: no worker will become ready.
    pub(super) broken: RefCell<Option<String>>,
    /// Notified when the pool was closed or has failed, when a worker has become ready or has
    /// ended, and when a job has left a pool that is closing.
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

    /// Returns the number of a function.
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
    pub(super) fn notify(&self) {
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

    /// Sends no more jobs to a worker, which ends when it has finished those that it has started.
    pub(crate) fn retire(self: &Rc<Self>, worker: WorkerKey) {
        self.dispatcher.borrow_mut().retire(worker);
        self.end_if_drained(worker);
        // Its task starts a replacement: this may be called outside the runtime.
        if let Some(link) = self.link(worker) {
            link.wake();
        }
        self.wake_workers();
    }

    pub(super) fn end_if_drained(&self, worker: WorkerKey) {
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
                // Other workers may have jobs that wait behind a long one.
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
                descriptors: job.attached.count(),
                function: job.function,
                ticket: send.ticket,
                job: Header::join_job(job.id, send.attempt),
            };
            out.push(header, &job.body, &job.attached);
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

    pub(crate) fn watch_progress(&self, key: JobKey) -> watch::Receiver<Option<Rc<Kept>>> {
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

    /// Fails a job that has left the dispatcher, unless its outcome is known.
    pub(crate) fn drop_job(&self, mut job: Job, error: JobError) {
        if let Some(completion) = job.completion.take() {
            self.count_failed();
            completion.failed(error);
        }
        discard(job);
    }

    pub(super) fn count_failed(&self) {
        self.counters.failed.set(self.counters.failed.get() + 1);
    }

    pub(crate) fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }
}

/// Drops a job. That wakes the tasks that wait for its progress.
pub(super) fn discard(job: Job) {
    crate::panics::caught(|| drop(job));
}
