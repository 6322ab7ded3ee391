//! [`Reload`], which sets how workers are replaced, and the methods of [`Supervisor`] for it.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use super::Supervisor;
use super::fleet::ReplacementSettings;

/// A check of the user, which is called with each new worker.
pub(super) type Check = Rc<dyn Fn(NewWorker) -> Checking>;

/// A call of a [`Check`].
pub(super) type Checking = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// Sets how workers are replaced; passed to [`Supervisor::reload`].
///
/// A reload replaces the workers in batches. In each batch
///
/// 1. the new workers start, beside the old ones, and report that they are ready;
/// 2. each is [checked](Self::check), if there is a check;
/// 3. old and new workers serve side by side for the [bake time](Self::bake_time);
/// 4. the old workers drain, and the next batch begins.
///
/// If a new worker ends, is silent for too long, is not ready in time, or fails its check,
/// the reload ends with an error. The other new workers of its batch drain, and the old
/// workers of the batch stay. The slots of earlier batches keep their new workers, and the
/// slots of later batches keep their old ones: request another reload when the reason is
/// removed.
///
/// If an old worker ends before its batch is complete, its new worker takes its place at
/// once, and stays whatever happens to the batch.
///
/// Workers that are replaced one at a time are replaced in the same steps, in a batch of
/// one: for their [age](Supervisor::max_age), [memory](Supervisor::max_memory) or
/// [requests](Supervisor::max_requests), or by [`Control::restart`](crate::Control::restart).
///
/// # Examples
///
/// ```no_run
/// use std::io;
/// use std::time::Duration;
///
/// use coreloop::net::TcpStream;
/// use coreloop::process::{Reload, Supervisor};
///
/// # fn main() -> io::Result<()> {
/// Supervisor::new()
///     .bind("0.0.0.0:7777")?
///     .reload(
///         Reload::new()
///             .parallel(8)
///             .bake_time(Duration::from_secs(30))
///             .check(async |worker| {
///                 println!("worker {} is ready", worker.slot());
///                 TcpStream::connect("127.0.0.1:7777").await.map(drop)
///             }),
///     )
/// #   .run(async |_worker| Ok(()))
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use = "it does nothing until it is passed to `Supervisor::reload`"]
pub struct Reload {
    parallel: u32,
    bake_time: Duration,
    pub(super) check: Option<Check>,
}

/// A new worker that is ready, passed to the check of [`Reload::check`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewWorker {
    pub(super) slot: u32,
    pub(super) pid: Option<u32>,
}

/// The options for the replacement of workers.
#[derive(Debug, Clone, Default)]
pub(super) struct ReplacementOptions {
    pub(super) reload: Reload,
    pub(super) max_requests: Option<u64>,
}

impl Reload {
    /// Creates the default: one worker at a time, no bake time and no check.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many workers a reload replaces together, but at least one. Up to twice as
    /// many processes serve these slots until the old workers have drained.
    pub fn parallel(mut self, workers: u32) -> Self {
        self.parallel = workers;
        self
    }

    /// Sets how long the new workers of a batch serve beside the old ones, before the old
    /// ones drain. Zero by default.
    ///
    /// An old worker can only be kept while it runs, so a fault that shows within this time
    /// costs no capacity. With a time that the clock cannot count to, such as
    /// `Duration::MAX`, the old workers never drain, and a reload does not end by itself.
    pub fn bake_time(mut self, time: Duration) -> Self {
        self.bake_time = time;
        self
    }

    /// Calls `check` in the master for each new worker that is ready and would replace
    /// another one. An error or a panic means that the worker has failed.
    ///
    /// The check runs as a task on the master's loop, so it must not block. It has the
    /// [`startup`](Supervisor::startup) time, after which the worker has failed; then, and
    /// when its worker ends, the check is cancelled. The checks of a batch run concurrently.
    ///
    /// Old and new workers accept connections to the same address while the check runs. To
    /// ask the new worker, the check needs another way, such as a file or a socket that the
    /// worker creates for itself before it is ready.
    pub fn check<F>(mut self, check: F) -> Self
    where
        F: AsyncFn(NewWorker) -> io::Result<()> + 'static,
    {
        let check = Rc::new(check);
        self.check = Some(Rc::new(move |worker| {
            let check = Rc::clone(&check);
            Box::pin(async move { check(worker).await })
        }));
        self
    }

    pub(super) fn settings(&self) -> ReplacementSettings {
        ReplacementSettings {
            parallel: self.parallel,
            bake_time: self.bake_time,
            has_check: self.check.is_some(),
        }
    }
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload")
            .field("parallel", &self.parallel)
            .field("bake_time", &self.bake_time)
            .finish_non_exhaustive()
    }
}

impl NewWorker {
    /// Returns the slot of the worker, from 0.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Returns the process of the worker, if it is one.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }
}

impl Supervisor {
    /// Sets how a reload, and every other replacement of a worker that serves, proceeds: how
    /// many workers it replaces together, for how long they serve beside the old ones, and
    /// how they are checked.
    pub fn reload(mut self, reload: Reload) -> Self {
        self.replacement.reload = reload;
        self
    }

    /// Replaces each worker when it has served this many requests, or up to a tenth less, so
    /// that the workers are not all replaced at once. As with a reload, no connection is
    /// lost. With 0 there is no limit, as by default.
    ///
    /// Each call of [`Worker::count_request`](crate::Worker::count_request) counts. In a
    /// worker that never calls it, each connection counts that a
    /// [`Listener`](crate::Listener) accepts. The number is not exact, as the worker serves
    /// on until its successor is ready. If the replacement fails, the worker is replaced
    /// after as many requests again.
    pub fn max_requests(mut self, requests: u64) -> Self {
        self.replacement.max_requests = Some(requests).filter(|&requests| requests > 0);
        self
    }
}
