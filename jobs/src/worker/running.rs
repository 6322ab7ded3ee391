//! [`Running`], what the tasks of a worker share.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use coreloop_pool::{__jobs, Pool};
use coreloop_runtime::__panics::caught;
use coreloop_runtime::time::{Instant, timeout};
use coreloop_sync::{CancellationToken, Notify};

use super::event::{Counters, WorkerEvent, count};
use super::held::Held;
use super::room::Room;
use super::store::Ended;
use super::{Hook, Options, Worker};
use crate::engine::{Engine, Function, Leased};
use crate::error::{Error, Kind};

/// What the tasks of a worker share.
pub(super) struct Running {
    pub(super) engine: Rc<dyn Engine>,
    pub(super) pool: Pool,
    pub(super) functions: Vec<Function>,
    pub(super) options: Options,
    hook: Option<Hook>,
    pub(super) stop: CancellationToken,
    pub(super) counters: Rc<Counters>,
    started: Instant,
    pub(super) room: RefCell<Room>,
    /// The jobs that the worker has, by their numbers: the names of leases are not unique among
    /// functions.
    held: RefCell<HashMap<u64, Rc<Held>>>,
    /// The number of the next job.
    next: Cell<u64>,
    /// Notified when the worker gets its first job.
    pub(super) begun: Notify,
    /// Notified when a job has left the worker.
    pub(super) freed: Notify,
    /// The jobs that have ended, and whose ends the engine does not have yet.
    pub(super) ends: RefCell<VecDeque<Ended>>,
    /// Notified when there are ends.
    pub(super) has_ends: Notify,
    /// Whether the engine has failed, and not succeeded since.
    is_failing: Cell<bool>,
    /// How many operations of the engine have succeeded.
    successes: Cell<u64>,
}

impl Running {
    pub(super) fn new(worker: Worker) -> Result<Rc<Self>, Error> {
        let functions = match worker.functions {
            Some(functions) => functions?,
            None => all_functions()?,
        };
        let processes = __jobs::workers(&worker.pool);
        Ok(Rc::new(Self {
            engine: Rc::clone(&worker.queue.engine),
            pool: worker.pool,
            functions,
            room: RefCell::new(Room::new(processes, worker.options.at_once)),
            options: worker.options,
            hook: worker.hook,
            stop: worker.control.shared.stop.clone(),
            counters: Rc::clone(&worker.control.shared.counters),
            started: Instant::now(),
            held: RefCell::default(),
            next: Cell::new(0),
            begun: Notify::new(),
            freed: Notify::new(),
            ends: RefCell::default(),
            has_ends: Notify::new(),
            is_failing: Cell::new(false),
            successes: Cell::new(0),
        }))
    }

    /// Returns the time since the worker was started.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Adds a job that was leased just now.
    pub(super) fn hold(&self, leased: Leased) -> Rc<Held> {
        let number = self.next.replace(self.next.get() + 1);
        let held = Rc::new(Held::new(number, leased, self.options.lease));
        let mut all = self.held.borrow_mut();
        all.insert(number, Rc::clone(&held));
        self.counters.held.set(all.len());
        drop(all);
        self.begun.notify_one();
        held
    }

    /// Removes a job, which the worker does not have any more.
    pub(super) fn release(&self, held: &Held) {
        let mut all = self.held.borrow_mut();
        if all.remove(&held.number).is_some() {
            self.counters.held.set(all.len());
            drop(all);
            self.room.borrow_mut().ended(self.now());
            self.freed.notify_waiters();
        }
    }

    pub(super) fn held_count(&self) -> usize {
        self.held.borrow().len()
    }

    pub(super) fn all_held(&self) -> Vec<Rc<Held>> {
        self.held.borrow().values().cloned().collect()
    }

    /// Another worker has the job: it is cancelled here.
    pub(super) fn taken(&self, held: &Held) {
        count(&self.counters.taken);
        self.report(&WorkerEvent::Taken {
            id: held.leased.id.clone(),
            name: held.leased.function.name.clone(),
        });
        self.release(held);
    }

    /// Waits for an operation of the engine, and records whether it has succeeded. The limit is a
    /// lease, or two seconds: an engine notices a silent connection after half of this time, and
    /// then tries another one.
    pub(super) async fn ask<T>(
        &self,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = self.options.lease.max(Duration::from_secs(2));
        let answer = timeout(limit, operation).await.unwrap_or_else(|_| {
            let text = format!("the engine has not answered for {limit:?}");
            Err(Error::new(Kind::TimedOut, text))
        });
        match &answer {
            Ok(_) => self.engine_succeeded(),
            Err(error) => self.engine_failed(error),
        }
        answer
    }

    pub(super) fn engine_succeeded(&self) {
        self.successes.set(self.successes.get() + 1);
        if self.is_failing.replace(false) {
            self.report(&WorkerEvent::EngineRecovered);
        }
    }

    pub(super) fn engine_failed(&self, error: &Error) {
        if !self.is_failing.replace(true) {
            self.report(&WorkerEvent::EngineFailed {
                error: error.clone(),
            });
        }
    }

    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.get()
    }

    pub(super) fn successes(&self) -> u64 {
        self.successes.get()
    }

    /// Reports an event to the hook of the user.
    pub(super) fn report(&self, event: &WorkerEvent) {
        match &self.hook {
            Some(hook) => {
                caught(|| hook(event));
            }
            None if event.is_serious() => {
                // `eprintln` would panic if no process reads the standard error any more.
                let _ = writeln!(io::stderr(), "{event}");
            }
            None => {}
        }
    }
}

fn all_functions() -> Result<Vec<Function>, Error> {
    let functions = __jobs::functions()?;
    if functions.is_empty() {
        return Err(Error::new(
            Kind::Engine,
            "a worker needs a function: this program registers none by `#[coreloop::job]`",
        ));
    }
    let function = |(name, version): (&str, u32)| Function {
        name: name.to_owned(),
        version,
    };
    Ok(functions.into_iter().map(function).collect())
}
