//! [`Ends`]: the senders and receivers of a channel whose values are for all,
//! counted, and those of them who wait.
//!
//! # Invariants
//!
//! 1. Each sender and receiver is counted from its making to its drop. No count
//!    overflows: each of them holds one of an `Rc`, which aborts at its own.
//! 2. A receiver is in `waiting` at most once, by the place that it holds.

use std::cell::Cell;

use coreloop_runtime::task::coop;

use crate::Notify;
use crate::listeners::{Listeners, Place};
use crate::on_drop::OnDrop;

pub(crate) struct Ends {
    senders: Cell<usize>,
    receivers: Cell<usize>,
    /// The receivers that wait for something new, or for the end.
    pub(crate) waiting: Listeners,
    /// Told when the last receiver goes.
    deserted: Notify,
}

impl Ends {
    pub(crate) const fn new() -> Self {
        Self {
            senders: Cell::new(0),
            receivers: Cell::new(0),
            waiting: Listeners::new(),
            deserted: Notify::new(),
        }
    }

    pub(crate) fn senders(&self) -> usize {
        self.senders.get()
    }

    #[inline]
    pub(crate) fn receivers(&self) -> usize {
        self.receivers.get()
    }

    pub(crate) fn add_sender(&self) {
        self.senders.set(self.senders.get() + 1);
    }

    /// The receivers see the end when the last one is gone.
    pub(crate) fn remove_sender(&self) {
        let left = self.senders.get() - 1;
        self.senders.set(left);
        if left == 0 {
            self.waiting.tell();
        }
    }

    pub(crate) fn add_receiver(&self) {
        self.receivers.set(self.receivers.get() + 1);
    }

    /// Also gives its place up, if it waits.
    pub(crate) fn remove_receiver(&self, place: &mut Option<Place>) {
        let left = self.receivers.get() - 1;
        self.receivers.set(left);
        let _also = OnDrop(|| {
            if left == 0 {
                self.deserted.notify_waiters();
            }
        });
        self.waiting.leave(place);
    }

    /// Waits until there is no receiver.
    pub(crate) async fn deserted(&self) {
        coop::consume_budget().await;
        loop {
            let deserted = self.deserted.notified();
            if self.receivers() == 0 {
                return;
            }
            deserted.await;
        }
    }
}
