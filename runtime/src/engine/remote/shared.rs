//! [`Shared`]: the spawn queue and the pools of a runtime.

use std::sync::Arc;

use crate::engine::remote::pool::Pool;
use crate::engine::remote::pool::options::Options;
use crate::engine::remote::pool::own::OwnPools;
use crate::engine::remote::spawn_queue::SpawnQueue;
use crate::engine::report::task_meta::TaskMeta;

/// The state that all handles of a runtime share with the threads of its pools.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) spawn_queue: SpawnQueue,
    pub(crate) pool: Pool,
    /// The other pools whose jobs belong to the runtime.
    pub(super) own_pools: OwnPools,
}

impl Shared {
    pub(crate) fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            spawn_queue: SpawnQueue::new(),
            pool: Pool::new(options),
            own_pools: OwnPools::default(),
        })
    }

    /// Cancels the jobs in the queues of all pools. Returns the metadata of the jobs that it
    /// cancelled and of those that are running: for each pool first the running ones, each
    /// oldest first.
    pub(crate) fn abandon_jobs(&self) -> Vec<TaskMeta> {
        let mut left = self.pool.abandon();
        for own in self.own_pools.pools() {
            left.extend(own.pool().abandon());
        }
        left
    }

    /// Closes all pools, and those that are created from now on.
    pub(crate) fn close_pools(&self) {
        self.pool.close();
        self.own_pools.close();
    }

    /// Drops the spawn requests that have not become tasks yet. Returns the metadata of
    /// their tasks.
    pub(crate) fn discard_unstarted(&self) -> Vec<TaskMeta> {
        self.spawn_queue.discard()
    }

    /// Wakes the loop for a turn, even if it has no task to run.
    pub(super) fn wake_loop(&self) {
        self.spawn_queue.wake();
    }

    /// Returns whether the loop has been shut down.
    #[cfg(feature = "hyper")]
    pub(crate) fn is_closed(&self) -> bool {
        self.spawn_queue.is_closed()
    }
}
