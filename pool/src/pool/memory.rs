//! Limits of the memory of workers.

use std::rc::Rc;
use std::time::Duration;

use coreloop_process::__pool::resident;
use coreloop_runtime::task::spawn_hidden;
use coreloop_runtime::time::sleep;

use super::core::Core;
use super::link::Link;
use crate::dispatch::WorkerKey;

/// How often the memory of workers is read while jobs run.
const PERIOD: Duration = Duration::from_millis(200);

impl Core {
    /// Replaces a worker that has too much memory after a job.
    pub(super) fn check_memory_after_job(self: &Rc<Self>, worker: WorkerKey, link: &Link) {
        if let Some(limit) = self.options.max_memory
            && exceeds(link, limit)
        {
            self.retire(worker);
        }
    }

    /// Starts a task that kills workers which have more than twice the memory that they may have,
    /// unless the task exists. It ends when no job is left, so that an idle pool does nothing.
    pub(super) fn watch_memory(self: &Rc<Self>) {
        let Some(limit) = self.options.max_memory else {
            return;
        };
        if self.dispatcher.borrow().is_empty() || self.is_watching_memory.replace(true) {
            return;
        }
        let core = Rc::downgrade(self);
        spawn_hidden(async move {
            loop {
                sleep(PERIOD).await;
                let Some(core) = core.upgrade() else {
                    return;
                };
                if core.dispatcher.borrow().is_empty() {
                    core.is_watching_memory.set(false);
                    return;
                }
                for (_, link) in core.links() {
                    if exceeds(&link, limit.saturating_mul(2)) {
                        let text = "it had more than twice the memory that the pool allows";
                        link.failure.borrow_mut().get_or_insert(text.to_owned());
                        link.kill();
                    }
                }
            }
        });
    }
}

fn exceeds(link: &Link, limit: u64) -> bool {
    resident(link.pid).is_some_and(|bytes| bytes > limit)
}
