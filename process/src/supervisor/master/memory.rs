//! Replaces workers that have too much memory.

use std::io;
use std::time::Duration;

use coreloop_runtime::time::Instant;

use super::{Master, WorkerHandle};
use crate::supervisor::fleet::Member;
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
        let memory = |member: &Member| {
            let worker: &WorkerHandle = self.workers.get(&member.id)?;
            worker.pid.and_then(sys::resident)
        };
        let (mut large, mut huge) = (Vec::new(), Vec::new());
        for slot in self.fleet.slots() {
            if slot.incumbent.as_ref().and_then(memory) > Some(limit) {
                large.push(slot.number);
            }
            let most = Some(limit.saturating_mul(2));
            let leaving = slot.leaving().filter(|member| memory(member) > most);
            huge.extend(leaving.map(|member| member.id));
        }
        for slot in large {
            self.fleet.recycle(slot, now);
        }
        for id in huge {
            self.fleet.too_large(id, now);
        }
    }
}
