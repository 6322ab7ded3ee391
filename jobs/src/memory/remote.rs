//! [`Remote`], the engine of a client whose queue is in the memory of another process.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use coreloop_runtime::join;
use coreloop_runtime::task::spawn_hidden;
use coreloop_sync::Notify;

use super::served::{Answer, Finished, LeaseOf, NAME, Operation, Request};
use crate::engine::{
    Counts, Dead, Engine, FIELDS, Failure, Fence, Function, JobId, Leased, NewJob, Outcome, Pending,
};
use crate::error::{Error, Kind};
use crate::services::{Access, Options, decode, encode};

/// The way to the process with the queue.
pub(crate) trait Call: 'static {
    /// Sends a request, and waits for its answer. Dropping the future cancels the request.
    fn call(&self, request: Request) -> Pending<'static, Answer>;

    /// Returns how long a request may be, in bytes.
    fn max_request(&self) -> usize;
}

/// The way through a manager.
pub(crate) struct ByManager {
    access: Access,
    service: Rc<str>,
}

impl ByManager {
    pub(crate) fn new(access: Access) -> Self {
        Self {
            access,
            service: Rc::from(NAME),
        }
    }
}

impl Call for ByManager {
    fn call(&self, request: Request) -> Pending<'static, Answer> {
        let (access, service) = (self.access.clone(), Rc::clone(&self.service));
        Box::pin(async move {
            let options = Options {
                timeout: None,
                repeat: request.may_be_repeated(),
            };
            let answer = access.request(&service, encode(&request)?, options).await?;
            decode(&answer)
        })
    }

    fn max_request(&self) -> usize {
        self.access.max_request()
    }
}

/// The engine of a client.
pub(crate) struct Remote<C> {
    way: Rc<Way<C>>,
    last_lease: Cell<u64>,
}

struct Way<C> {
    call: C,
    queue: String,
    /// How many requests for jobs were dropped whose jobs are not returned yet.
    stopping: Cell<usize>,
    /// Notified when one of them has ended.
    stopped: Notify,
}

impl<C: Call> Remote<C> {
    /// Opens a queue.
    ///
    /// # Errors
    ///
    /// Returns an error if the process with the queue does not answer, or refuses its name.
    pub(crate) async fn open(call: C, queue: &str) -> Result<Rc<Self>, Error> {
        let queue = queue.to_owned();
        let way = Rc::new(Way {
            call,
            queue,
            stopping: Cell::new(0),
            stopped: Notify::new(),
        });
        way.ask(Operation::Open).await?;
        Ok(Rc::new(Self {
            way,
            // Queues of one client share the numbers of its calls.
            last_lease: Cell::new(fastrand::u64(..) >> 1),
        }))
    }

    /// Calls the process with the queue, and takes the part of the answer that is expected.
    fn ask<'a, T: 'a>(
        &'a self,
        operation: Operation,
        take: impl FnOnce(Answer) -> Option<T> + 'a,
    ) -> Pending<'a, T> {
        let answer = self.way.ask(operation);
        Box::pin(async move { take(answer.await?).ok_or_else(unexpected) })
    }
}

impl<C: Call> Way<C> {
    fn ask(&self, operation: Operation) -> Pending<'static, Answer> {
        self.call.call(Request {
            queue: self.queue.clone(),
            operation,
        })
    }
}

/// A request for jobs. If it is dropped before its answer has come, it is stopped, and jobs that
/// were leased nevertheless are returned.
struct LeaseRequest<C: Call> {
    way: Rc<Way<C>>,
    number: u64,
    /// `None` once it has come.
    answer: Option<Pending<'static, Answer>>,
}

impl<C: Call> LeaseRequest<C> {
    async fn jobs(mut self) -> Result<Vec<Leased>, Error> {
        let Some(answer) = &mut self.answer else {
            return Ok(Vec::new());
        };
        let answer = answer.await;
        self.answer = None;
        match answer? {
            Answer::Leased { jobs, .. } => Ok(jobs),
            _ => Err(unexpected()),
        }
    }
}

impl<C: Call> Drop for LeaseRequest<C> {
    fn drop(&mut self) {
        let Some(answer) = self.answer.take() else {
            return;
        };
        let stopping = Stopping::new(&self.way);
        let number = self.number;
        spawn_hidden(async move {
            let way = &stopping.0;
            let stop = way.ask(Operation::StopLease { number });
            // In this order: the request for jobs may not have been sent. If the connection is
            // lost, the leases end with their time.
            let (answer, _) = join!(answer, stop);
            if let Ok(Answer::Leased { jobs, .. }) = answer {
                for job in &jobs {
                    let _ = way
                        .ask(Operation::Fail(job.into(), Failure::Unstarted))
                        .await;
                }
            }
        });
    }
}

/// A request for jobs that was dropped, until its jobs are returned.
struct Stopping<C>(Rc<Way<C>>);

impl<C> Stopping<C> {
    fn new(way: &Rc<Way<C>>) -> Self {
        way.stopping.set(way.stopping.get() + 1);
        Self(Rc::clone(way))
    }
}

impl<C> Drop for Stopping<C> {
    fn drop(&mut self) {
        self.0.stopping.set(self.0.stopping.get() - 1);
        self.0.stopped.notify_waiters();
    }
}

fn unexpected() -> Error {
    Error::new(
        Kind::Engine,
        "the manager has answered something else than it was asked",
    )
}

fn at_most(max: usize) -> u32 {
    u32::try_from(max).unwrap_or(u32::MAX)
}

impl<C: Call> Engine for Remote<C> {
    fn push(&self, jobs: Vec<NewJob>) -> Pending<'_, Vec<JobId>> {
        let count = jobs.len();
        self.ask(Operation::Push(jobs), move |answer| match answer {
            Answer::Pushed(ids) if ids.len() == count => Some(ids),
            _ => None,
        })
    }

    fn lease<'a>(
        &'a self,
        functions: &'a [Function],
        max: usize,
        lease: Duration,
    ) -> Pending<'a, Vec<Leased>> {
        Box::pin(async move {
            let number = self.last_lease.get() + 1;
            self.last_lease.set(number);
            let request = LeaseRequest {
                answer: Some(self.way.ask(Operation::Lease {
                    number,
                    functions: functions.to_vec(),
                    max: at_most(max),
                    time: lease,
                })),
                way: Rc::clone(&self.way),
                number,
            };
            request.jobs().await
        })
    }

    fn leave<'a>(&'a self, _functions: &'a [Function], _lease: Duration) -> Pending<'a, ()> {
        Box::pin(async move {
            loop {
                let stopped = self.way.stopped.notified();
                if self.way.stopping.get() == 0 {
                    return Ok(());
                }
                stopped.await;
            }
        })
    }

    fn renew<'a>(&'a self, jobs: Vec<&'a Leased>, lease: Duration) -> Pending<'a, Vec<Fence>> {
        let count = jobs.len();
        let leases = jobs.into_iter().map(LeaseOf::from).collect();
        let renewal = Operation::Renew {
            leases,
            time: lease,
        };
        self.ask(renewal, move |answer| fences(answer, count))
    }

    fn finish<'a>(&'a self, jobs: Vec<(&'a Leased, &'a [u8])>) -> Pending<'a, Vec<Fence>> {
        let count = jobs.len();
        let finished = |(job, result): (&Leased, &[u8])| Finished {
            lease: job.into(),
            result: result.to_vec(),
        };
        let finished = jobs.into_iter().map(finished).collect();
        self.ask(Operation::Finish(finished), move |answer| {
            fences(answer, count)
        })
    }

    fn fail<'a>(&'a self, job: &'a Leased, failure: Failure) -> Pending<'a, Fence> {
        self.ask(Operation::Fail(job.into(), failure), |answer| {
            fences(answer, 1)?.pop()
        })
    }

    fn outcome<'a>(&'a self, id: &'a JobId) -> Pending<'a, Outcome> {
        self.ask(Operation::Outcome(id.clone()), |answer| match answer {
            Answer::Outcome(outcome) => Some(outcome),
            _ => None,
        })
    }

    fn dead(&self, max: usize) -> Pending<'_, Vec<Dead>> {
        let max = at_most(max);
        self.ask(Operation::Dead { max }, |answer| match answer {
            Answer::Dead(letters) => Some(letters),
            _ => None,
        })
    }

    fn requeue<'a>(&'a self, id: &'a JobId) -> Pending<'a, bool> {
        self.ask(Operation::Requeue(id.clone()), |answer| match answer {
            Answer::WasDead(was_dead) => Some(was_dead),
            _ => None,
        })
    }

    fn discard<'a>(&'a self, id: &'a JobId) -> Pending<'a, bool> {
        self.ask(Operation::Discard(id.clone()), |answer| match answer {
            Answer::WasDead(was_dead) => Some(was_dead),
            _ => None,
        })
    }

    fn counts(&self) -> Pending<'_, Counts> {
        self.ask(Operation::Counts, |answer| match answer {
            Answer::Counts(counts) => Some(counts),
            _ => None,
        })
    }

    fn max_bytes(&self) -> usize {
        let request = FIELDS + self.way.queue.len();
        self.way.call.max_request().saturating_sub(request)
    }
}

fn fences(answer: Answer, count: usize) -> Option<Vec<Fence>> {
    match answer {
        Answer::Fences(fences) if fences.len() == count => Some(fences),
        _ => None,
    }
}

impl<C> fmt::Debug for Remote<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("queue", &self.way.queue)
            .finish_non_exhaustive()
    }
}
