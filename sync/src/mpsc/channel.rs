//! [`Channel`]: the state that the handles of a channel share.
//!
//! # Invariants
//!
//! 1. A slot is free, or granted to a sender that waits, or stands for a permit,
//!    or for a value in the channel. All slots are free exactly if the channel is
//!    idle: then a closed receiver has nothing to wait for.
//! 2. When a slot of a closed channel is returned, `give_back` checks whether it
//!    was the last one, because the receiver may wait for it.
//! 3. Once the receiver was dropped there are no values, and none is put in.
//! 4. Nothing is borrowed while a waker or a value is dropped, cloned or woken.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;

use super::error::{TryRecvError, TrySendError};
use crate::Notify;
use crate::buffer::Buffer;
use crate::capacity::Capacity;
use crate::on_drop::OnDrop;
use crate::waker_cell::{Registered, WakerCell};

pub(super) struct Channel<T> {
    values: RefCell<VecDeque<T>>,
    pub(super) capacity: Capacity,
    pub(super) max_capacity: usize,
    /// The task that waits in `recv`.
    pub(super) receiver: WakerCell,
    /// Whether the receiver was closed or dropped.
    closed: Cell<bool>,
    /// Whether the receiver was dropped.
    receiver_dropped: Cell<bool>,
    senders: Cell<usize>,
    weak_senders: Cell<usize>,
    /// Notified when the receiver is closed or dropped.
    closing: Notify,
}

impl<T> Channel<T> {
    pub(super) fn new(max_capacity: usize) -> Self {
        Self {
            values: RefCell::new(VecDeque::new()),
            capacity: Capacity::new(max_capacity),
            max_capacity,
            receiver: WakerCell::new(),
            closed: Cell::new(false),
            receiver_dropped: Cell::new(false),
            senders: Cell::new(0),
            weak_senders: Cell::new(0),
            closing: Notify::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.values.borrow().len()
    }

    /// Returns whether the receiver was closed or dropped.
    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    pub(super) fn strong_count(&self) -> usize {
        self.senders.get()
    }

    pub(super) fn weak_count(&self) -> usize {
        self.weak_senders.get()
    }

    fn has_senders(&self) -> bool {
        self.senders.get() > 0
    }

    // No count overflows: each sender holds a count of the `Rc`, which aborts the process
    // when that overflows.

    pub(super) fn add_sender(&self) {
        self.senders.set(self.senders.get() + 1);
    }

    /// Wakes the receiver if this was the last sender, so that it sees the end.
    pub(super) fn remove_sender(&self) {
        let left = self.senders.get() - 1;
        self.senders.set(left);
        if left == 0 {
            self.receiver.wake();
        }
    }

    pub(super) fn add_weak_sender(&self) {
        self.weak_senders.set(self.weak_senders.get() + 1);
    }

    pub(super) fn remove_weak_sender(&self) {
        self.weak_senders.set(self.weak_senders.get() - 1);
    }

    /// Returns whether no sender can reserve room any more: the receiver was closed, or all
    /// senders were dropped.
    pub(super) fn has_ended(&self) -> bool {
        self.is_closed() || !self.has_senders()
    }

    /// Takes slots without waiting.
    #[inline]
    pub(super) fn try_reserve(&self, count: usize) -> Result<(), TrySendError<()>> {
        if self.closed.get() {
            return Err(TrySendError::Closed(()));
        }
        if !self.capacity.try_take(count) {
            return Err(TrySendError::Full(()));
        }
        Ok(())
    }

    /// Takes a slot and puts the value into it, without waiting.
    #[inline]
    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.try_reserve(1) {
            Ok(()) => {
                self.put_open(value);
                Ok(())
            }
            Err(error) => Err(error.map(|()| value)),
        }
    }

    /// Puts a value into a slot that was taken for it, or drops it if the receiver was
    /// dropped.
    #[inline]
    pub(super) fn put(&self, value: T) {
        if self.receiver_dropped.get() {
            self.capacity.add_one();
            return;
        }
        self.put_open(value);
    }

    /// Like [`put`](Self::put), for a slot that was taken just now, so that the receiver
    /// exists.
    #[inline]
    pub(super) fn put_open(&self, value: T) {
        debug_assert!(
            !self.receiver_dropped.get(),
            "the channel was open when the slot was taken"
        );
        self.values.borrow_mut().push_back(value);
        self.receiver.wake();
    }

    /// Returns slots without values.
    pub(super) fn give_back(&self, count: usize) {
        if count == 0 {
            return;
        }
        self.capacity.add(count);
        if self.closed.get() && self.is_idle() {
            self.receiver.wake();
        }
    }

    #[inline]
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        ready!(coop::poll_proceed(cx));
        if let Poll::Ready(value) = self.receive() {
            return Poll::Ready(value);
        }
        self.wait(cx)
    }

    #[cold]
    fn wait(&self, cx: &Context<'_>) -> Poll<Option<T>> {
        match self.receiver.register(cx) {
            Registered::Unchanged => Poll::Pending,
            Registered::Replaced => self.receive(),
        }
    }

    pub(super) fn poll_receive_many(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<T>,
        limit: usize,
    ) -> Poll<usize> {
        ready!(coop::poll_proceed(cx));
        if limit == 0 {
            return Poll::Ready(0);
        }
        if let Poll::Ready(count) = self.receive_many(buffer, limit) {
            return Poll::Ready(count);
        }
        match self.receiver.register(cx) {
            Registered::Unchanged => Poll::Pending,
            Registered::Replaced => self.receive_many(buffer, limit),
        }
    }

    pub(super) fn try_receive(&self) -> Result<T, TryRecvError> {
        match self.receive() {
            Poll::Ready(Some(value)) => Ok(value),
            Poll::Ready(None) => Err(TryRecvError::Disconnected),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    #[inline]
    fn receive(&self) -> Poll<Option<T>> {
        let mut values = self.values.borrow_mut();
        let Some(value) = values.pop_front() else {
            drop(values);
            return self.end();
        };
        if values.is_empty() {
            trim(&mut values);
        }
        drop(values);
        self.capacity.add_one();
        Poll::Ready(Some(value))
    }

    /// Ready if no value will be put into the channel any more. The channel is empty.
    #[cold]
    fn end(&self) -> Poll<Option<T>> {
        if self.is_finished() {
            self.receiver.clear();
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    fn receive_many(&self, buffer: &mut Vec<T>, limit: usize) -> Poll<usize> {
        let mut values = self.values.borrow_mut();
        let count = limit.min(values.len());
        buffer.extend(values.drain(..count));
        values.trim();
        drop(values);
        if count > 0 {
            self.capacity.add(count);
            return Poll::Ready(count);
        }
        self.end().map(|_| 0)
    }

    /// Returns whether no value will be put into the channel any more.
    fn is_finished(&self) -> bool {
        !self.has_senders() || (self.closed.get() && self.is_idle())
    }

    fn is_idle(&self) -> bool {
        self.capacity.free() == self.max_capacity
    }

    /// Refuses new values from now on.
    pub(super) fn close(&self) {
        if self.closed.replace(true) {
            return;
        }
        let _notify = OnDrop(|| self.closing.notify_waiters());
        self.capacity.close();
        if self.is_idle() {
            // A task that polled the receiver before may wait for the end.
            self.receiver.wake();
        }
    }

    /// Waits until the receiver is closed or dropped.
    pub(super) async fn closed(&self) {
        coop::consume_budget().await;
        let closing = self.closing.notified();
        if !self.closed.get() {
            closing.await;
        }
    }

    /// Called when the receiver is dropped.
    pub(super) fn drop_receiver(&self) {
        self.receiver_dropped.set(true);
        // Dropped at the end, even if a waker panics, when nothing is borrowed any more.
        let _waker = self.receiver.take();
        let values = mem::take(&mut *self.values.borrow_mut());
        self.close();
        // No sender waits any more, so this wakes none.
        self.capacity.add(values.len());
    }
}

/// Not inlined, because most values that are received are not the last one.
#[inline(never)]
fn trim<T>(values: &mut VecDeque<T>) {
    values.trim();
}
