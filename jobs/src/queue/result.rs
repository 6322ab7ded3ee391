//! [`JobResult`], the wait for the result of a job.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use coreloop_pool::__jobs::decode;
use coreloop_runtime::time::timeout;
use serde::de::DeserializeOwned;

use super::{Queue, Receipt};
use crate::engine::{Engine, JobId, Outcome};
use crate::error::{Error, Kind};

/// A request for the result of a job. [`Queue::result`] returns it, and it waits for the result
/// when it is awaited.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing.
///
/// # Errors
///
/// Returns an error if
///
/// - the job is dead, because all its attempts have failed: [`Error::is_dead`];
/// - the time limit has passed: [`Error::is_timeout`];
/// - the engine knows no such job, or its result was removed: [`Error::is_unknown_job`]. An engine
///   that cannot tell waits;
/// - the result does not decode as an `R`: [`Error::is_codec`];
/// - the engine fails.
#[must_use = "it does not wait before it is awaited"]
pub struct JobResult<R> {
    engine: Rc<dyn Engine>,
    id: JobId,
    timeout: Option<Duration>,
    output: PhantomData<fn() -> R>,
}

impl<R> JobResult<R> {
    pub(super) fn new(queue: &Queue, receipt: &Receipt<R>) -> Self {
        Self {
            engine: Rc::clone(&queue.engine),
            id: receipt.id().clone(),
            timeout: None,
            output: PhantomData,
        }
    }

    /// Sets for how long it waits. By default it waits for ever.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<R: DeserializeOwned + 'static> IntoFuture for JobResult<R> {
    type Output = Result<R, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let id = &self.id;
            let outcome = self.engine.outcome(id);
            let outcome = match self.timeout {
                None => outcome.await?,
                Some(limit) => timeout(limit, outcome).await.map_err(|_| {
                    let text = format!("the job {id} has not ended after {limit:?}");
                    Error::new(Kind::TimedOut, text)
                })??,
            };
            match outcome {
                Outcome::Done(result) => decode(&result).map_err(|error| {
                    let text = format!("the result of the job {id} does not decode: {error}");
                    Error::new(Kind::Codec, text)
                }),
                Outcome::Dead(error) => {
                    let text = format!("the job {id} is dead: {error}");
                    Err(Error::new(Kind::Dead, text))
                }
            }
        })
    }
}

impl<R> fmt::Debug for JobResult<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobResult")
            .field("id", &self.id)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
