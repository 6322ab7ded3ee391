//! The receivers of a broadcast channel.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;
use futures_core::Stream;

use super::channel::Channel;
use super::error::{RecvError, TryRecvError};
use super::ring::Seen;
use crate::waiter_set::SetKey;

/// The receiving end of a broadcast channel, which receives all values that are sent while it
/// exists.
///
/// It is also a [`Stream`] of values and of [`RecvError::Lagged`], which ends when the
/// channel is closed.
pub struct Receiver<T> {
    channel: Rc<Channel<T>>,
    /// The position of the next value to receive.
    next: u64,
    /// Its entry in the set of waiters, while it waits.
    key: Option<SetKey>,
}

impl<T> Receiver<T> {
    pub(super) fn of(channel: Rc<Channel<T>>) -> Self {
        channel.endpoints.add_receiver();
        let next = channel.ring.borrow().end();
        Self {
            channel,
            next,
            key: None,
        }
    }

    /// Returns the number of sent values that this receiver has not received, including values
    /// that are no longer kept.
    #[must_use]
    pub fn len(&self) -> usize {
        let unseen = self.channel.ring.borrow().end() - self.next;
        usize::try_from(unseen).unwrap_or(usize::MAX)
    }

    /// Returns whether this receiver has received all values that were sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether all senders were dropped. There may still be values to receive.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.channel.endpoints.senders() == 0
    }

    /// Returns whether both receivers receive from the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.channel, &other.channel)
    }

    /// Returns the number of senders.
    #[must_use]
    pub fn sender_strong_count(&self) -> usize {
        self.channel.endpoints.senders()
    }

    /// Returns the number of weak senders.
    #[must_use]
    pub fn sender_weak_count(&self) -> usize {
        self.channel.weak_senders.get()
    }

    fn leave(&mut self) {
        self.channel.endpoints.waiting.remove(&mut self.key);
    }
}

impl<T: Clone> Receiver<T> {
    /// Receives the next value, and waits for it if there is none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a value counts as received only when `recv` returns it.
    ///
    /// # Errors
    ///
    /// Returns [`RecvError::Lagged`] if the receiver fell behind: the next call continues
    /// with the oldest value that is kept. Returns [`RecvError::Closed`] if all values were
    /// received and all senders were dropped.
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        let waiting = Recv { receiver: self };
        poll_fn(|cx| waiting.receiver.poll_recv(cx)).await
    }

    /// Receives a value if there is one now.
    ///
    /// # Errors
    ///
    /// Returns [`TryRecvError::Empty`] if all values were received, and otherwise an error
    /// if [`recv`](Self::recv) would.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::broadcast::{self, error::TryRecvError};
    ///
    /// let (sender, mut receiver) = broadcast::channel(16);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let seen = self.channel.ring.borrow_mut().see(self.next);
        match seen {
            Seen::Last(value) => {
                self.next += 1;
                // A clone too, as in tokio, so that a call of `clone`, which may panic, does
                // not depend on other receivers.
                Ok(value.clone())
            }
            Seen::Shared(shared) => {
                self.next += 1;
                let value = (*shared).clone();
                value.ok_or(TryRecvError::Empty)
            }
            Seen::Missed(missed) => {
                self.next += missed;
                Err(TryRecvError::Lagged(missed))
            }
            Seen::Nothing if self.is_closed() => Err(TryRecvError::Closed),
            Seen::Nothing => Err(TryRecvError::Empty),
        }
    }

    /// Creates a receiver of the values that are sent from now on. It does not get values
    /// that this receiver has not received yet.
    #[must_use = "it counts as a receiver while it exists"]
    pub fn resubscribe(&self) -> Self {
        Self::of(Rc::clone(&self.channel))
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        ready!(coop::poll_proceed(cx));
        loop {
            let received = match self.try_recv() {
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Closed) => Some(Err(RecvError::Closed)),
                Err(TryRecvError::Lagged(missed)) => Some(Err(RecvError::Lagged(missed))),
                Ok(value) => Some(Ok(value)),
            };
            if let Some(received) = received {
                self.leave();
                return Poll::Ready(received);
            }
            ready!(
                self.channel
                    .endpoints
                    .waiting
                    .poll_notified(&mut self.key, cx)
            );
            // The receiver may have received the new value meanwhile, so check again.
        }
    }
}

impl<T: Clone> Stream for Receiver<T> {
    type Item = Result<T, RecvError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let received = ready!(self.get_mut().poll_recv(cx));
        Poll::Ready(match received {
            Err(RecvError::Closed) => None,
            received => Some(received),
        })
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // Dropped at the end, even if a waker panics.
        let _unseen = self.channel.ring.borrow_mut().leave(self.next);
        self.channel.endpoints.remove_receiver(&mut self.key);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// A receiver that waits. It is removed from the waiters when this is dropped.
struct Recv<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        self.receiver.leave();
    }
}
