//! Replaces workers that have too much memory.

use std::io;
use std::time::Duration;

use coreloop_runtime::time::Instant;

use super::{Master, WorkerHandle};
use crate::sys;
use crate::worker::Worker;

/// How often the memory of the workers is checked, if it is limited.
pub(super) const MEMORY_PERIOD: Duration = Duration::from_secs(5);

impl<F> Master<F>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    pub(super) fn check_memory(&mut self) {
        let now = Instant::now();
        let (Some(limit), Some(at)) = (self.options.max_memory, self.memory_at) else {
            return;
        };
        if now < at {
            return;
        }
        self.memory_at = Some(now + MEMORY_PERIOD);
        let slots = self.fleet.slots().iter();
        let served = slots.filter_map(|slot| Some((slot.number, slot.incumbent.as_ref()?.id)));
        let pid = |id| {
            self.workers
                .get(&id)
                .and_then(|worker: &WorkerHandle| worker.pid)
        };
        let large: Vec<_> = served
            .filter(|&(_, id)| {
                pid(id)
                    .and_then(sys::resident)
                    .is_some_and(|bytes| bytes > limit)
            })
            .map(|(slot, _)| slot)
            .collect();
        for slot in large {
            self.fleet.recycle(slot, now);
        }
    }
}
