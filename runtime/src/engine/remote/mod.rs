//! What other threads use of a loop beside its tasks: spawn requests and the handles of
//! their outputs, and the blocking pool.

pub(crate) mod join;
pub(crate) mod outcome;
pub(crate) mod pool;
pub(crate) mod shared;
pub(crate) mod spawn_queue;
pub(crate) mod spawner;
pub(crate) mod task;
