//! [`Shared`]: what other threads know of a loop.

use std::sync::Arc;

use crate::engine::remote::mailbox::Mailbox;
use crate::engine::remote::pool::Pool;
use crate::engine::remote::pool::options::Options;
use crate::engine::task::meta::TaskMeta;

/// What all handles of a runtime, and the threads of its pool, share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) mailbox: Mailbox,
    pub(crate) pool: Pool,
}

impl Shared {
    pub(crate) fn new(options: Options) -> Arc<Shared> {
        Arc::new(Shared {
            mailbox: Mailbox::new(),
            pool: Pool::new(options),
        })
    }

    /// Drops what was spawned and has not become a task yet. Returns what is known of it.
    pub(crate) fn discard_unstarted(&self) -> Vec<TaskMeta> {
        self.mailbox.discard()
    }

    /// Gives the loop a turn in which it has nothing to do.
    pub(crate) fn nudge(&self) {
        self.mailbox.wake();
    }
}
