//! Scaling: adding slots and retiring them.
//!
//! A slot is retired in these steps: new connections are steered to the other slots; its
//! worker accepts the queued ones until the queues have been empty for [`QUIET`]; it drains
//! and ends; connections that came meanwhile are accepted by another worker, to which the
//! slot is lent; its sockets are retired. The last slot is retired first, as the sockets of
//! a group are numbered.

use std::time::Duration;

use coreloop_runtime::time::Instant;

use super::{Action, Fleet, Retiring, Slot};

/// How long the queues of a slot have to be empty before its worker drains.
const QUIET: Duration = Duration::from_millis(100);

/// How often the queues are checked.
const QUEUE_CHECK_PERIOD: Duration = Duration::from_millis(50);

impl Fleet {
    /// Scales to `count` workers. [`Action::Scaled`] reports the result.
    pub(in crate::supervisor) fn scale(&mut self, count: u32, now: Instant) {
        self.target = count.max(1);
        self.is_scaling = true;
        self.advance(now);
    }

    /// Called when this fleet serves in place of the fleet of an old master. Scales to `count`
    /// workers, unless other numbers were requested before.
    ///
    /// The kernel still steers as the old master has asked it to. That is restated even if
    /// the number of slots stays the same: the old master may have steered to fewer.
    pub(in crate::supervisor) fn take_over(&mut self, count: u32, now: Instant) {
        if self.steered.is_some() {
            return;
        }
        if !self.is_scaling && count != self.target {
            self.target = count.max(1);
            self.is_scaling = true;
        }
        self.steer(self.count().min(self.target));
        self.advance(now);
    }

    /// Called when the master starts a new master, which gets the sockets of all slots. Until
    /// that has failed, or has taken over, no slot is added, as the new master would not have
    /// its sockets. And no slot gets connections that got none before: the new master steers
    /// them as soon as it serves, and an action of this fleet must not come after that.
    pub(in crate::supervisor) fn upgrade_begins(&mut self) {
        self.is_upgrading = true;
    }

    /// Called when the new master has failed. Restates where connections go, as it may have
    /// steered them before it failed.
    pub(in crate::supervisor) fn upgrade_failed(&mut self, now: Instant) {
        self.is_upgrading = false;
        if let Some(steered) = self.steered
            && !self.is_stopping()
        {
            self.steer(steered);
        }
        self.advance(now);
    }

    /// Handles the result of [`Action::Grow`]: there are sockets for this many slots.
    pub(in crate::supervisor) fn grown(&mut self, slots: u32, now: Instant) {
        if self.is_stopping() {
            return;
        }
        for number in u32::try_from(self.slots.len()).unwrap_or(slots)..slots {
            self.slots.push(Slot::new(number, now));
            self.start_incumbent(number as usize, now);
        }
        self.advance(now);
    }

    /// Handles the failure of [`Action::Grow`].
    pub(in crate::supervisor) fn not_grown(&mut self, why: String) {
        self.target = self.count();
        self.is_scaling = false;
        self.actions.push_back(Action::Scaled(Err(why)));
    }

    /// Handles the result of [`Action::CheckQueue`]: the number of connections that wait at
    /// a slot, or are on their way there.
    pub(in crate::supervisor) fn queue(&mut self, slot: u32, waiting: u32, now: Instant) {
        let index = slot as usize;
        let is_last = index + 1 == self.slots.len();
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let is_empty = slot.is_empty();
        let Some(retiring) = &mut slot.retiring else {
            return;
        };
        if waiting > 0 {
            retiring.quiet_since = None;
            return;
        }
        let since = *retiring.quiet_since.get_or_insert(now);
        if is_empty && is_last {
            self.reclaim(index);
            self.slots.pop();
            let slot = self.count();
            self.actions.push_back(Action::Close { slot });
        } else if !retiring.is_drained && now.duration_since(since) >= QUIET {
            retiring.is_drained = true;
            let members = [slot.incumbent.take(), slot.successor.take()];
            slot.vacant_since = now;
            for member in members.into_iter().flatten() {
                self.start_draining(index, member, now);
            }
        }
        self.advance(now);
    }

    pub(super) fn check_queue(&mut self, index: usize, now: Instant) {
        let slot = &mut self.slots[index];
        if let Some(retiring) = &mut slot.retiring
            && retiring.check_at <= now
        {
            retiring.check_at = now + QUEUE_CHECK_PERIOD;
            let slot = slot.number;
            self.actions.push_back(Action::CheckQueue { slot });
        }
    }

    /// Takes the next step towards the target number of slots.
    pub(super) fn advance_scaling(&mut self, now: Instant) {
        let Some(steered) = self.steered else {
            return;
        };
        let count = self.count();
        let is_retiring = self.slots.iter().any(|slot| slot.retiring.is_some());
        if count > self.target {
            for slot in &mut self.slots[self.target as usize..] {
                slot.start_at = None;
                slot.retiring.get_or_insert(Retiring {
                    check_at: now,
                    quiet_since: None,
                    is_drained: false,
                });
            }
            if steered > self.target {
                self.steer(self.target);
            }
            return;
        }
        if is_retiring || self.is_upgrading {
            return;
        }
        let leading = self.slots.iter().take_while(|slot| slot.is_open).count();
        let leading = u32::try_from(leading).unwrap_or(count);
        let steered = steered.max(leading);
        if self.steered != Some(steered) {
            self.steer(steered);
        }
        if count < self.target {
            // Asked once: `grown` or `not_grown` answers.
            let is_grow = |action: &Action| matches!(action, Action::Grow { .. });
            if !self.actions.iter().any(is_grow) {
                self.steer(steered);
                self.actions.push_back(Action::Grow { slots: self.target });
            }
        } else if self.is_scaling && self.slots.iter().all(Slot::is_served) {
            self.is_scaling = false;
            self.actions.push_back(Action::Scaled(Ok(())));
        }
    }

    /// Handles the death of a worker that was never ready. A request to scale is not answered
    /// with success before all slots are served, so it fails with any of them.
    pub(super) fn failed_scaling(&mut self, slot: u32, how: &str) {
        let failed = &self.slots[slot as usize];
        if self.is_scaling && failed.retiring.is_none() {
            self.is_scaling = false;
            let why = format!("worker {slot} {how} before it was ready");
            self.actions.push_back(Action::Scaled(Err(why)));
        }
    }

    fn steer(&mut self, slots: u32) {
        self.steered = Some(slots);
        self.actions.push_back(Action::Steer { slots });
    }

    fn count(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }
}
