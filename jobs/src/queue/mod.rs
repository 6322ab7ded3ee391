//! [`Queue`], a queue of jobs for workers on any machine.

mod connect;
#[cfg(feature = "nats")]
mod nats;
mod push;
mod receipt;
#[cfg(feature = "redis")]
mod redis;
mod result;

use std::fmt;
use std::rc::Rc;

pub use connect::{MemoryHost, MemoryQueue};
#[cfg(feature = "nats")]
pub use nats::NatsQueue;
pub use push::Push;
pub use receipt::Receipt;
#[cfg(feature = "redis")]
pub use redis::RedisQueue;
pub use result::JobResult;

use coreloop_pool::{IntoArguments, JobFn};

use crate::engine::{Counts, Engine, JobId};
use crate::error::Error;
use crate::worker::WorkerBuilder;

/// A queue of jobs: calls of functions, which workers on any machine run.
///
/// A clone is another handle of the same connection.
///
/// # What is promised
///
/// A job runs *at least once*: a worker leases it, and if the worker does not finish it, because
/// its machine was lost or is too slow, another worker leases it again. So a job should be
/// *idempotent*: to run it twice does no more than to run it once. The *result* is stored once: a
/// worker whose lease was taken cannot store one.
///
/// # Versions
///
/// The programs on the machines need not be equal. A job is the name and the version of a
/// function, which `#[coreloop::job(name = "mail", version = 2)]` sets, with its arguments. A
/// worker leases only jobs of names and versions that its program has. Arguments and results are
/// encoded with the names of their fields, so that a field may be added with `#[serde(default)]`.
///
/// # Examples
///
/// A program that pushes jobs, and one that runs them, on any number of machines:
///
/// ```no_run
/// use std::time::Duration;
///
/// use coreloop::jobs::{Memory, Queue};
/// use coreloop::pool::Pool;
///
/// #[coreloop::job]
/// fn send_mail(to: String, text: String) -> Result<(), String> {
///     # let _ = (to, text);
///     Ok(())
/// }
///
/// async fn order(queue: &Queue) -> Result<(), coreloop::jobs::Error> {
///     let mail = ("ada@example.org".to_owned(), "It is on its way.".to_owned());
///     // The key makes it harmless to push it again after an error.
///     let receipt = queue.push(send_mail, mail).key("order-17").await?;
///     let sent = queue.result(&receipt).timeout(Duration::from_secs(60)).await?;
///     assert_eq!(sent, Ok(()));
///     Ok(())
/// }
///
/// async fn work(queue: &Queue) -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::builder().build()?;
///     queue.worker().jobs_of(&pool).attempts(5).run().await?;
///     Ok(())
/// }
/// # #[coreloop::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let queue = Queue::memory(&Memory::new()).name("mail").connect().await?;
/// # order(&queue).await?;
/// # work(&queue).await
/// # }
/// ```
#[derive(Clone)]
pub struct Queue {
    pub(crate) engine: Rc<dyn Engine>,
    name: Rc<str>,
}

impl Queue {
    pub(crate) fn new(engine: Rc<dyn Engine>, name: &str) -> Self {
        Self {
            engine,
            name: Rc::from(name),
        }
    }

    /// Returns the name of the queue.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns a request to push a call of a function, to which options can be added. Await it.
    ///
    /// Arguments are a tuple; a single argument may be passed as it is. The function has to be
    /// registered in this program by `#[coreloop::job]`, which gives it the name and the version
    /// by which workers know it.
    pub fn push<F, S>(
        &self,
        function: F,
        arguments: impl IntoArguments<F::Arguments>,
    ) -> Push<F::Output>
    where
        F: JobFn<S>,
    {
        Push::new(self, &function, arguments.into_arguments())
    }

    /// Pushes several jobs of one function, with as few messages as possible, and returns their
    /// receipts in order.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: some of the jobs may have been stored.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`push`](Self::push). Some of the jobs may have
    /// been stored nevertheless: jobs that must not be stored twice need keys, see
    /// [`push_all`](Self::push_all).
    pub async fn push_many<F, S, A>(
        &self,
        function: F,
        inputs: impl IntoIterator<Item = A>,
    ) -> Result<Vec<Receipt<F::Output>>, Error>
    where
        F: JobFn<S>,
        A: IntoArguments<F::Arguments>,
    {
        let pushes = inputs.into_iter().map(|input| self.push(function, input));
        self.push_all(pushes).await
    }

    /// Pushes several jobs, each with its options, with as few messages as possible, and returns
    /// their receipts in order.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: some of the jobs may have been stored.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`push`](Self::push). Some of the jobs may have
    /// been stored nevertheless. If each has a [key](Push::key), it is harmless to push all of
    /// them again.
    pub async fn push_all<R>(
        &self,
        pushes: impl IntoIterator<Item = Push<R>>,
    ) -> Result<Vec<Receipt<R>>, Error> {
        push::push_all(self, pushes.into_iter()).await
    }

    /// Returns a request for the result of a job, to which a time limit can be added. Await it.
    ///
    /// Results are kept for a day.
    pub fn result<R>(&self, receipt: &Receipt<R>) -> JobResult<R> {
        JobResult::new(self, receipt)
    }

    /// Returns a builder of a worker, which runs jobs of this queue.
    pub fn worker(&self) -> WorkerBuilder {
        WorkerBuilder::new(self)
    }

    /// Returns the oldest dead letters, at most `max`: jobs of which all attempts have failed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine fails.
    pub async fn dead_letters(&self, max: usize) -> Result<Vec<DeadLetter>, Error> {
        let letters = self.engine.dead(max).await?;
        let letter = |dead: crate::engine::Dead| DeadLetter {
            id: dead.id,
            name: dead.function.name,
            version: dead.function.version,
            attempts: dead.attempts,
            error: dead.error,
        };
        Ok(letters.into_iter().map(letter).collect())
    }

    /// Puts a dead letter back in the queue, with no attempts counted. Returns `false` if the job
    /// is no dead letter.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the job may be in the queue or among the dead letters, and a second call
    /// puts it in the queue only if it is not there.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine fails.
    pub async fn requeue(&self, id: &JobId) -> Result<bool, Error> {
        self.engine.requeue(id).await
    }

    /// Removes a dead letter for good. Returns `false` if the job is no dead letter.
    ///
    /// [`result`](Self::result) still returns the error of its last attempt, for a day after its
    /// end.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the dead letter may or may not be removed.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine fails.
    pub async fn discard(&self, id: &JobId) -> Result<bool, Error> {
        self.engine.discard(id).await
    }

    /// Counts the jobs of the queue.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the engine fails.
    pub async fn counts(&self) -> Result<Counts, Error> {
        self.engine.counts().await
    }

    /// Returns warnings about the engine: settings with which it may lose jobs, and losses that it
    /// has noticed. Each is a text for an administrator.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.engine.warnings()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A job of which all attempts have failed.
///
/// [`Queue::requeue`] puts it back in the queue, and [`Queue::discard`] removes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The job.
    pub id: JobId,
    /// The name of its function.
    pub name: String,
    /// The version of its function.
    pub version: u32,
    /// How many attempts there were.
    pub attempts: u32,
    /// The reason of the last one.
    pub error: String,
}
