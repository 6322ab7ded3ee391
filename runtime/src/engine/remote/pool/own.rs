//! [`OwnPool`]: a pool beside the one of its runtime, and [`OwnPools`], the list of them.

use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use crate::engine::id::Id;
use crate::engine::panics::{self, UserValue};
use crate::engine::remote::join::RemoteJoinHandle;
use crate::engine::remote::outcome::lock;
use crate::engine::remote::pool::Pool;
use crate::engine::remote::pool::options::Options;
use crate::engine::remote::pool::pool_ref::PoolRef;
use crate::engine::remote::pool::refusal::Refusal;
use crate::engine::remote::shared::Shared;
use crate::engine::task::error::message;

/// A function that each thread calls before its first job.
pub(crate) type OnStart = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A function that each thread calls after its last job.
pub(crate) type OnStop = Arc<dyn Fn() + Send + Sync>;

/// A pool with threads of its own. Its jobs belong to the runtime `home`: a paused clock waits
/// for them, and the end of the runtime closes the pool.
pub(crate) struct OwnPool {
    pub(super) pool: Pool,
    pub(super) home: Arc<Shared>,
    on_start: UserValue<OnStart>,
    on_stop: UserValue<OnStop>,
    /// Set before the pool is closed because `on_start` has failed.
    failure: OnceLock<Refusal>,
}

/// The pools that belong to a runtime, apart from its own. They are kept alive by their owners
/// and threads.
#[derive(Debug, Default)]
pub(crate) struct OwnPools(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    pools: Vec<Weak<OwnPool>>,
    /// Whether the runtime has ended, so that new pools are closed at once.
    closed: bool,
}

impl OwnPool {
    /// Creates a pool without threads. It is closed if the runtime has ended.
    pub(crate) fn new(
        home: Arc<Shared>,
        options: Options,
        on_start: Option<OnStart>,
        on_stop: Option<OnStop>,
    ) -> Arc<Self> {
        let pool = Arc::new(Self {
            pool: Pool::new(options),
            home,
            on_start: on_start.map_or_else(UserValue::default, UserValue::new),
            on_stop: on_stop.map_or_else(UserValue::default, UserValue::new),
            failure: OnceLock::new(),
        });
        pool.home.own_pools.add(&pool);
        pool
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn home(&self) -> &Arc<Shared> {
        &self.home
    }

    /// Puts `work` in the queue. Awaiting the handle returns a [`Refusal`] if no thread can
    /// run it.
    pub(crate) fn spawn<W, R>(
        self: &Arc<Self>,
        work: W,
        spawned_at: &'static Location<'static>,
    ) -> RemoteJoinHandle<Result<R, Refusal>>
    where
        W: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let pool = PoolRef::Own(Arc::clone(self));
        pool.spawn_refusable(Id::fresh(), work, spawned_at)
    }

    /// Calls the first hook of a new thread. Returns whether the thread can run jobs; if not,
    /// the pool is closed.
    pub(super) fn start_thread(&self) -> bool {
        let Some(on_start) = self.on_start.get() else {
            return true;
        };
        let error = match catch_unwind(AssertUnwindSafe(|| on_start())) {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error,
            Err(panic) => {
                let text = message(&*panic).unwrap_or_else(|| "it panicked".to_owned());
                panics::discard(panic);
                text
            }
        };
        // Another thread may have failed before; the first failure is reported.
        let refusal = self.failure.get_or_init(|| Refusal::Initializer(error));
        self.pool.close_as_broken(refusal);
        false
    }

    /// Calls the last hook of a thread.
    pub(super) fn stop_thread(&self) {
        if let Some(on_stop) = self.on_stop.get() {
            panics::caught(|| on_stop());
        }
    }

    /// Returns why the pool runs no jobs, if its threads have failed.
    pub(super) fn failure(&self) -> Option<&Refusal> {
        self.failure.get()
    }
}

impl OwnPools {
    fn add(&self, pool: &Arc<OwnPool>) {
        let is_closed = {
            let mut list = lock(&self.0);
            list.pools.retain(|pool| pool.strong_count() > 0);
            list.pools.push(Arc::downgrade(pool));
            list.closed
        };
        if is_closed {
            pool.pool.close();
        }
    }

    /// Returns the pools, oldest first.
    pub(crate) fn pools(&self) -> Vec<Arc<OwnPool>> {
        lock(&self.0)
            .pools
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// Closes the pools, and those that are created from now on.
    pub(crate) fn close(&self) {
        let pools = {
            let mut list = lock(&self.0);
            list.closed = true;
            mem::take(&mut list.pools)
        };
        for pool in pools.iter().filter_map(Weak::upgrade) {
            pool.pool.close();
        }
    }
}

impl fmt::Debug for OwnPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnPool")
            .field("pool", &self.pool)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
