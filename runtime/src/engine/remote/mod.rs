//! What other threads use of a loop, apart from its tasks.
//!
//! - `shared`: what the handles of a runtime share: the spawn queue and the blocking pool;
//! - `spawn_queue`, `spawner` and `task`: tasks that other threads spawn on the loop;
//! - `pool`: the threads and jobs of `spawn_blocking`;
//! - `outcome` and `join`: the slots by which outcomes reach other threads, and their handles.
//!
//! Other threads schedule tasks of the loop by way of
//! [`task::remote`](crate::engine::task::remote).

pub(crate) mod join;
pub(super) mod outcome;
pub(crate) mod pool;
pub(crate) mod shared;
pub(super) mod spawn_queue;
pub(crate) mod spawner;
pub(super) mod task;
