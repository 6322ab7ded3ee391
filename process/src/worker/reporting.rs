//! [`Reporting`], which sends the metrics that have changed to the master.
//!
//! # Invariants
//!
//! 1. Metrics are sent only while the socket has room, so they never take the place of another
//!    message, and a master that does not read costs the worker nothing.
//! 2. A value that was not sent is found again, as it still differs from the one that was sent.

use std::cell::{Cell, RefCell};
use std::io;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use coreloop_runtime::runtime::{self, RuntimeMetrics};

use super::shared::WorkerShared;
use crate::channel::{AsyncChannel, ToMaster};
use crate::metrics::Outbox;

/// How long a worker that ends waits for a master that does not read.
const LAST_WAIT: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
pub(super) struct Reporting {
    outbox: RefCell<Outbox>,
    /// Whether changes may be left to send.
    is_sending: Cell<bool>,
    /// Whether the master waits for a report, which follows the changes.
    answer: Cell<bool>,
    /// Whether it was reported that series were refused.
    refusal_was_reported: Cell<bool>,
}

impl Reporting {
    /// Begins to send what has changed.
    pub(super) fn begin(&self) {
        self.outbox.borrow_mut().restart();
        self.is_sending.set(true);
    }

    /// Like [`begin`](Self::begin), with a report at the end.
    pub(super) fn begin_answer(&self) {
        self.answer.set(true);
        self.begin();
    }

    /// Sends as much as there is room for, and registers the task for more room.
    pub(super) fn poll_send(
        &self,
        shared: &WorkerShared,
        channel: &AsyncChannel,
        cx: &mut Context<'_>,
    ) {
        while self.is_sending.get() {
            match channel.poll_send_with(cx, || self.send_next(shared, &runtime::metrics())) {
                Poll::Ready(Ok(true)) => {}
                // An error means that the master has ended, which the link notices.
                Poll::Ready(Ok(false) | Err(_)) => self.is_sending.set(false),
                Poll::Pending => return,
            }
        }
    }

    /// Sends everything that is left when the worker ends. The loop does not run any more.
    /// `metrics` are those it had at the end.
    pub(super) fn send_last(&self, shared: &WorkerShared, metrics: &RuntimeMetrics) {
        let end = Instant::now() + LAST_WAIT;
        self.begin();
        self.answer.set(true);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match shared.has_room(left) {
                Ok(true) => {}
                // Interrupted, unless the time is up.
                Ok(false) if !left.is_zero() => continue,
                Ok(false) | Err(_) => return,
            }
            if !self.send_next(shared, metrics).unwrap_or(false) {
                return;
            }
        }
    }

    /// Sends the next message, and returns whether there was one.
    fn send_next(&self, shared: &WorkerShared, metrics: &RuntimeMetrics) -> io::Result<bool> {
        // The threads of a process share its metrics, which the master in it reads itself.
        let piece = if shared.is_process {
            self.outbox.borrow().piece()
        } else {
            None
        };
        if let Some(piece) = piece {
            let message = ToMaster::Metrics(piece.changes);
            shared.try_send(&message)?;
            let ToMaster::Metrics(changes) = message else {
                return Ok(false);
            };
            let end = piece.end;
            self.outbox.borrow_mut().sent(changes, end);
            return Ok(true);
        }
        if !self.answer.get() {
            return Ok(false);
        }
        let report = shared.report(metrics);
        shared.try_send(&ToMaster::Report(Box::new(report)))?;
        self.answer.set(false);
        Ok(true)
    }

    /// Returns whether series were refused, the first time that they are.
    pub(super) fn is_first_refusal(&self, refused: u64) -> bool {
        refused > 0 && !self.refusal_was_reported.replace(true)
    }
}
