//! The threads of a pool.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::engine::id::Id;
use crate::engine::panics;
use crate::engine::remote::pool::{Dispatch, Job};
use crate::engine::remote::shared::Shared;

/// Why there is no runtime to return.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Context,
    ThreadLocal,
}

thread_local! {
    /// On a thread of a pool: whose.
    static RUNTIME: OnceCell<Arc<Shared>> = const { OnceCell::new() };
}

/// The runtime whose thread this is.
pub(crate) fn current() -> Result<Arc<Shared>, Missing> {
    let shared = RUNTIME.try_with(|runtime| runtime.get().cloned());
    shared
        .map_err(|_| Missing::ThreadLocal)
        .and_then(|shared| shared.ok_or(Missing::Context))
}

/// Puts a job in the queue, and starts a thread if need be.
pub(crate) fn submit(shared: &Arc<Shared>, id: Id, job: Job) {
    match shared.pool.queue(id, job) {
        Dispatch::Nothing => {}
        Dispatch::StartThread => {
            let theirs = Arc::clone(shared);
            let thread = shared.pool.options.thread();
            if let Err(error) = thread.spawn(move || work(&theirs)) {
                shared.pool.not_started(&error);
            }
        }
    }
}

/// The life of a thread.
fn work(shared: &Arc<Shared>) {
    RUNTIME.with(|runtime| {
        // The thread is new.
        let _ = runtime.set(Arc::clone(shared));
    });
    while let Some((id, job)) = shared.pool.next() {
        let Job {
            work,
            _counted: counted,
            ..
        } = job;
        // It catches what it should; a thread that ended by a panic would still
        // be counted as one that comes to the queue.
        panics::caught(|| work.run(&|| shared.pool.job_ran(id)));
        drop(counted);
    }
}
