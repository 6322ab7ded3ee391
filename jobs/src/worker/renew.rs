//! Renewing leases.

use std::rc::Rc;

use coreloop_runtime::time::{Instant, sleep};

use super::held::Held;
use super::running::Running;
use crate::engine::Fence;

impl Running {
    /// Renews the leases of all jobs every third of their time.
    pub(super) async fn renew_leases(self: Rc<Self>) {
        let lease = self.options.lease;
        loop {
            while self.held_count() == 0 {
                // Without jobs the worker does nothing.
                self.begun.notified().await;
            }
            sleep(lease / 3).await;
            while !self.renew_all().await {
                sleep(lease / 12).await;
            }
            self.recall_waiting();
        }
    }

    /// Renews the leases of all jobs. Returns `false` if the engine fails.
    async fn renew_all(&self) -> bool {
        let lease = self.options.lease;
        let held = self.all_held();
        if held.is_empty() {
            return true;
        }
        let before = Instant::now();
        let jobs = held.iter().map(|held| &held.leased).collect();
        let Ok(fences) = self.ask(self.engine.renew(jobs, lease)).await else {
            return false;
        };
        for (held, fence) in held.iter().zip(fences) {
            match fence {
                Fence::Held => held.renewed(before, lease),
                Fence::Taken | Fence::Gone => lost(held),
            }
        }
        true
    }

    /// Returns jobs that have waited for long without having started: there may be a free worker
    /// on another machine.
    fn recall_waiting(&self) {
        let long = self.options.lease / 3;
        for held in self.all_held() {
            if held.age() >= long {
                held.recall.notify_one();
            }
        }
    }
}

/// Invariant 3: when a job has ended here, the answer may come from after its end.
fn lost(held: &Held) {
    if !held.has_ended.get() {
        held.lost.cancel();
    }
}
