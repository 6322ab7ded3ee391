//! The receivers of a watch channel.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;
use futures_core::Stream;

use super::Ref;
use super::channel::Channel;
use super::error::RecvError;
use crate::waiter_set::SetKey;

/// The receiving end of a watch channel.
///
/// A clone starts with what this receiver has seen, and is independent of it from
/// then on.
///
/// A receiver is also a [`Stream`] of clones of the value: each item is the latest
/// value, once the value has [changed](Self::changed). To begin with the current
/// value, call [`mark_changed`](Self::mark_changed).
pub struct Receiver<T> {
    channel: Rc<Channel<T>>,
    /// The version of the value that it has seen last.
    version: u64,
    /// Its entry in the set of waiters, while it waits.
    key: Option<SetKey>,
}

impl<T> Receiver<T> {
    pub(super) fn of(channel: Rc<Channel<T>>, version: u64) -> Self {
        channel.endpoints.add_receiver();
        Self {
            channel,
            version,
            key: None,
        }
    }

    /// Borrows the value, without marking it as seen. In a loop with
    /// [`changed`](Self::changed), use
    /// [`borrow_and_update`](Self::borrow_and_update).
    ///
    /// # Panics
    ///
    /// Panics if it is called by a closure that changes the value.
    #[must_use]
    #[track_caller]
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref::new(self.channel.value.share(), self.is_unseen())
    }

    /// Borrows the value, and marks it as seen.
    ///
    /// # Panics
    ///
    /// Panics if it is called by a closure that changes the value.
    #[track_caller]
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.channel.value.share();
        let has_changed = self.is_unseen();
        self.mark_unchanged();
        Ref::new(value, has_changed)
    }

    /// Waits until there is a value that the receiver has not seen, and marks it as
    /// seen.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a value is marked as seen only when `changed` returns.
    ///
    /// # Errors
    ///
    /// Returns [`RecvError`] if the receiver has seen the last value and all senders
    /// were dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::watch;
    ///
    /// coreloop::block_on(async {
    ///     let (sender, mut receiver) = watch::channel(1);
    ///     let task = coreloop::spawn(async move {
    ///         let mut seen = vec![*receiver.borrow_and_update()];
    ///         while receiver.changed().await.is_ok() {
    ///             seen.push(*receiver.borrow_and_update());
    ///         }
    ///         seen
    ///     });
    ///     coreloop::task::yield_now().await;
    ///     sender.send(2).unwrap();
    ///     sender.send(3).unwrap(); // The task has not seen 2.
    ///     drop(sender);
    ///     assert_eq!(task.await.unwrap(), [1, 3]);
    /// });
    /// ```
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        let waiting = Changed { receiver: self };
        poll_fn(|cx| waiting.receiver.poll_changed(cx)).await
    }

    /// Waits until the closure returns true for the value, and borrows the value.
    ///
    /// The closure is called with the current value first, even if the receiver has
    /// seen it. Each value that it is called with is marked as seen.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the values that the closure was called with are marked as seen,
    /// and nothing else is lost.
    ///
    /// # Errors
    ///
    /// Returns [`RecvError`] if the closure returns false for the last value and all
    /// senders were dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::watch;
    ///
    /// coreloop::block_on(async {
    ///     let (sender, mut receiver) = watch::channel(1);
    ///     coreloop::spawn(async move {
    ///         for number in 2..10 {
    ///             sender.send(number).unwrap();
    ///             coreloop::task::yield_now().await;
    ///         }
    ///     });
    ///     let number = receiver.wait_for(|number| *number > 5).await.unwrap();
    ///     assert_eq!(*number, 6);
    /// });
    /// ```
    pub async fn wait_for(
        &mut self,
        mut is_wanted: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T>, RecvError> {
        coop::consume_budget().await;
        let mut is_finished = false;
        loop {
            let value = self.channel.value.share();
            let has_changed = self.is_unseen();
            self.mark_unchanged();
            // If the senders were dropped without a change, the closure has seen the last
            // value already.
            if (!is_finished || has_changed) && is_wanted(&value) {
                return Ok(Ref::new(value, has_changed));
            }
            // Dropped before the wait, so that senders can change the value in place.
            drop(value);
            if is_finished {
                return Err(RecvError(()));
            }
            is_finished = self.changed().await.is_err();
        }
    }

    /// Returns whether there is a value that the receiver has not seen.
    ///
    /// # Errors
    ///
    /// Returns [`RecvError`] if all senders were dropped, even if the receiver has not
    /// seen the last value.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        if self.is_closed() {
            return Err(RecvError(()));
        }
        Ok(self.is_unseen())
    }

    /// Returns whether all senders were dropped. There may still be an unseen value.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.channel.endpoints.senders() == 0
    }

    /// Marks the current value as unseen, so that [`changed`](Self::changed) returns at
    /// once.
    pub fn mark_changed(&mut self) {
        self.version = self.channel.version.get().wrapping_sub(1);
    }

    /// Marks the current value as seen.
    pub fn mark_unchanged(&mut self) {
        self.version = self.channel.version.get();
    }

    /// Returns whether both handles belong to the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.channel, &other.channel)
    }

    #[inline]
    fn is_unseen(&self) -> bool {
        self.version != self.channel.version.get()
    }

    fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), RecvError>> {
        ready!(coop::poll_proceed(cx));
        loop {
            if self.is_unseen() || self.is_closed() {
                let changed = if self.is_unseen() {
                    Ok(())
                } else {
                    Err(RecvError(()))
                };
                self.mark_unchanged();
                self.leave();
                return Poll::Ready(changed);
            }
            ready!(
                self.channel
                    .endpoints
                    .waiting
                    .poll_notified(&mut self.key, cx)
            );
            // The receiver may have seen the new value meanwhile, so check again.
        }
    }

    fn leave(&mut self) {
        self.channel.endpoints.waiting.remove(&mut self.key);
    }
}

impl<T: Clone> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        let changed = ready!(this.poll_changed(cx));
        Poll::Ready(changed.is_ok().then(|| this.borrow_and_update().clone()))
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::of(Rc::clone(&self.channel), self.version)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.endpoints.remove_receiver(&mut self.key);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("version", &self.version)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A receiver that waits. It is removed from the waiters when this is dropped.
struct Changed<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T> Drop for Changed<'_, T> {
    fn drop(&mut self) {
        self.receiver.leave();
    }
}
