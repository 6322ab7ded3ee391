//! The threads of a pool.

use std::cell::OnceCell;
use std::sync::Arc;

use super::pool::{Call, Job};
use crate::handle::{Handle, Missing, Shared, TryCurrentError};
use crate::panics;
use crate::task::Id;

thread_local! {
    /// On a thread of a pool: whose.
    static RUNTIME: OnceCell<Handle> = const { OnceCell::new() };
}

/// The runtime whose thread this is.
pub(crate) fn current() -> Result<Handle, TryCurrentError> {
    let handle = RUNTIME.try_with(|runtime| runtime.get().cloned());
    handle
        .map_err(|_| Missing::ThreadLocal)
        .and_then(|handle| handle.ok_or(Missing::Context))
        .map_err(TryCurrentError::new)
}

/// Puts a job in the queue, and starts a thread if need be.
pub(super) fn submit(shared: &Arc<Shared>, id: Id, job: Job) {
    match shared.pool.queue(id, job) {
        Call::Nobody => {}
        Call::Start => {
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
    let handle = Handle::new(Arc::clone(shared));
    RUNTIME.with(|runtime| {
        // The thread is new.
        let _ = runtime.set(handle);
    });
    while let Some((id, job)) = shared.pool.next() {
        let Job {
            work,
            _counted: counted,
            ..
        } = job;
        // It catches what it should; a thread that ended by a panic would still
        // be counted as one that comes to the queue.
        panics::caught(|| work.run(&|| shared.pool.ran(id)));
        drop(counted);
    }
}
