//! [`EventFacts`], the fields of an [`Event`] that a log writes beside its text.

use crate::supervisor::event::Event;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::supervisor) struct EventFacts {
    pub(in crate::supervisor) kind: &'static str,
    pub(in crate::supervisor) slot: Option<u32>,
    /// The process of the worker.
    pub(in crate::supervisor) worker: Option<u32>,
    pub(in crate::supervisor) is_failure: bool,
}

impl EventFacts {
    pub(in crate::supervisor) fn of(event: &Event) -> Self {
        let (kind, worker, is_failure) = match event {
            Event::Listening { .. } => ("listening", None, false),
            Event::Started { slot, pid, .. } => ("started", Some((*slot, *pid)), false),
            Event::Ready { slot, pid, .. } => ("ready", Some((*slot, *pid)), false),
            Event::Ended {
                slot,
                pid,
                expected,
                ..
            } => ("ended", Some((*slot, *pid)), !expected),
            Event::Killed { slot, pid, .. } => ("killed", Some((*slot, *pid)), true),
            Event::Waits { slot, .. } => ("waits", Some((*slot, None)), true),
            Event::Failed { slot, .. } => ("failed", Some((*slot, None)), true),
            Event::Reloaded(result) => ("reloaded", None, result.is_err()),
            Event::Scaled(result) => ("scaled", None, result.is_err()),
            Event::Upgraded(result) => ("upgraded", None, result.is_err()),
            Event::Reopened(result) => ("reopened", None, result.is_err()),
            Event::Bakes { .. } => ("bakes", None, false),
            Event::CheckFailed { slot, pid, .. } => ("check_failed", Some((*slot, *pid)), true),
            Event::Replaced { slot, result } => ("replaced", Some((*slot, None)), result.is_err()),
            Event::NotNotified { .. } => ("not_notified", None, true),
            Event::NotRestored { .. } => ("not_restored", None, true),
            Event::Delaying { .. } => ("delaying", None, false),
            Event::Stopping => ("stopping", None, false),
        };
        Self {
            kind,
            slot: worker.map(|(slot, _)| slot),
            worker: worker.and_then(|(_, pid)| pid),
            is_failure,
        }
    }
}
