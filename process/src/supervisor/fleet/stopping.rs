//! Stopping: after the delay, in which the workers still accept, all of them drain. A second
//! request kills them at any time.

use coreloop_runtime::time::Instant;

use super::{Action, Fleet, FleetStage};

impl Fleet {
    /// Stops the fleet: the first call drains all workers, after the delay if there is one;
    /// the second kills them.
    pub(in crate::supervisor) fn stop(&mut self, now: Instant) {
        let delay = self.settings.drain_delay;
        if self.stage == FleetStage::Running && !delay.is_zero() {
            self.stop_was_requested = true;
            self.stage = FleetStage::Delaying {
                until: now.checked_add(delay),
            };
            self.actions.push_back(Action::Delays { time: delay });
            // The old workers serve until the delay ends, and no new ones are needed.
            self.abandon_batch(now);
            self.replacements.clear();
            self.is_scaling = false;
            self.advance(now);
        } else {
            self.stop_without_delay(now);
        }
    }

    /// Stops the fleet like [`stop`](Self::stop), but the first call drains all workers at once:
    /// a successor accepts, or no client knows of these workers.
    pub(in crate::supervisor) fn stop_without_delay(&mut self, now: Instant) {
        let was_requested = std::mem::replace(&mut self.stop_was_requested, true);
        if self.is_serving() {
            if !was_requested {
                self.actions.push_back(Action::Drains);
            }
            self.drain_all(Ok(()), now);
        }
        if was_requested {
            self.kill_all();
        }
        self.advance(now);
    }

    /// Returns whether the workers accept connections and are replaced when they die.
    pub(super) fn is_serving(&self) -> bool {
        matches!(
            self.stage,
            FleetStage::Running | FleetStage::Delaying { .. }
        )
    }

    /// Returns when the delay ends.
    pub(super) fn delay_deadline(&self) -> Option<Instant> {
        match self.stage {
            FleetStage::Delaying { until } => until,
            _ => None,
        }
    }

    /// Drains all workers if the delay has ended.
    pub(super) fn end_delay(&mut self, now: Instant) {
        if self.delay_deadline().is_some_and(|until| until <= now) {
            self.actions.push_back(Action::Drains);
            self.drain_all(Ok(()), now);
        }
    }
}
