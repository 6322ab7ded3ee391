//! [`JobRequest`], a call that is not submitted yet, and its options.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use coreloop_runtime::time::Instant;
use coreloop_sync::OwnedSemaphorePermit;
use serde::de::DeserializeOwned;

use super::attached::Attached;
use super::core::Core;
use super::handle::{CancelOnDrop, JobHandle};
use super::job::{Completion, Job, Single};
use crate::dispatch::{JobKey, JobOptions};
use crate::error::{ErrorKind, JobError};
use crate::frame::Kind;
use crate::job::encoded::Encoded;
use crate::job::function::{IntoArguments, JobFn};
use crate::panics;

/// The default of how often an idempotent job is started at most, if its workers die.
pub(crate) const ATTEMPTS: u32 = 3;

/// The capacity for the encoded arguments of a job, before they are encoded.
const SMALL: usize = 64;

/// A call of a function with options, which [`Pool::job`](super::Pool::job) makes.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
///
/// use coreloop::pool::Pool;
///
/// #[coreloop::job]
/// fn spin() {
///     loop {
///         std::hint::spin_loop();
///     }
/// }
///
/// #[coreloop::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::builder().kill_on_cancel(true).build()?;
///     let second = Duration::from_secs(1);
///     let error = pool.job(spin, ()).timeout(second).run().await.unwrap_err();
///     assert!(error.is_timeout());
///     Ok(())
/// }
/// ```
#[must_use = "a request does nothing until it is submitted or run"]
pub struct JobRequest<R> {
    core: Rc<Core>,
    /// The number of the function and its encoded arguments.
    call: Result<(u16, Encoded), JobError>,
    timeout: Option<Duration>,
    options: JobOptions,
    output: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned + 'static> JobRequest<R> {
    pub(crate) fn new<F, S, A>(core: &Rc<Core>, _function: F, arguments: A) -> Self
    where
        F: JobFn<S, Output = R>,
        A: IntoArguments<F::Arguments>,
    {
        let call = core.function::<F>().and_then(|function| {
            // Most arguments fit, so that the vector does not grow step by step.
            let mut body = Encoded::with_capacity(SMALL);
            encode_arguments(core, function, arguments.into_arguments(), &mut body)?;
            Ok((function, body))
        });
        let is_idempotent = match &call {
            Ok((function, _)) => core.registered(*function).is_idempotent(),
            Err(_) => false,
        };
        Self {
            core: Rc::clone(core),
            call,
            timeout: None,
            options: JobOptions {
                priority: 0,
                max_attempts: ATTEMPTS,
                is_idempotent,
            },
            output: PhantomData,
        }
    }

    /// Sets a time limit, which begins when the pool accepts the job, and includes the time
    /// for which the job waits for a worker.
    ///
    /// When it has passed, the handle returns an error for which
    /// [`is_timeout`](JobError::is_timeout) returns `true`. A job that has not started never
    /// runs. One that has started is asked to stop, and its worker is killed if the pool has
    /// [`kill_on_cancel`](super::Builder::kill_on_cancel).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how often the job is started at most, if it is idempotent and its workers die: at
    /// least once. The default is 3.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.max_attempts = attempts.max(1);
        self
    }

    /// Sets whether the job may run again if its worker dies while it runs. The default is
    /// `false`, or `true` for a function with `#[coreloop::job(idempotent)]`.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.options.is_idempotent = idempotent;
        self
    }

    /// Sets the priority. Of the jobs that wait, those with the highest priority run first,
    /// and jobs of the same priority in the order in which they were submitted. The default
    /// is 0.
    pub fn priority(mut self, priority: i32) -> Self {
        self.options.priority = priority;
        self
    }

    /// Submits the job. Waits only while the queue of the pool is full.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped before it has completed submits nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the function is not registered, if the arguments cannot be encoded
    /// or are too long, or if the pool is closed or has failed.
    pub async fn submit(self) -> Result<JobHandle<R>, JobError> {
        let function = self.check()?;
        let room = Rc::clone(&self.core.room);
        let room = room.acquire_owned().await;
        self.core.check_open(function)?;
        self.accept(room.ok())
    }

    /// Submits the job, unless the queue of the pool is full.
    ///
    /// # Errors
    ///
    /// Returns the request if the queue is full, or an error under the conditions of
    /// [`submit`](JobRequest::submit).
    pub fn try_submit(self) -> Result<JobHandle<R>, TrySubmitError<R>> {
        let function = self.check().map_err(TrySubmitError::Failed)?;
        let Ok(room) = Rc::clone(&self.core.room).try_acquire_owned() else {
            self.core
                .check_open(function)
                .map_err(TrySubmitError::Failed)?;
            return Err(TrySubmitError::Full(self));
        };
        self.accept(Some(room)).map_err(TrySubmitError::Failed)
    }

    /// Runs the job and returns its result. Dropping the future cancels the job.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future cancels the job, as [`JobHandle::abort`] does.
    ///
    /// # Errors
    ///
    /// Returns an error if the job has no result, or under the conditions of
    /// [`submit`](JobRequest::submit).
    pub async fn run(self) -> Result<R, JobError> {
        CancelOnDrop(self.submit().await?).outcome().await
    }

    fn check(&self) -> Result<u16, JobError> {
        let (function, _) = self.call.as_ref().map_err(Clone::clone)?;
        self.core.check_open(*function)?;
        Ok(*function)
    }

    fn accept(self, room: Option<OwnedSemaphorePermit>) -> Result<JobHandle<R>, JobError> {
        let (function, body) = self.call?;
        let core = self.core;
        let (completion, receiver) = Single::new();
        let call = Call {
            function,
            kind: Kind::Job,
            body,
            options: self.options,
            timeout: self.timeout,
        };
        let key = call.accept(&core, Box::new(completion), room);
        Ok(JobHandle::of_pool(core, key, receiver))
    }
}

/// A call that the pool accepts.
pub(super) struct Call {
    pub(super) function: u16,
    pub(super) kind: Kind,
    pub(super) body: Encoded,
    pub(super) options: JobOptions,
    pub(super) timeout: Option<Duration>,
}

impl Call {
    /// Makes the call a job of the pool.
    pub(super) fn accept(
        self,
        core: &Rc<Core>,
        completion: Box<dyn Completion>,
        room: Option<OwnedSemaphorePermit>,
    ) -> JobKey {
        let job = Job {
            id: core.new_id(),
            function: self.function,
            options: self.options,
            attempt: 0,
            has_run: false,
            slot: 0,
            kind: self.kind,
            body: self.body.bytes.into(),
            attached: Attached::new(self.body.descriptors),
            completion: Some(completion),
            is_cancelled: false,
            progress: None,
            room,
            timer: None,
        };
        let key = core.submit(job, self.options);
        let deadline = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        if let Some(deadline) = deadline
            && let Some(job) = core.dispatcher.borrow_mut().payload(key)
        {
            job.timer = Some(core.deadlines.add(deadline, key));
        }
        key
    }
}

/// Encodes the arguments of a job.
pub(crate) fn encode_arguments<T: serde::Serialize>(
    core: &Core,
    function: u16,
    arguments: T,
    body: &mut Encoded,
) -> Result<(), JobError> {
    encode_value(arguments, core.options.max_message, body)
        .map_err(|text| core.error(function, ErrorKind::Codec(text)))
}

/// Appends the encoded arguments of a job to `body`, which may become `max` bytes longer. An
/// `Err` is the text of the error. So is a panic of their encoding or of their destructor.
pub(crate) fn encode_value<T: serde::Serialize>(
    arguments: T,
    max: usize,
    body: &mut Encoded,
) -> Result<(), String> {
    let start = body.mark();
    let encoded = panics::catch(|| body.push(&arguments));
    let dropped = panics::catch(|| drop(arguments));
    let failure = match (encoded, dropped) {
        (Ok(Ok(())), Ok(())) => None,
        (Ok(Err(error)), _) => Some(format!("the arguments do not encode: {error}")),
        (Err(_), _) => Some("encoding the arguments panicked".to_owned()),
        (_, Err(_)) => Some("dropping the encoded arguments panicked".to_owned()),
    };
    if let Some(text) = failure {
        body.truncate(start);
        return Err(text);
    }
    let length = body.bytes.len() - start.bytes;
    if length > max {
        body.truncate(start);
        return Err(format!(
            "the arguments have {length} bytes, and the pool allows {max}"
        ));
    }
    Ok(())
}

impl<R> fmt::Debug for JobRequest<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRequest")
            .field("timeout", &self.timeout)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Why [`try_submit`](JobRequest::try_submit) did not submit a job.
pub enum TrySubmitError<R> {
    /// The queue of the pool is full.
    Full(JobRequest<R>),
    /// The job was not submitted, for the reason that the error gives.
    Failed(JobError),
}

impl<R> fmt::Debug for TrySubmitError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(request) => f.debug_tuple("Full").field(request).finish(),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<R> fmt::Display for TrySubmitError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the queue of the pool is full"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<R> std::error::Error for TrySubmitError<R> {}
