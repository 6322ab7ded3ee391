//! When a loop that sleeps has to be woken for its timers: see
//! [the wheel](super) on sharing a wake.

use crate::engine::timers::wheel::Wheel;
use crate::engine::timers::wheel::slots::Span;

/// So many timers of a slot are looked at to find out about the earliest or
/// the last of them, where an approximation does.
pub(crate) const LOOK_AT: usize = 8;

/// Slacks are counted in so many nanoseconds, as a power of two.
pub(crate) const SLACK_UNIT: u32 = 8;
/// A timer is late by this part of the time that it was set for, as a power of
/// two, if another is due meanwhile.
pub(crate) const SLACK: u32 = 4;
/// But not by more than a millisecond, in `SLACK_UNIT`s.
const MOST_SLACK: u16 = 3906;

impl Wheel {
    /// When the next timer is due, in nanoseconds, or a little before.
    pub(crate) fn next(&self) -> Option<u64> {
        let span = self.slots.occupied(self.ticks).next()?;
        let some = self.list(span.slot).take(LOOK_AT + 1);
        let (count, earliest) = some.fold((0, u64::MAX), |(count, earliest), timer| {
            (count + 1, earliest.min(timer.deadline))
        });
        Some(if count > LOOK_AT {
            span.start_nanos()
        } else {
            earliest
        })
    }

    /// When the next timer is due, to the nanosecond.
    pub(crate) fn next_exactly(&self) -> Option<u64> {
        let span = self.slots.occupied(self.ticks).next()?;
        self.list(span.slot).map(|timer| timer.deadline).min()
    }

    /// When a loop that sleeps should be woken: not after any timer's deadline
    /// and slack, and as late as any deadline is before that.
    pub(crate) fn alarm(&self) -> Option<u64> {
        // A `latest` may have passed, if that timer was cancelled.
        let earliest = self.next()?;
        let mut latest = u64::MAX;
        let (mut before, mut last): (Option<Span>, Option<Span>) = (None, None);
        for span in self.slots.occupied(self.ticks) {
            if span.start_nanos() > latest {
                break;
            }
            latest = latest.min(self.slots.latest(span.slot));
            (before, last) = (last, Some(span));
        }
        let due = last.and_then(|span| self.last_due(span, latest));
        let due = due.or_else(|| self.last_due(before?, latest));
        Some(due.unwrap_or(latest).max(earliest))
    }

    /// The last deadline in a slot that is not after `latest`; if the slot has
    /// many timers, its end for that.
    fn last_due(&self, span: Span, latest: u64) -> Option<u64> {
        let mut due = None;
        for (count, timer) in self.list(span.slot).enumerate() {
            if count == LOOK_AT {
                return Some(latest.min(span.end_nanos()));
            }
            if timer.deadline <= latest {
                due = due.max(Some(timer.deadline));
            }
        }
        due
    }
}

/// By how much a timer may be late that is set at `now`, in `SLACK_UNIT`s.
#[inline]
pub(crate) fn slack(deadline: u64, now: u64) -> u16 {
    let slack = deadline.saturating_sub(now) >> (SLACK + SLACK_UNIT);
    u16::try_from(slack).map_or(MOST_SLACK, |slack| slack.min(MOST_SLACK))
}
