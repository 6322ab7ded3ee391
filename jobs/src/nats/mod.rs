//! The engine on NATS `JetStream`.
//!
//! The jobs of a queue are messages of a stream with work-queue retention, in a subject for each
//! function and version, so that a worker reads only jobs of functions that it has. Outcomes,
//! leases and dead letters are in key-value buckets.
//!
//! `async-nats` opens its own sockets with tokio, so that it runs on a thread with a runtime of
//! tokio (`thread.rs`); the loop sends operations to it and waits for their results.
//!
//! # Invariants
//!
//! 1. An acknowledgment of `JetStream` does not check the owner of a lease. So each delivery is
//!    stored in the bucket of leases before a worker gets the job: the place of the message in the
//!    stream, the number of the delivery, and how many deliveries do not count as attempts. Both
//!    numbers only grow (`leases.rs`). A lease is valid while this entry holds its delivery, and
//!    no longer when the entry is gone: it is removed after the outcome was stored.
//! 2. The outcome of a job is created, never overwritten: of two workers that finish the same
//!    job, one gets [`Fence::Gone`]. The message is acknowledged after that, so a worker that dies
//!    in between leaves a message whose next delivery finds the outcome, and is dropped. The end of
//!    a dead job is created first, then its letter is stored, and then the end becomes the outcome
//!    that producers see. If the worker has died, the next delivery continues (`dead.rs`).
//! 3. The server delivers a message without a limit on their number (`max_deliver`), because it
//!    would silently keep one that has reached the limit. Attempts are counted above the engine.
//!    The time of the leases of a function is the longest that a worker has asked for
//!    (`consumers.rs`), so that the jobs of a worker with a shorter lease come back later.
//! 4. Times are the server's: it counts the end of a lease and the delay of a refused message. How
//!    long a delayed job has waited is the difference of two times that the server has written:
//!    when it stored the message, and when it stored an entry just now. Clocks of workers do not
//!    count.
//! 5. A job that was leased while the caller gave up is kept for the next call of `lease` with the
//!    same functions and lease, unless a third of its lease has passed. Then, or when the worker
//!    leaves, it is given back as a job that was not started.
//! 6. The id of a job with a key is random, and stored under the key before the job is. A key ends
//!    a day after this. A push that finds the key takes the id, and sends the message again unless
//!    the job has an outcome. So a producer that dies after the key was stored loses no job that
//!    it pushes again, and a job that is stored already is not stored twice: the server knows the
//!    ids of the messages of a day, and after a restart the ids of the messages that it still has.

mod buckets;
mod consumers;
mod dead;
mod delayed;
mod finish;
mod keys;
mod lease;
mod leases;
mod names;
mod push;
mod ready;
mod server;
#[cfg(test)]
mod tests;
mod thread;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Counts, Dead, Engine, Failure, Fence, Function, JobId, Leased, NewJob};
use crate::engine::{Outcome, Pending};
use crate::error::Error;
use ready::Ready;
use server::Server;
use thread::Thread;

/// A connection to a server of NATS for one queue.
#[derive(Debug)]
pub(crate) struct Nats {
    thread: Thread,
    /// The jobs that were leased and not returned yet, for each kind of call. There are as many as
    /// kinds of workers.
    ready: RefCell<Vec<Arc<Ready>>>,
}

impl Nats {
    /// Connects to the server, and creates the stream and the buckets of the queue unless they
    /// exist.
    ///
    /// # Errors
    ///
    /// Returns an error if the name of the queue is empty, if the server cannot be reached, or
    /// if it does not have `JetStream`.
    pub(crate) async fn connect(url: &str, queue: &str) -> Result<Rc<Self>, Error> {
        let queue = names::queue(queue)?;
        let url = url.to_owned();
        let thread = Thread::start(move || Server::connect(url, queue)).await?;
        Ok(Rc::new(Self {
            thread,
            ready: RefCell::default(),
        }))
    }

    /// Returns where the jobs for calls with these arguments are kept.
    fn ready(&self, functions: &[Function], lease: Duration) -> Arc<Ready> {
        let mut all = self.ready.borrow_mut();
        if let Some(ready) = all.iter().find(|ready| ready.is_for(functions, lease)) {
            return Arc::clone(ready);
        }
        let ready = Arc::new(Ready::new(functions, lease));
        all.push(Arc::clone(&ready));
        ready
    }
}

impl Engine for Nats {
    fn push(&self, jobs: Vec<NewJob>) -> Pending<'_, Vec<JobId>> {
        Box::pin(
            self.thread
                .call(move |server| async move { push::push(&server, jobs).await }),
        )
    }

    fn lease<'a>(
        &'a self,
        functions: &'a [Function],
        max: usize,
        lease: Duration,
    ) -> Pending<'a, Vec<Leased>> {
        Box::pin(async move {
            let ready = self.ready(functions, lease);
            loop {
                let jobs = ready.take(max);
                if !jobs.is_empty() || max == 0 {
                    return Ok(jobs);
                }
                let shared = Arc::clone(&ready);
                let fetch = move |server| async move { lease::fetch(&server, &shared, max).await };
                self.thread.call(fetch).await?;
                if ready.is_empty() {
                    let wait = |server: Arc<Server>| async move {
                        lease::wait(&server).await;
                        Ok(())
                    };
                    self.thread.call_while_wanted(wait).await?;
                }
            }
        })
    }

    fn leave<'a>(&'a self, functions: &'a [Function], lease: Duration) -> Pending<'a, ()> {
        let ready = self.ready(functions, lease);
        // The thread begins operations in order: it has begun the fetch of a future that was
        // dropped.
        Box::pin(
            self.thread
                .call(move |server| async move { lease::leave(&server, &ready).await }),
        )
    }

    fn renew<'a>(&'a self, jobs: Vec<&'a Leased>, lease: Duration) -> Pending<'a, Vec<Fence>> {
        let jobs = jobs.into_iter().cloned().collect();
        Box::pin(
            self.thread
                .call(move |server| async move { finish::renew(&server, jobs, lease).await }),
        )
    }

    fn finish<'a>(&'a self, jobs: Vec<(&'a Leased, &'a [u8])>) -> Pending<'a, Vec<Fence>> {
        let jobs: Vec<_> = jobs
            .into_iter()
            .map(|(job, result)| (job.clone(), result.to_vec()))
            .collect();
        Box::pin(
            self.thread
                .call(move |server| async move { finish::finish(&server, jobs).await }),
        )
    }

    fn fail<'a>(&'a self, job: &'a Leased, failure: Failure) -> Pending<'a, Fence> {
        let job = job.clone();
        Box::pin(self.thread.call(move |server| async move {
            match failure {
                Failure::Retry { delay, .. } => finish::retry(&server, &job, delay).await,
                Failure::Unstarted => finish::unstarted(&server, &job).await,
                Failure::Dead { error } => dead::bury(&server, &job, error).await,
            }
        }))
    }

    fn outcome<'a>(&'a self, id: &'a JobId) -> Pending<'a, Outcome> {
        let id = id.clone();
        Box::pin(
            self.thread.call_while_wanted(move |server| async move {
                buckets::outcome(&server, &id).await
            }),
        )
    }

    fn dead(&self, max: usize) -> Pending<'_, Vec<Dead>> {
        Box::pin(
            self.thread
                .call(move |server| async move { dead::list(&server, max).await }),
        )
    }

    fn requeue<'a>(&'a self, id: &'a JobId) -> Pending<'a, bool> {
        let id = id.clone();
        Box::pin(
            self.thread
                .call(move |server| async move { dead::requeue(&server, &id).await }),
        )
    }

    fn discard<'a>(&'a self, id: &'a JobId) -> Pending<'a, bool> {
        let id = id.clone();
        Box::pin(
            self.thread
                .call(move |server| async move { dead::discard(&server, &id).await }),
        )
    }

    fn counts(&self) -> Pending<'_, Counts> {
        Box::pin(
            self.thread
                .call(|server| async move { server.counts().await }),
        )
    }
}
