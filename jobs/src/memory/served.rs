//! [`Served`], the queues in memory as a service for a client in another process: a [`Request`]
//! is answered by an [`Answer`]. [`JobsService`] is the service of a manager.
//!
//! The server keeps one [`Served`] for each client, for as long as the client may come back. When
//! it is dropped, the leases of the client end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use coreloop_sync::CancellationToken;
use serde::{Deserialize, Serialize};

use super::state::{AtMost, LeaseName};
use super::{Local, Memory};
use crate::engine::{
    Counts, Dead, Failure, Fence, Function, JobId, Leased, NewJob, Outcome, Pending,
};
use crate::error::Error;
use crate::services::{self, Peer, Serve, SessionId};

/// An operation on a queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The name of the queue.
    pub(crate) queue: String,
    pub(crate) operation: Operation,
}

impl Request {
    /// Returns whether nothing is done twice if the request is made a second time. That only
    /// happens if the manager does not know the client any more.
    pub(crate) fn may_be_repeated(&self) -> bool {
        match &self.operation {
            // A job without a key would be stored twice.
            Operation::Push(jobs) => jobs.iter().all(|job| job.key.is_some()),
            _ => true,
        }
    }
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
    Discard(JobId),
    Counts,
}

/// The result of an operation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Pushed(Vec<JobId>),
    /// The jobs, and the name of their queue.
    Leased {
        queue: String,
        jobs: Vec<Leased>,
    },
    Fences(Vec<Fence>),
    Outcome(Outcome),
    Dead(Vec<Dead>),
    /// Whether the job was a dead letter.
    WasDead(bool),
    Counts(Counts),
}

/// The answer, or its future. Dropping the future cancels the operation.
pub(crate) enum Reply {
    Now(Result<Answer, Error>),
    Later(Pending<'static, Answer>),
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

/// How long an answer with leased jobs is, without the jobs and the name of the queue.
const LEASED_BYTES: usize = 64;

/// The name of the service.
pub(crate) const NAME: &str = "coreloop.jobs";

/// The queues of a [`Memory`] as a service of a manager.
pub(crate) struct JobsService {
    memory: Memory,
    clients: RefCell<HashMap<SessionId, Rc<Served>>>,
}

impl JobsService {
    pub(crate) fn new(memory: Memory) -> Self {
        Self {
            memory,
            clients: RefCell::default(),
        }
    }

    fn client(&self, session: SessionId) -> Rc<Served> {
        let mut clients = self.clients.borrow_mut();
        let new = || Rc::new(Served::new(self.memory.clone()));
        Rc::clone(clients.entry(session).or_insert_with(new))
    }
}

impl Serve for JobsService {
    fn request(self: Rc<Self>, peer: &Peer, body: &[u8]) -> services::Answer {
        let request = match services::decode::<Request>(body) {
            Ok(request) => request,
            Err(error) => return services::Answer::Now(Err(error)),
        };
        let encoded = |answer: Result<Answer, Error>| services::encode(&answer?);
        let client = self.client(peer.session());
        match client.answer(request, peer.max_answer()) {
            Reply::Now(answer) => services::Answer::Now(encoded(answer)),
            Reply::Later(answer) => {
                services::Answer::Later(Box::pin(async move { encoded(answer.await) }))
            }
        }
    }

    fn undelivered(&self, session: SessionId, answer: &[u8]) {
        if let Ok(answer) = services::decode(answer) {
            self.client(session).undelivered(answer);
        }
    }

    fn gone(&self, session: SessionId) {
        let client = self.clients.borrow_mut().remove(&session);
        // Its leases end, which wakes other clients.
        drop(client);
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

    /// Carries out an operation. The client reads no answers that are longer than `max_answer`.
    ///
    /// # Errors
    ///
    /// Returns an error if the queue has no name, is full, or has no such job.
    pub(crate) fn answer(self: &Rc<Self>, request: Request, max_answer: usize) -> Reply {
        let queue = request.queue;
        let engine = match self.engine(&queue) {
            Ok(engine) => engine,
            Err(error) => return Reply::Now(Err(error)),
        };
        let answer = match request.operation {
            Operation::Open => Ok(Answer::Done),
            Operation::Push(jobs) => engine.store(jobs).map(Answer::Pushed),
            Operation::Lease {
                number,
                functions,
                max,
                time,
            } => {
                let max = AtMost {
                    jobs: usize::try_from(max).unwrap_or(usize::MAX),
                    bytes: max_answer.saturating_sub(LEASED_BYTES + queue.len()),
                };
                let jobs = engine.try_take(&functions, max, time);
                if jobs.is_empty() && max.jobs > 0 {
                    return self.lease_later(engine, queue, number, (functions, max, time));
                }
                Ok(Answer::Leased { queue, jobs })
            }
            Operation::StopLease { number } => {
                let waiting = self.waiting.borrow().get(&number).cloned();
                if let Some(waiting) = waiting {
                    waiting.cancel();
                }
                Ok(Answer::Done)
            }
            Operation::Renew { leases, time } => {
                let leases = leases.iter().map(LeaseOf::name);
                Ok(Answer::Fences(engine.renewed(leases, time)))
            }
            Operation::Finish(mut jobs) => {
                let jobs = jobs.iter_mut();
                let jobs = jobs.map(|job| (job.lease.name(), std::mem::take(&mut job.result)));
                Ok(Answer::Fences(engine.finished(jobs)))
            }
            Operation::Fail(lease, failure) => {
                Ok(Answer::Fences(vec![engine.failed(&lease.name(), failure)]))
            }
            Operation::Outcome(id) => match engine.try_end(&id) {
                Ok(ended) => ended.map(Answer::Outcome),
                Err(_) => {
                    let end = async move { engine.end(&id).await.map(Answer::Outcome) };
                    return Reply::Later(Box::pin(end));
                }
            },
            Operation::Dead { max } => {
                let max = usize::try_from(max).unwrap_or(usize::MAX);
                Ok(Answer::Dead(engine.letters(max)))
            }
            Operation::Requeue(id) => Ok(Answer::WasDead(engine.requeued(&id))),
            Operation::Discard(id) => Ok(Answer::WasDead(engine.discarded(&id))),
            Operation::Counts => Ok(Answer::Counts(engine.counted())),
        };
        Reply::Now(answer)
    }

    /// Waits for the jobs of a lease, until the client stops it.
    fn lease_later(
        self: &Rc<Self>,
        engine: Rc<Local>,
        queue: String,
        number: u64,
        (functions, max, time): (Vec<Function>, AtMost, Duration),
    ) -> Reply {
        let stop = CancellationToken::new();
        self.waiting.borrow_mut().insert(number, stop.clone());
        let entry = Entry(Rc::clone(self), number);
        Reply::Later(Box::pin(async move {
            let lease = engine.take(&functions, max, time);
            let jobs = stop.run_until_cancelled(lease).await.unwrap_or_default();
            drop(entry);
            Ok(Answer::Leased { queue, jobs })
        }))
    }

    /// Takes an answer that was too long for the client. A job that was alone in it would be too
    /// long the next time, too.
    pub(crate) fn undelivered(&self, answer: Answer) {
        let Answer::Leased { queue, jobs } = answer else {
            return;
        };
        let Ok(engine) = self.engine(&queue) else {
            return;
        };
        for job in &jobs {
            let failure = if jobs.len() == 1 {
                let error = "its arguments are longer than a message to the worker may be";
                Failure::Dead {
                    error: error.to_owned(),
                }
            } else {
                // The client reads shorter answers than when it asked.
                Failure::Unstarted
            };
            engine.failed(&LeaseName::from(job), failure);
        }
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
struct Entry(Rc<Served>, u64);

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.waiting.borrow_mut().remove(&self.1);
    }
}
