//! The threads of a pool.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::engine::id::Id;
use crate::engine::panics;
use crate::engine::remote::pool::{Dispatch, Job};
use crate::engine::remote::shared::Shared;

/// The reason why [`current`] returns no runtime.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The thread is not one of a pool.
    Context,
    /// The thread is ending, and its thread-local values are gone.
    ThreadLocal,
}

thread_local! {
    /// The runtime of the pool to which the thread belongs.
    static RUNTIME: OnceCell<Arc<Shared>> = const { OnceCell::new() };
}

/// Returns the runtime to whose pool this thread belongs.
pub(crate) fn current() -> Result<Arc<Shared>, Missing> {
    let shared = RUNTIME.try_with(|runtime| runtime.get().cloned());
    shared
        .map_err(|_| Missing::ThreadLocal)
        .and_then(|shared| shared.ok_or(Missing::Context))
}

/// Puts a job in the queue, and starts a thread for it if none is idle and
/// the maximum is not reached.
pub(super) fn submit(shared: &Arc<Shared>, id: Id, job: Job) {
    match shared.pool.queue(id, job) {
        Dispatch::Nothing => {}
        Dispatch::StartThread => {
            let for_thread = Arc::clone(shared);
            let thread = shared.pool.options.thread();
            if let Err(error) = thread.spawn(move || work(&for_thread)) {
                shared.pool.not_started(&error);
            }
        }
    }
}

/// Runs jobs until the thread has to end.
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
        // `run` catches the panics of the closure. This is for others: a thread that ended by
        // a panic would still be counted as one that takes jobs.
        panics::caught(|| work.run(&|| shared.pool.job_ran(id)));
        drop(counted);
    }
}
