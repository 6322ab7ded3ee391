//! [`Served`], the queues in memory as a service for a client in another process: a [`Request`]
//! is answered by an [`Answer`].
//!
//! The server keeps one [`Served`] for each client, for as long as the client may come back. When
//! it is dropped, the leases of the client end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use coreloop_sync::CancellationToken;
use serde::{Deserialize, Serialize};

use super::state::LeaseName;
use super::{Local, Memory};
use crate::engine::{Counts, Dead, Failure, Fence, Function, JobId, Leased, NewJob, Outcome};
use crate::error::Error;

/// An operation on a queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The name of the queue.
    pub(crate) queue: String,
    pub(crate) operation: Operation,
}

/// The operations of an engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Operation {
    /// Creates the queue, unless it exists.
    Open,
    Push(Vec<NewJob>),
    /// Waits for jobs. The answer has none if the client has sent `StopLease` with this number.
    Lease {
        number: u64,
        functions: Vec<Function>,
        max: u32,
        time: Duration,
    },
    StopLease {
        number: u64,
    },
    Renew {
        leases: Vec<LeaseOf>,
        time: Duration,
    },
    Finish(Vec<Finished>),
    Fail(LeaseOf, Failure),
    Outcome(JobId),
    Dead {
        max: u32,
    },
    Requeue(JobId),
    Counts,
}

/// The result of an operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Pushed(Vec<JobId>),
    Leased(Vec<Leased>),
    Fences(Vec<Fence>),
    Outcome(Outcome),
    Dead(Vec<Dead>),
    Requeued(bool),
    Counts(Counts),
}

/// A lease, without its job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LeaseOf {
    id: JobId,
    lease: String,
}

/// The result of a job under a lease.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub(crate) lease: LeaseOf,
    #[serde(with = "crate::bytes")]
    pub(crate) result: Vec<u8>,
}

impl From<&Leased> for LeaseOf {
    fn from(job: &Leased) -> Self {
        Self {
            id: job.id.clone(),
            lease: job.lease.clone(),
        }
    }
}

impl LeaseOf {
    fn name(&self) -> LeaseName<'_> {
        LeaseName {
            id: &self.id,
            lease: &self.lease,
        }
    }
}

/// The queues of a [`Memory`], for one client.
#[derive(Debug)]
pub(crate) struct Served {
    memory: Memory,
    engines: RefCell<HashMap<String, Rc<Local>>>,
    /// The leases that wait for jobs, by the numbers of the client.
    waiting: RefCell<HashMap<u64, CancellationToken>>,
}

impl Served {
    pub(crate) fn new(memory: Memory) -> Self {
        Self {
            memory,
            engines: RefCell::default(),
            waiting: RefCell::default(),
        }
    }

    /// Carries out an operation. Dropping the future cancels it.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue has no name, is full, or has no such job.
    pub(crate) async fn answer(&self, request: Request) -> Result<Answer, Error> {
        let engine = self.engine(&request.queue)?;
        Ok(match request.operation {
            Operation::Open => Answer::Done,
            Operation::Push(jobs) => Answer::Pushed(engine.store(jobs)?),
            Operation::Lease {
                number,
                functions,
                max,
                time,
            } => {
                let max = usize::try_from(max).unwrap_or(usize::MAX);
                let lease = engine.take(&functions, max, time);
                Answer::Leased(self.unless_stopped(number, lease).await)
            }
            Operation::StopLease { number } => {
                let waiting = self.waiting.borrow().get(&number).cloned();
                if let Some(waiting) = waiting {
                    waiting.cancel();
                }
                Answer::Done
            }
            Operation::Renew { leases, time } => {
                Answer::Fences(engine.renewed(leases.iter().map(LeaseOf::name), time))
            }
            Operation::Finish(mut jobs) => {
                let jobs = jobs.iter_mut();
                let jobs = jobs.map(|job| (job.lease.name(), std::mem::take(&mut job.result)));
                Answer::Fences(engine.finished(jobs))
            }
            Operation::Fail(lease, failure) => {
                Answer::Fences(vec![engine.failed(&lease.name(), failure)])
            }
            Operation::Outcome(id) => Answer::Outcome(engine.end(&id).await?),
            Operation::Dead { max } => {
                Answer::Dead(engine.letters(usize::try_from(max).unwrap_or(usize::MAX)))
            }
            Operation::Requeue(id) => Answer::Requeued(engine.requeued(&id)),
            Operation::Counts => Answer::Counts(engine.counted()),
        })
    }

    /// Waits for the jobs of a lease, until the client stops it.
    async fn unless_stopped(
        &self,
        number: u64,
        lease: impl Future<Output = Vec<Leased>>,
    ) -> Vec<Leased> {
        let stop = CancellationToken::new();
        self.waiting.borrow_mut().insert(number, stop.clone());
        let entry = Entry(self, number);
        let leased = stop.run_until_cancelled(lease).await;
        drop(entry);
        leased.unwrap_or_default()
    }

    fn engine(&self, queue: &str) -> Result<Rc<Local>, Error> {
        let mut engines = self.engines.borrow_mut();
        if let Some(engine) = engines.get(queue) {
            return Ok(Rc::clone(engine));
        }
        let engine = self.memory.open(queue)?;
        engines.insert(queue.to_owned(), Rc::clone(&engine));
        Ok(engine)
    }
}

/// The entry of a lease that waits, which is removed with this.
struct Entry<'a>(&'a Served, u64);

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.0.waiting.borrow_mut().remove(&self.1);
    }
}
