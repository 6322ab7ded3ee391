//! What the handles of a channel share.
//!
//! # Invariants
//!
//! 1. A slot is free, or with a waiting sender that was granted it, or stands
//!    for a permit, or for a value in the channel. All are free exactly when
//!    the channel is idle: then a closed receiver has nothing to wait for.
//! 2. Whoever returns a slot of a closed channel looks whether it was the last
//!    (`give_back`), for the receiver may wait for just that.
//! 3. Once the receiver is gone there are no values, and none is put in.
//! 4. Nothing is borrowed while a waker or a value is dropped, cloned or woken.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;

use super::error::{TryRecvError, TrySendError};
use crate::Notify;
use crate::on_drop::OnDrop;
use crate::room::Buffer;
use crate::slots::Slots;
use crate::waker_slot::{Kept, WakerSlot};

pub(super) struct Channel<T> {
    values: RefCell<VecDeque<T>>,
    pub(super) slots: Slots,
    pub(super) bound: usize,
    /// The task that waits in `recv`.
    pub(super) receiver: WakerSlot,
    /// Whether the receiver takes nothing new.
    closed: Cell<bool>,
    /// Whether the receiver is gone.
    abandoned: Cell<bool>,
    pub(super) senders: Cell<usize>,
    pub(super) weak_senders: Cell<usize>,
    /// Told when the receiver closes.
    closing: Notify,
}

impl<T> Channel<T> {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            values: RefCell::new(VecDeque::new()),
            slots: Slots::new(bound),
            bound,
            receiver: WakerSlot::new(),
            closed: Cell::new(false),
            abandoned: Cell::new(false),
            senders: Cell::new(0),
            weak_senders: Cell::new(0),
            closing: Notify::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.values.borrow().len()
    }

    /// Whether the receiver is closed.
    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    pub(super) fn has_senders(&self) -> bool {
        self.senders.get() > 0
    }

    /// Takes slots without waiting.
    #[inline]
    pub(super) fn try_reserve(&self, count: usize) -> Result<(), TrySendError<()>> {
        if self.closed.get() {
            return Err(TrySendError::Closed(()));
        }
        if !self.slots.try_take(count) {
            return Err(TrySendError::Full(()));
        }
        Ok(())
    }

    /// Puts a value into a slot that was taken for it before.
    #[inline]
    pub(super) fn put(&self, value: T) {
        if self.abandoned.get() {
            self.slots.add_one();
            return;
        }
        self.put_open(value);
    }

    /// As [`put`](Self::put), when the slot was taken just now: so the receiver is there.
    #[inline]
    pub(super) fn put_open(&self, value: T) {
        debug_assert!(!self.abandoned.get(), "it was open when the slot was taken");
        self.values.borrow_mut().push_back(value);
        self.receiver.wake();
    }

    /// Returns slots that no value was put into.
    pub(super) fn give_back(&self, count: usize) {
        if count == 0 {
            return;
        }
        self.slots.add(count);
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
        match self.receiver.keep(cx) {
            Kept::Already => Poll::Pending,
            Kept::Anew => self.receive(),
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
        match self.receiver.keep(cx) {
            Kept::Already => Poll::Pending,
            Kept::Anew => self.receive_many(buffer, limit),
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
        self.slots.add_one();
        Poll::Ready(Some(value))
    }

    /// Ready if nothing more will come into the channel, which is empty.
    #[cold]
    fn end(&self) -> Poll<Option<T>> {
        if self.is_over() {
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
            self.slots.add(count);
            return Poll::Ready(count);
        }
        self.end().map(|_| 0)
    }

    /// Whether nothing more will come into an empty channel.
    fn is_over(&self) -> bool {
        !self.has_senders() || (self.closed.get() && self.is_idle())
    }

    fn is_idle(&self) -> bool {
        self.slots.free() == self.bound
    }

    /// Takes nothing new from here on.
    pub(super) fn close(&self) {
        if self.closed.replace(true) {
            return;
        }
        let _also = OnDrop(|| self.closing.notify_waiters());
        self.slots.close();
        if self.is_idle() {
            // Polled before by a task that may wait for the end.
            self.receiver.wake();
        }
    }

    /// Waits until the receiver is closed or gone.
    pub(super) async fn closed(&self) {
        coop::consume_budget().await;
        let closing = self.closing.notified();
        if !self.closed.get() {
            closing.await;
        }
    }

    /// Closes for a receiver that is dropped.
    pub(super) fn abandon(&self) {
        self.abandoned.set(true);
        // Dropped at the end, panic or not, when nothing is borrowed any more.
        let _waker = self.receiver.take();
        let values = mem::take(&mut *self.values.borrow_mut());
        self.close();
        // Nobody waits any more, so this wakes nobody.
        self.slots.add(values.len());
    }
}

/// Not inlined, as most values leave others behind.
#[inline(never)]
fn trim<T>(values: &mut VecDeque<T>) {
    values.trim();
}

/// Receives the next value.
pub(super) struct Receiving<'a, T> {
    channel: &'a Channel<T>,
    /// Whether the last poll was pending.
    waits: bool,
}

impl<'a, T> Receiving<'a, T> {
    #[inline]
    pub(super) fn new(channel: &'a Channel<T>) -> Self {
        Self {
            channel,
            waits: false,
        }
    }
}

/// Receives several values.
pub(super) struct ReceivingMany<'a, T> {
    channel: &'a Channel<T>,
    buffer: &'a mut Vec<T>,
    limit: usize,
}

impl<'a, T> ReceivingMany<'a, T> {
    pub(super) fn new(channel: &'a Channel<T>, buffer: &'a mut Vec<T>, limit: usize) -> Self {
        ReceivingMany {
            channel,
            buffer,
            limit,
        }
    }
}

impl<T> Future for Receiving<'_, T> {
    type Output = Option<T>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let received = self.channel.poll_receive(cx);
        self.waits = received.is_pending();
        received
    }
}

impl<T> Future for ReceivingMany<'_, T> {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let this = self.get_mut();
        this.channel.poll_receive_many(cx, this.buffer, this.limit)
    }
}

/// A waker that is left behind would keep the memory of its task.
impl<T> Drop for Receiving<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.waits {
            self.channel.receiver.clear();
        }
    }
}

impl<T> Drop for ReceivingMany<'_, T> {
    fn drop(&mut self) {
        self.channel.receiver.clear();
    }
}
