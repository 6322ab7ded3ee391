//! When a parked loop has to be woken for its timers: see "Sharing a wake" of [the
//! wheel](super).

use crate::engine::timers::wheel::Wheel;
use crate::engine::timers::wheel::slots::Span;

/// The maximum number of timers of a slot that are examined to find the earliest or the
/// last of them, where an approximation is good enough.
pub(super) const MAX_EXAMINED: usize = 8;

/// A unit of slack is 2 to the power of this, in nanoseconds.
pub(super) const SLACK_UNIT_SHIFT: u32 = 8;
/// The slack of a timer is the time that it was set for, divided by 2 to the power of this.
pub(super) const SLACK_SHIFT: u32 = 4;
/// The maximum slack: a millisecond, in units of slack.
const MAX_SLACK: u16 = 3906;

impl Wheel {
    /// Returns the deadline of the next timer, in nanoseconds, or a slightly earlier time.
    pub(crate) fn next(&self) -> Option<u64> {
        let span = self.slots.occupied(self.current_tick).next()?;
        let some = self.list(span.slot).take(MAX_EXAMINED + 1);
        let (count, earliest) = some.fold((0, u64::MAX), |(count, earliest), timer| {
            (count + 1, earliest.min(timer.deadline))
        });
        Some(if count > MAX_EXAMINED {
            span.start_nanos()
        } else {
            earliest
        })
    }

    /// Returns the deadline of the next timer, to the nanosecond.
    pub(crate) fn next_exactly(&self) -> Option<u64> {
        let span = self.slots.occupied(self.current_tick).next()?;
        self.list(span.slot).map(|timer| timer.deadline).min()
    }

    /// Returns when a parked loop should be woken: at the last deadline before the first
    /// slack ends. If a slot has many timers, this may be later than that deadline, but
    /// not later than the end of the slack.
    pub(crate) fn wake_time(&self) -> Option<u64> {
        // The `slack_end` of a slot may be in the past, if the timer that it belonged to
        // was cancelled.
        let earliest = self.next()?;
        let mut slack_end = u64::MAX;
        let (mut before, mut last): (Option<Span>, Option<Span>) = (None, None);
        for span in self.slots.occupied(self.current_tick) {
            if span.start_nanos() > slack_end {
                break;
            }
            slack_end = slack_end.min(self.slots.slack_end(span.slot));
            (before, last) = (last, Some(span));
        }
        let due = last.and_then(|span| self.last_due(span, slack_end));
        let due = due.or_else(|| self.last_due(before?, slack_end));
        Some(due.unwrap_or(slack_end).max(earliest))
    }

    /// Returns the last deadline of a slot that is not after `slack_end`. If the slot has
    /// many timers, returns the end of the slot, or `slack_end` if that is earlier.
    fn last_due(&self, span: Span, slack_end: u64) -> Option<u64> {
        let mut due = None;
        for (count, timer) in self.list(span.slot).enumerate() {
            if count == MAX_EXAMINED {
                return Some(slack_end.min(span.end_nanos()));
            }
            if timer.deadline <= slack_end {
                due = due.max(Some(timer.deadline));
            }
        }
        due
    }
}

/// Returns the slack of a timer that is set for `deadline` at the time `now`, in units of
/// slack.
#[inline]
pub(super) fn slack(deadline: u64, now: u64) -> u16 {
    let slack = deadline.saturating_sub(now) >> (SLACK_SHIFT + SLACK_UNIT_SHIFT);
    u16::try_from(slack).map_or(MAX_SLACK, |slack| slack.min(MAX_SLACK))
}
