//! [`ThreadEngine`], the executor of threads.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use coreloop_runtime::time::{Instant, timeout_at};
use coreloop_sync::Notify;

use super::control::{self, Controls};
use super::latest::{Closing, Latest};
use super::room::{Place, Room};
use super::{Initializer, Threads};
use crate::error::{ErrorKind, JobError};
use crate::executor::slot::{Slot, Waits};
use crate::executor::{Items, error, registered};
use crate::job::call;
use crate::job::context::Sink;
use crate::job::function::JobFn;
use crate::job::registry::Registry;
use crate::panics;
use crate::pool::core::Phase;
use crate::pool::{JobHandle, LocalOptions, Report};

/// Threads that run jobs. Dropping it is like a shutdown with a timeout of zero.
pub(crate) struct ThreadEngine {
    threads: Threads,
    count: usize,
    registry: &'static Registry,
    room: Rc<Room>,
    phase: Cell<Phase>,
    /// Why no thread runs jobs.
    broken: Arc<OnceLock<String>>,
    /// Notified when the phase changes.
    changed: Notify,
    controls: Rc<Controls>,
}

impl ThreadEngine {
    pub(crate) fn new(options: LocalOptions, count: usize) -> Rc<Self> {
        let broken = Arc::<OnceLock<String>>::default();
        let registry = options.registry;
        let initializer = options.initializer.and_then(|first| {
            let function = registry.get(first.function)?;
            let broken = Arc::clone(&broken);
            let initialize = move || {
                let called = panics::catch(|| function.initialize(first.input()?));
                let result = called
                    .unwrap_or_else(|message| Err(format!("the initializer panicked: {message}")));
                if let Err(text) = &result {
                    // If another thread has failed before, its failure is kept.
                    let _ = broken.set(text.clone());
                }
                result
            };
            Some(Arc::new(initialize) as Initializer)
        });
        let name = options.name.unwrap_or_else(|| "job".to_owned());
        Rc::new(Self {
            threads: Threads::new(count, name, initializer),
            count,
            registry,
            room: Room::new(options.queue),
            phase: Cell::new(Phase::Open),
            broken,
            changed: Notify::new(),
            controls: Rc::default(),
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Calls a function on a thread. Waits while the queue is full.
    pub(crate) async fn submit<F, S>(
        &self,
        function: F,
        arguments: F::Arguments,
    ) -> Result<JobHandle<F::Output>, JobError>
    where
        F: JobFn<S> + Send,
        F::Arguments: Send,
        F::Output: Send,
    {
        let name = Some(registered::<F>(self.registry)?.name());
        let place = self.place(name).await?;
        let work = move || call::call(function, arguments);
        Ok(self.start(name, place, move || caught(name, work)))
    }

    /// Calls a closure on a thread. Waits while the queue is full.
    pub(crate) async fn spawn<W, R>(&self, work: W) -> Result<JobHandle<R>, JobError>
    where
        W: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let place = self.place(None).await?;
        Ok(self.start(None, place, move || caught(None, work)))
    }

    /// Calls a function for each of some items, one after the other on one thread. Does not
    /// wait.
    pub(crate) fn submit_items<F, S>(
        &self,
        function: F,
        items: Vec<F::Arguments>,
    ) -> Result<JobHandle<Items<F::Output>>, JobError>
    where
        F: JobFn<S> + Send,
        F::Arguments: Send,
        F::Output: Send,
    {
        let name = Some(registered::<F>(self.registry)?.name());
        self.check_open(name)?;
        let call_one = move |arguments| caught(name, || call::call(function, arguments));
        Ok(self.start(name, None, move || {
            Ok(items.into_iter().map(call_one).collect())
        }))
    }

    async fn place(&self, name: Option<&'static str>) -> Result<Option<Place>, JobError> {
        self.check_open(name)?;
        let place = self.room.enter().await;
        self.check_open(name)?;
        Ok(place)
    }

    fn start<R: Send + 'static>(
        &self,
        name: Option<&'static str>,
        place: Option<Place>,
        work: impl FnOnce() -> Result<R, JobError> + Send + 'static,
    ) -> JobHandle<R> {
        let latest = Arc::<Latest>::default();
        let closing = Closing(Arc::clone(&latest));
        let sink = Arc::clone(&latest) as Arc<dyn Sink + Send + Sync>;
        let job = self.threads.spawn(Some(sink), move || {
            drop(place);
            let _closing = closing;
            work()
        });
        let (slot, outcome) = Slot::new();
        let waits = slot as Rc<dyn Waits>;
        let flags = Arc::clone(&job.flags);
        let control = self.controls.add(name, waits, flags, latest);
        JobHandle::of_thread(outcome, job, control)
    }

    fn check_open(&self, name: Option<&'static str>) -> Result<(), JobError> {
        if let Some(reason) = self.broken.get() {
            return Err(error(name, ErrorKind::Initializer(reason.clone())));
        }
        match self.phase.get() {
            Phase::Open => Ok(()),
            Phase::Closing | Phase::ShutDown => Err(error(name, ErrorKind::ShutDown)),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase.get() > Phase::Open
    }

    pub(crate) fn close(&self) {
        if self.phase.get() == Phase::Open {
            self.phase.set(Phase::Closing);
            panics::caught(|| self.room.close());
            self.threads.close();
            panics::caught(|| self.changed.notify_waiters());
        }
    }

    /// Ends everything now. Returns how many jobs never run, and how many are left running.
    fn stop(&self) -> (usize, usize) {
        self.close();
        self.phase.set(Phase::ShutDown);
        let counts = self.threads.shut_down();
        self.controls.shut_down();
        counts
    }

    pub(crate) async fn join(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_closed() {
                break;
            }
            changed.await;
        }
        self.threads.ended().await;
    }

    pub(crate) async fn shutdown(&self, timeout: Duration) -> Report {
        let before = self.threads.finished();
        self.close();
        match Instant::now().checked_add(timeout) {
            // An elapsed time is not an error here.
            Some(deadline) => drop(timeout_at(deadline, self.threads.ended()).await),
            None => self.threads.ended().await,
        }
        let done = self.threads.finished() - before;
        let (dropped, abandoned) = self.stop();
        Report {
            done,
            dropped,
            killed: 0,
            abandoned,
        }
    }
}

impl Drop for ThreadEngine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Calls `work`, whose panic becomes an error.
fn caught<R>(name: Option<&'static str>, work: impl FnOnce() -> R) -> Result<R, JobError> {
    panics::catch(work).map_err(|message| control::error(name, ErrorKind::Panic(message), true))
}
