//! The receivers.

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
use crate::listeners::Place;

/// Receives all that is sent while it exists.
///
/// It is also a [`Stream`], of values and of [`RecvError::Lagged`], that ends
/// with the channel.
pub struct Receiver<T> {
    channel: Rc<Channel<T>>,
    /// The position of the next value it has to see.
    next: u64,
    /// Its place among those that wait.
    place: Option<Place>,
}

impl<T> Receiver<T> {
    pub(super) fn of(channel: Rc<Channel<T>>) -> Self {
        channel.ends.add_receiver();
        let next = channel.ring.borrow().end();
        Self {
            channel,
            next,
            place: None,
        }
    }

    /// How many values were sent that it has not seen, those included that are
    /// kept no longer.
    #[must_use]
    pub fn len(&self) -> usize {
        let unseen = self.channel.ring.borrow().end() - self.next;
        usize::try_from(unseen).unwrap_or(usize::MAX)
    }

    /// Whether it has seen all that was sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all senders are gone. There may still be something to receive.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.channel.ends.senders() == 0
    }

    /// Whether both receive from the same channel.
    #[must_use]
    pub fn same_channel(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.channel, &other.channel)
    }

    /// How many senders there are.
    #[must_use]
    pub fn sender_strong_count(&self) -> usize {
        self.channel.ends.senders()
    }

    /// How many weak senders there are.
    #[must_use]
    pub fn sender_weak_count(&self) -> usize {
        self.channel.weak_senders.get()
    }

    fn leave(&mut self) {
        self.channel.ends.waiting.leave(&mut self.place);
    }
}

impl<T: Clone> Receiver<T> {
    /// Receives the next value, and waits for it if there is none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a value counts as seen only when this returns it.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] if it fell behind: the next call goes on with the
    /// oldest value that is kept. [`RecvError::Closed`] if it has seen all and
    /// no sender is left.
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        let waiting = Recv { receiver: self };
        poll_fn(|cx| waiting.receiver.poll_recv(cx)).await
    }

    /// Receives a value if there is one now.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if it has seen all, and otherwise what
    /// [`recv`](Self::recv) returns.
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
                // A clone too, as in tokio: whether `clone` is called, which may panic, does
                // not depend on what other receivers do.
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

    /// A receiver of what is sent from now on. It does not get what this one
    /// has yet to see.
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
            ready!(self.channel.ends.waiting.poll_told(&mut self.place, cx));
            // What it was told of may be received by now.
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
        // Dropped at the end, panic or not.
        let _unseen = self.channel.ring.borrow_mut().leave(self.next);
        self.channel.ends.remove_receiver(&mut self.place);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Receiver")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// A receiver that waits; it gives its place up when that is over.
struct Recv<'a, T> {
    receiver: &'a mut Receiver<T>,
}

impl<T> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        self.receiver.leave();
    }
}
