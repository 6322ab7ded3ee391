//! [`PoolRef`]: a reference to a pool, which its threads and jobs own.

use std::sync::Arc;

use crate::engine::nesting;
use crate::engine::remote::pool::own::OwnPool;
use crate::engine::remote::pool::{Job, Pool};
use crate::engine::remote::shared::Shared;

/// A reference to a pool.
#[derive(Debug, Clone)]
pub(in crate::engine::remote) enum PoolRef {
    /// The pool of a runtime.
    Runtime(Arc<Shared>),
    /// Another pool that belongs to a runtime.
    Own(Arc<OwnPool>),
}

impl PoolRef {
    pub(in crate::engine::remote) fn pool(&self) -> &Pool {
        match self {
            Self::Runtime(shared) => &shared.pool,
            Self::Own(own) => &own.pool,
        }
    }

    /// Returns the runtime to which the pool belongs.
    pub(super) fn home(&self) -> &Arc<Shared> {
        match self {
            Self::Runtime(shared) => shared,
            Self::Own(own) => &own.home,
        }
    }

    /// Ends a job that came after the pool was closed.
    pub(super) fn turn_away(&self, job: Job) {
        let failure = match self {
            Self::Runtime(_) => None,
            Self::Own(own) => own.failure(),
        };
        match failure {
            Some(refusal) => job.refuse(refusal),
            None => nesting::drop_nested(job),
        }
    }

    /// Prepares a new thread. Returns whether it can run jobs.
    pub(super) fn start_thread(&self) -> bool {
        match self {
            Self::Runtime(_) => true,
            Self::Own(own) => own.start_thread(),
        }
    }

    /// Records that a thread takes no more jobs, and ends.
    pub(super) fn end_thread(&self) {
        if let Self::Own(own) = self {
            own.stop_thread();
        }
        self.pool().thread_ended();
    }
}
