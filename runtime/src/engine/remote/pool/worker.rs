//! The threads of a pool.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::engine::id::Id;
use crate::engine::panics;
use crate::engine::remote::pool::pool_ref::PoolRef;
use crate::engine::remote::pool::refusal::Refusal;
use crate::engine::remote::pool::{Dispatch, Job, Pool};
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
pub(super) fn submit(pool: &PoolRef, id: Id, job: Job) {
    match pool.pool().queue(id, job) {
        Dispatch::Nothing => {}
        Dispatch::Closed(job) => pool.turn_away(job),
        Dispatch::StartThread => {
            let for_thread = pool.clone();
            let thread = pool.pool().options.thread();
            if let Err(error) = thread.spawn(move || work(&for_thread)) {
                let refusal = Refusal::NoThread(error.to_string());
                pool.pool().not_started(&refusal);
            }
        }
    }
}

/// Runs jobs until the thread has to end.
fn work(pool: &PoolRef) {
    RUNTIME.with(|runtime| {
        // The thread is new.
        let _ = runtime.set(Arc::clone(pool.home()));
    });
    if pool.start_thread() {
        run_jobs(pool.pool());
    }
    pool.end_thread();
}

fn run_jobs(pool: &Pool) {
    while let Some((id, job)) = pool.next() {
        let Job {
            work,
            _counted: counted,
            ..
        } = job;
        // `run` catches the panics of the closure. This is for others: a thread that ended by
        // a panic would still be counted as one that takes jobs.
        panics::caught(|| work.run(&|| pool.job_ran(id)));
        drop(counted);
    }
}
