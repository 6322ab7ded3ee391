//! [`Push`], a job that is not pushed yet, and its options.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use coreloop_pool::__jobs::{encode, function_of};
use serde::Serialize;

use super::{Queue, Receipt};
use crate::engine::{Engine, Function, JobId, NewJob};
use crate::error::{Error, Kind};

/// How many jobs are pushed in one message.
const JOBS: usize = 1_000;

/// How long the jobs of one message are, unless it has only one, or the engine accepts less.
const BYTES: usize = 1 << 20;

/// A job that is not pushed yet, and its options. [`Queue::push`] returns it, and it is pushed
/// when it is awaited.
///
/// # Cancel safety
///
/// Not cancel safe: if the future is dropped, the job may have been stored.
///
/// # Errors
///
/// Returns an error if the function is not registered in this program, if the arguments cannot be
/// encoded, or if the engine fails. After an error of the engine, the job may have been stored
/// nevertheless: with a [key](Push::key) it is harmless to push it again.
#[must_use = "a job is not pushed before it is awaited"]
pub struct Push<R> {
    engine: Rc<dyn Engine>,
    job: Result<NewJob, Error>,
    output: PhantomData<fn() -> R>,
}

impl<R> Push<R> {
    pub(super) fn new<F: 'static>(queue: &Queue, function: &F, arguments: impl Serialize) -> Self {
        Self {
            engine: Rc::clone(&queue.engine),
            job: new_job(function, arguments),
            output: PhantomData,
        }
    }

    /// Sets a key, with which the push may be repeated: if a job with this key was pushed within
    /// the last day, the push stores nothing, and returns the receipt of that job.
    ///
    /// The key may be any text, such as the number of an order and what is done for it. All
    /// functions of a queue share the keys.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        if let Ok(job) = &mut self.job {
            job.key = Some(key.into());
        }
        self
    }

    /// Sets for how long the job waits before workers may run it.
    pub fn delay(mut self, delay: Duration) -> Self {
        if let Ok(job) = &mut self.job {
            job.delay = delay;
        }
        self
    }
}

impl<R: 'static> IntoFuture for Push<R> {
    type Output = Result<Receipt<R>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut ids = self.engine.push(vec![self.job?]).await?;
            ids.pop().map(Receipt::of).ok_or_else(missing)
        })
    }
}

/// Pushes several jobs, in messages of a limited size.
pub(super) async fn push_all<R>(
    queue: &Queue,
    pushes: impl Iterator<Item = Push<R>>,
) -> Result<Vec<Receipt<R>>, Error> {
    let jobs = pushes.map(|push| push.job);
    // An error of one job is found before any is stored.
    let jobs = jobs.collect::<Result<Vec<NewJob>, Error>>()?;
    let mut receipts = Vec::with_capacity(jobs.len());
    let max_bytes = queue.engine.max_bytes().min(BYTES);
    let mut message = Vec::new();
    let mut bytes = 0;
    for job in jobs {
        if message.len() == JOBS || !message.is_empty() && bytes + job.bytes() > max_bytes {
            receipts.extend(push(queue, std::mem::take(&mut message)).await?);
            bytes = 0;
        }
        bytes += job.bytes();
        message.push(job);
    }
    if !message.is_empty() {
        receipts.extend(push(queue, message).await?);
    }
    Ok(receipts)
}

async fn push<R>(
    queue: &Queue,
    jobs: Vec<NewJob>,
) -> Result<impl Iterator<Item = Receipt<R>>, Error> {
    let count = jobs.len();
    let ids: Vec<JobId> = queue.engine.push(jobs).await?;
    if ids.len() != count {
        return Err(missing());
    }
    Ok(ids.into_iter().map(Receipt::of))
}

fn missing() -> Error {
    Error::new(Kind::Engine, "the engine has returned no id for a job")
}

fn new_job<F: 'static>(function: &F, arguments: impl Serialize) -> Result<NewJob, Error> {
    let (name, version) = function_of(function)?;
    let payload = encode(arguments).map_err(|error| {
        let text = format!("the arguments of the job `{name}` do not encode: {error}");
        Error::new(Kind::Codec, text)
    })?;
    Ok(NewJob {
        function: Function {
            name: name.to_owned(),
            version,
        },
        payload,
        key: None,
        delay: Duration::ZERO,
    })
}

impl<R> fmt::Debug for Push<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push")
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}
