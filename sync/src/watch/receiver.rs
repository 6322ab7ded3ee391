//! The receivers.

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
use crate::listeners::Place;

/// Watches the value of a channel.
///
/// A clone has seen what this one has seen, and goes its own way from there.
///
/// It is also a [`Stream`] of clones of the value: the first when the value has
/// [changed](Self::changed) and after that the latest whenever it is polled. To
/// begin with the current value, call [`mark_changed`](Self::mark_changed).
pub struct Receiver<T> {
    channel: Rc<Channel<T>>,
    /// Of the value that it has seen.
    version: u64,
    /// Its place among those that wait.
    place: Option<Place>,
}

impl<T> Receiver<T> {
    pub(super) fn of(channel: Rc<Channel<T>>, version: u64) -> Self {
        channel.ends.add_receiver();
        Self {
            channel,
            version,
            place: None,
        }
    }

    /// Looks at the value, and leaves it unseen if it was: in a loop with
    /// [`changed`](Self::changed), use
    /// [`borrow_and_update`](Self::borrow_and_update).
    ///
    /// # Panics
    ///
    /// If it is called by a closure that changes the value.
    #[must_use]
    #[track_caller]
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref::new(self.channel.value.look(), self.is_unseen())
    }

    /// Looks at the value, which counts as seen from then on.
    ///
    /// # Panics
    ///
    /// If it is called by a closure that changes the value.
    #[track_caller]
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.channel.value.look();
        let has_changed = self.is_unseen();
        self.mark_unchanged();
        Ref::new(value, has_changed)
    }

    /// Waits until there is a value that it has not seen, which counts as seen
    /// when this returns.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a value counts as seen only when this returns.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if it has seen the last value and all senders are gone.
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
    ///     sender.send(3).unwrap(); // Nobody has looked at 2.
    ///     drop(sender);
    ///     assert_eq!(task.await.unwrap(), [1, 3]);
    /// });
    /// ```
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        let waiting = Changed { receiver: self };
        poll_fn(|cx| waiting.receiver.poll_changed(cx)).await
    }

    /// Waits until the value is as the closure wants it, and looks at it.
    ///
    /// The closure is called with the current value first, seen or not. What it
    /// was called with counts as seen.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what the closure was called with counts as seen, and
    /// nothing else is lost.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the last value is not as wanted and all senders are
    /// gone.
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
        let mut is_over = false;
        loop {
            let value = self.channel.value.look();
            let has_changed = self.is_unseen();
            self.mark_unchanged();
            // With the last value it was called before the senders went.
            if (!is_over || has_changed) && is_wanted(&value) {
                return Ok(Ref::new(value, has_changed));
            }
            // Nobody looks any more, so that it can be changed in place.
            drop(value);
            if is_over {
                return Err(RecvError(()));
            }
            is_over = self.changed().await.is_err();
        }
    }

    /// Whether there is a value that it has not seen.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if all senders are gone, even if the last value is unseen.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        if self.is_closed() {
            return Err(RecvError(()));
        }
        Ok(self.is_unseen())
    }

    /// Whether all senders are gone. There may still be an unseen value.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.channel.ends.senders() == 0
    }

    /// Counts the current value as unseen: [`changed`](Self::changed) then
    /// returns at once.
    pub fn mark_changed(&mut self) {
        self.version = self.channel.version.get().wrapping_sub(1);
    }

    /// Counts the current value as seen.
    pub fn mark_unchanged(&mut self) {
        self.version = self.channel.version.get();
    }

    /// Whether both belong to the same channel.
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
            ready!(self.channel.ends.waiting.poll_told(&mut self.place, cx));
            // What it was told of may be seen by now.
        }
    }

    fn leave(&mut self) {
        self.channel.ends.waiting.leave(&mut self.place);
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
        self.channel.ends.remove_receiver(&mut self.place);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Receiver")
            .field("version", &self.version)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A receiver that waits; it gives its place up when that is over.
struct Changed<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T> Drop for Changed<'_, T> {
    fn drop(&mut self) {
        self.receiver.leave();
    }
}
