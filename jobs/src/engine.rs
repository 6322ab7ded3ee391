//! [`Engine`], what a job queue demands of the system that keeps its jobs. Everything else
//! (retries, back-off, dead letters, the pool that runs the jobs) is above it and shared.
//!
//! All engines are *at least once*: a job that was leased and not finished is leased again when
//! its lease has ended. The *result* is stored once: an engine accepts the result of a job only
//! under the lease that is valid at that time (fencing).

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The future of an engine's operation. It stays on the loop.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + 'a>>;

/// The id of a job in its queue.
///
/// It is a text of the engine, which no other job of the queue has. It can be stored, and made from
/// the text again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub(crate) String);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JobId {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for JobId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// The function of a job: its registered name and its version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) version: u32,
}

/// A job that a producer hands to the engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NewJob {
    pub(crate) function: Function,
    /// The arguments, as named `MessagePack`.
    #[serde(with = "crate::bytes")]
    pub(crate) payload: Vec<u8>,
    /// Within a day, a second job with this key is not stored: the push returns the id of the
    /// first one.
    pub(crate) key: Option<String>,
    /// The time after which the job may be leased, counted by the engine's clock.
    pub(crate) delay: Duration,
}

/// How long a job or a result is in a message beside its texts and its values: the names and the
/// lengths of its fields.
pub(crate) const FIELDS: usize = 128;

impl NewJob {
    /// Returns how long the job is in a message at most.
    pub(crate) fn bytes(&self) -> usize {
        let key = self.key.as_ref().map_or(0, String::len);
        FIELDS + self.function.name.len() + self.payload.len() + key
    }
}

/// A job under a lease.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Leased {
    pub(crate) id: JobId,
    pub(crate) function: Function,
    #[serde(with = "crate::bytes")]
    pub(crate) payload: Vec<u8>,
    /// How often the job has been leased, from 1. A lease that ended with [`Failure::Unstarted`]
    /// does not count, if the engine can tell.
    pub(crate) attempt: u32,
    /// The engine's name of this lease, by which it recognises the valid one.
    pub(crate) lease: String,
}

/// The answer to an operation on a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fence {
    /// The lease is valid, and the operation was carried out.
    Held,
    /// Another worker has the job now, or this one has returned it. Nothing was changed.
    ///
    /// A lease whose time has passed is still [`Held`](Self::Held) until the job is leased again.
    Taken,
    /// The job is finished, dead or deleted. Nothing was changed.
    Gone,
}

/// What happens to a job whose attempt failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// The job may be leased again after this time.
    Retry { delay: Duration, error: String },
    /// The job was not started. It may be leased again at once, before the jobs that came after
    /// it, and the attempt does not count, if the engine can tell.
    Unstarted,
    /// The job goes to the dead letters, and its result is this error.
    Dead { error: String },
}

/// The end of a job, which its producer reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// The result, as named `MessagePack`.
    Done(#[serde(with = "crate::bytes")] Vec<u8>),
    /// The text of the last error.
    Dead(String),
}

/// A job among the dead letters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Dead {
    pub(crate) id: JobId,
    pub(crate) function: Function,
    pub(crate) attempts: u32,
    pub(crate) error: String,
}

/// How many jobs of a queue are in which state.
///
/// Engines of several machines count their states one after the other, so that a job may be
/// counted twice, or not at all, while workers are busy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// Jobs that wait for a worker.
    pub waiting: u64,
    /// Jobs that wait for their time: after a delay, or before a further attempt.
    pub delayed: u64,
    /// Jobs that a worker has leased.
    pub leased: u64,
    /// Dead letters.
    pub dead: u64,
}

/// A system that keeps jobs. Every operation is cancel safe unless its line says otherwise.
pub(crate) trait Engine {
    /// Stores jobs, each with its id in the answer, in order. A retry after a lost answer stores a
    /// job without a key twice.
    fn push(&self, jobs: Vec<NewJob>) -> Pending<'_, Vec<JobId>>;

    /// Leases between 1 and `max` jobs of these functions for `lease`, and waits until there is
    /// one. Jobs that were leased while the future was dropped come back when their leases
    /// end, or at the next call.
    fn lease<'a>(
        &'a self,
        functions: &'a [Function],
        max: usize,
        lease: Duration,
    ) -> Pending<'a, Vec<Leased>>;

    /// Gives back the jobs that were leased for futures of [`lease`](Self::lease) with these
    /// arguments that were dropped, as [`Failure::Unstarted`] does. A worker calls it when it leases
    /// no more jobs, so that they do not wait for the end of their leases and do not count as
    /// attempted.
    fn leave<'a>(&'a self, functions: &'a [Function], lease: Duration) -> Pending<'a, ()> {
        let _ = (functions, lease);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Renews leases for `lease` from now. The answers are in order.
    fn renew<'a>(&'a self, jobs: Vec<&'a Leased>, lease: Duration) -> Pending<'a, Vec<Fence>>;

    /// Stores the result of a job and removes the job, if the lease is valid.
    fn finish<'a>(&'a self, jobs: Vec<(&'a Leased, &'a [u8])>) -> Pending<'a, Vec<Fence>>;

    /// Ends an attempt without a result, if the lease is valid.
    fn fail<'a>(&'a self, job: &'a Leased, failure: Failure) -> Pending<'a, Fence>;

    /// Waits for the outcome of a job. Outcomes are kept for a day. An engine that can tell that
    /// there is no such job returns an error of the kind `Unknown`.
    fn outcome<'a>(&'a self, id: &'a JobId) -> Pending<'a, Outcome>;

    /// Returns the oldest dead letters, at most `max`.
    fn dead(&self, max: usize) -> Pending<'_, Vec<Dead>>;

    /// Puts a dead letter back in the queue, with no attempts counted. `false` if it is no dead
    /// letter.
    fn requeue<'a>(&'a self, id: &'a JobId) -> Pending<'a, bool>;

    /// Removes a dead letter. Its outcome stays. `false` if it is no dead letter.
    fn discard<'a>(&'a self, id: &'a JobId) -> Pending<'a, bool>;

    /// Counts the jobs.
    fn counts(&self) -> Pending<'_, Counts>;

    /// Returns how long the jobs or the results of one call may be together, in bytes. A single one
    /// may be longer for the engine to refuse it.
    fn max_bytes(&self) -> usize {
        usize::MAX
    }

    /// Returns what the user should know of the configuration of the system, such as that it
    /// loses jobs when it is restarted.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
