//! [`EndpointCounts`]: the counts of senders and receivers of a channel whose receivers
//! all get each value, and the receivers that wait.
//!
//! # Invariants
//!
//! 1. Each sender and receiver is counted from its construction to its drop. No count
//!    overflows, because each of them holds a count of an `Rc`, which aborts the process
//!    when it overflows.
//! 2. A receiver is in `waiting` at most once, under the key that it holds.

use std::cell::Cell;

use coreloop_runtime::task::coop;

use crate::Notify;
use crate::on_drop::OnDrop;
use crate::waiter_set::{SetKey, WaiterSet};

pub(crate) struct EndpointCounts {
    senders: Cell<usize>,
    receivers: Cell<usize>,
    /// The receivers that wait for a new value, or for the end.
    pub(crate) waiting: WaiterSet,
    /// Notified when the last receiver is dropped.
    no_receivers: Notify,
}

impl EndpointCounts {
    pub(crate) const fn new() -> Self {
        Self {
            senders: Cell::new(0),
            receivers: Cell::new(0),
            waiting: WaiterSet::new(),
            no_receivers: Notify::new(),
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

    /// Notifies the receivers if this was the last sender, so that they see the end.
    pub(crate) fn remove_sender(&self) {
        let left = self.senders.get() - 1;
        self.senders.set(left);
        if left == 0 {
            self.waiting.notify_all();
        }
    }

    pub(crate) fn add_receiver(&self) {
        self.receivers.set(self.receivers.get() + 1);
    }

    /// Also removes the receiver from the waiters, if it waits.
    pub(crate) fn remove_receiver(&self, key: &mut Option<SetKey>) {
        let left = self.receivers.get() - 1;
        self.receivers.set(left);
        let _notify = OnDrop(|| {
            if left == 0 {
                self.no_receivers.notify_waiters();
            }
        });
        self.waiting.remove(key);
    }

    /// Waits until there is no receiver.
    pub(crate) async fn no_receivers(&self) {
        coop::consume_budget().await;
        loop {
            let no_receivers = self.no_receivers.notified();
            if self.receivers() == 0 {
                return;
            }
            no_receivers.await;
        }
    }
}
