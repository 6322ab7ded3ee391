//! One value from one sender to one receiver.
//!
//! [`channel`] creates the two ends. [`Sender::send`] does not wait. The
//! [`Receiver`] is a future that completes with the value, or with an error if
//! the sender was dropped without sending. A task uses such a channel to answer
//! another task.
//!
//! # Examples
//!
//! ```
//! use coreloop::sync::{mpsc, oneshot};
//!
//! struct Question {
//!     number: u64,
//!     answer: oneshot::Sender<u64>,
//! }
//!
//! coreloop::block_on(async {
//!     let (ask, mut questions) = mpsc::channel::<Question>(8);
//!     coreloop::spawn(async move {
//!         while let Some(question) = questions.recv().await {
//!             // The task that asked may have been cancelled meanwhile.
//!             let _ = question.answer.send(question.number * 2);
//!         }
//!     });
//!     let (answer, answered) = oneshot::channel();
//!     ask.send(Question { number: 21, answer }).await.unwrap();
//!     assert_eq!(answered.await, Ok(42));
//! });
//! ```

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop;
use futures_core::Stream;

use self::error::{RecvError, TryRecvError};
use crate::pair_rc::PairRc;
use crate::waker_cell::{Registered, WakerCell};

/// Errors of oneshot channels.
pub mod error {
    use std::error::Error;
    use std::fmt;

    /// The error of a [`Receiver`](super::Receiver): the sender was dropped without
    /// sending, or the receiver was closed before.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RecvError(pub(super) ());

    impl fmt::Display for RecvError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("channel closed")
        }
    }

    impl Error for RecvError {}

    /// The error of [`Receiver::try_recv`](super::Receiver::try_recv).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum TryRecvError {
        /// No value was sent yet.
        Empty,
        /// No value will be sent, or it was received already.
        Closed,
    }

    impl fmt::Display for TryRecvError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(match self {
                Self::Empty => "channel empty",
                Self::Closed => "channel closed",
            })
        }
    }

    impl Error for TryRecvError {}
}

/// The state that both ends share. It is in cells that are taken and set, so nothing is
/// ever borrowed. The cells are small, because a large cell that was written in parts is
/// slow to read as a whole.
struct Channel<T> {
    state: Cell<ChannelState>,
    /// The value that was sent and not received yet.
    value: Cell<Option<T>>,
    /// The task that waits for the value.
    receiver: WakerCell,
    /// The task that waits in `closed`.
    sender: WakerCell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChannelState {
    /// A value may still be sent.
    Open,
    /// The sender has sent a value, or was dropped.
    Finished,
    /// The receiver was closed or dropped before that.
    Closed,
}

/// Creates a channel for one value.
///
/// # Examples
///
/// ```
/// use coreloop::sync::oneshot;
///
/// coreloop::block_on(async {
///     let (sender, receiver) = oneshot::channel();
///     coreloop::spawn(async move { sender.send("hello") });
///     assert_eq!(receiver.await, Ok("hello"));
///
///     let (sender, receiver) = oneshot::channel::<u8>();
///     drop(sender);
///     assert!(receiver.await.is_err());
/// });
/// ```
#[inline]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = PairRc::new_pair(|| Channel {
        state: Cell::new(ChannelState::Open),
        value: Cell::new(None),
        receiver: WakerCell::new(),
        sender: WakerCell::new(),
    });
    let sender = Sender {
        channel: Some(sender),
    };
    let receiver = Receiver {
        channel: Some(receiver),
    };
    (sender, receiver)
}

/// The sending end of a oneshot channel.
pub struct Sender<T> {
    /// `None` once a value was sent.
    channel: Option<PairRc<Channel<T>>>,
}

impl<T> Sender<T> {
    /// Sends the value, without waiting.
    ///
    /// A value that was sent is not always received: the receiver may still be
    /// dropped, and the value with it.
    ///
    /// # Errors
    ///
    /// Returns the value if the receiver was closed or dropped.
    #[inline]
    pub fn send(mut self, value: T) -> Result<(), T> {
        let Some(channel) = self.channel.take() else {
            unreachable!("only `send` takes it, which consumes the sender");
        };
        if channel.state.get() == ChannelState::Closed {
            return Err(value);
        }
        channel.value.set(Some(value));
        channel.state.set(ChannelState::Finished);
        channel.receiver.wake();
        Ok(())
    }

    /// Waits until the receiver is closed or dropped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::oneshot;
    ///
    /// coreloop::block_on(async {
    ///     let (mut sender, receiver) = oneshot::channel::<u8>();
    ///     coreloop::spawn(async move { drop(receiver) });
    ///     sender.closed().await;
    ///     assert_eq!(sender.send(1), Err(1));
    /// });
    /// ```
    pub async fn closed(&mut self) {
        let waiting = Closing { sender: self };
        poll_fn(|cx| waiting.sender.poll_closed(cx)).await;
    }

    /// Polls until the receiver is closed or dropped, like [`closed`](Self::closed).
    ///
    /// Only the waker of the last call is woken. It is kept until then, or until the sender is
    /// dropped.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(coop::poll_proceed(cx));
        if self.is_closed() {
            return Poll::Ready(());
        }
        if let Some(channel) = &self.channel
            && channel.sender.register(cx) == Registered::Replaced
            && channel.is_closed()
        {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Returns whether the receiver was closed or dropped.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.channel
            .as_ref()
            .is_none_or(|channel| channel.is_closed())
    }
}

/// A sender that waits in `closed`. It clears the waker when it is dropped, because a waker
/// that is left behind keeps the memory of its task.
struct Closing<'a, T> {
    sender: &'a mut Sender<T>,
}

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        if let Some(channel) = &self.sender.channel {
            channel.sender.clear();
        }
    }
}

impl<T> Drop for Sender<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(channel) = &self.channel {
            channel.finish();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// The receiving end of a oneshot channel: a future that completes with the value.
///
/// Waiting is cancel safe: `&mut receiver` can be awaited in `select!` and
/// awaited again. A receiver is also a [`Stream`] of one value, or of none.
///
/// A receiver that was polled keeps the waker of its task, and thereby memory of that task,
/// until another task polls it, it receives a value, or it is dropped.
///
/// # Errors
///
/// The future completes with [`RecvError`] if no value was sent and none will be.
///
/// # Panics
///
/// Panics if it is polled after it was ready, or after [`try_recv`](Self::try_recv)
/// returned a value or [`TryRecvError::Closed`].
#[must_use = "futures do nothing unless awaited"]
pub struct Receiver<T> {
    /// `None` once the receiver has returned the value, or that there will be none.
    channel: Option<PairRc<Channel<T>>>,
}

impl<T> Receiver<T> {
    /// Closes the channel: the sender can send no value any more. A value that was
    /// sent before can still be received.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::sync::oneshot;
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// receiver.close();
    /// assert_eq!(sender.send(1), Err(1));
    /// assert!(receiver.try_recv().is_err());
    /// ```
    pub fn close(&mut self) {
        if let Some(channel) = &self.channel {
            channel.close();
        }
    }

    /// Receives the value if it has been sent.
    ///
    /// # Errors
    ///
    /// Returns [`TryRecvError::Empty`] if no value was sent yet, and
    /// [`TryRecvError::Closed`] if none will be sent, or it was received already.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let Some(channel) = &self.channel else {
            return Err(TryRecvError::Closed);
        };
        let Poll::Ready(value) = channel.receive() else {
            return Err(TryRecvError::Empty);
        };
        self.channel = None;
        value.ok_or(TryRecvError::Closed)
    }

    /// Returns whether there is no value to receive now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Some(channel) = &self.channel else {
            return true;
        };
        let value = channel.value.take();
        let is_empty = value.is_none();
        channel.value.set(value);
        is_empty
    }

    /// Returns what `read` returns for the value, if there is one to receive now. For the
    /// other crates of coreloop.
    ///
    /// `read` must not use the channel.
    #[doc(hidden)]
    pub fn peek<R>(&self, read: impl FnOnce(&T) -> R) -> Option<R> {
        let channel = self.channel.as_ref()?;
        let value = channel.value.take();
        let answer = value.as_ref().map(read);
        channel.value.set(value);
        answer
    }

    /// Returns whether the receiver has returned the value, or the error that there will be
    /// none.
    ///
    /// If so, the future must not be polled any more.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.channel.is_none()
    }

    /// Returns `None` in every poll after the first that was ready.
    #[inline]
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        ready!(coop::poll_proceed(cx));
        let Some(channel) = &self.channel else {
            return Poll::Ready(None);
        };
        let mut received = channel.receive();
        if received.is_pending() {
            received = channel.wait(cx);
        }
        if received.is_ready() {
            self.channel = None;
        }
        received
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.channel.is_none() {
            polled_again();
        }
        let value = ready!(this.poll_receive(cx));
        Poll::Ready(value.ok_or(RecvError(())))
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().poll_receive(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (
            usize::from(!self.is_empty()),
            Some(usize::from(!self.is_terminated())),
        )
    }
}

impl<T> Drop for Receiver<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(channel) = &self.channel {
            channel.drop_receiver();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("terminated", &self.is_terminated())
            .finish_non_exhaustive()
    }
}

impl<T> Channel<T> {
    fn is_closed(&self) -> bool {
        self.state.get() == ChannelState::Closed
    }

    /// Ready with the value, or with `None` if there will be no value.
    #[inline]
    fn receive(&self) -> Poll<Option<T>> {
        if self.state.get() == ChannelState::Open {
            return Poll::Pending;
        }
        Poll::Ready(self.value.take())
    }

    #[cold]
    fn wait(&self, cx: &Context<'_>) -> Poll<Option<T>> {
        match self.receiver.register(cx) {
            Registered::Unchanged => Poll::Pending,
            Registered::Replaced => self.receive(),
        }
    }

    /// Called when the sender is dropped without sending.
    #[cold]
    fn finish(&self) {
        if self.state.get() == ChannelState::Open {
            self.state.set(ChannelState::Finished);
        }
        // Dropped at the end, even if a waker panics.
        let _own = self.sender.take();
        self.receiver.wake();
    }

    /// Prevents sending, and leaves a value that was sent.
    fn close(&self) {
        if self.state.get() == ChannelState::Open {
            self.state.set(ChannelState::Closed);
            self.sender.wake();
            // A task that polled the receiver before may wait for the end.
            self.receiver.wake();
        }
    }

    /// Called when the receiver is dropped.
    #[cold]
    fn drop_receiver(&self) {
        // Dropped at the end, even if a waker panics.
        let _waker = self.receiver.take();
        let _value = self.value.take();
        self.close();
    }
}

#[cold]
fn polled_again() -> ! {
    panic!(
        "a oneshot receiver was polled after it was ready; check `is_terminated` before, or \
         poll it once"
    )
}
