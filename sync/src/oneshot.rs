//! One value from one sender to one receiver.
//!
//! [`channel`] makes the two ends. [`Sender::send`] does not wait; the
//! [`Receiver`] is a future that is ready with the value, or with an error if
//! the sender was dropped without sending. It is how one task answers another.
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
//!             // Whoever asked may have given up meanwhile.
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
use coreloop_runtime::twin::{self, Twin};
use futures_core::Stream;

use self::error::{RecvError, TryRecvError};
use crate::waker_slot::{Kept, WakerSlot};

/// Why nothing was received.
pub mod error {
    use std::error::Error;
    use std::fmt;

    /// The sender was dropped without sending, or the receiver was closed
    /// before.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RecvError(pub(super) ());

    impl fmt::Display for RecvError {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("channel closed")
        }
    }

    impl Error for RecvError {}

    /// Nothing could be received without waiting.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum TryRecvError {
        /// Nothing was sent yet.
        Empty,
        /// Nothing will be sent, or it was received already.
        Closed,
    }

    impl fmt::Display for TryRecvError {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(match self {
                Self::Empty => "channel empty",
                Self::Closed => "channel closed",
            })
        }
    }

    impl Error for TryRecvError {}
}

/// What both ends share. Everything is in cells that are taken and set, so
/// nothing is ever borrowed; and in several small ones, as a large one that was
/// written in parts is slow to be read as a whole.
struct Channel<T> {
    stage: Cell<Stage>,
    /// What was sent and not received.
    value: Cell<Option<T>>,
    /// The task that waits for the value.
    receiver: WakerSlot,
    /// The task that waits in `closed`.
    sender: WakerSlot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent; something may be.
    Open,
    /// The sender has sent, or is gone.
    Finished,
    /// The receiver was closed, or dropped, before that.
    Closed,
}

/// Makes a channel for one value.
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
    let (sender, receiver) = twin::pair(|| Channel {
        stage: Cell::new(Stage::Open),
        value: Cell::new(None),
        receiver: WakerSlot::new(),
        sender: WakerSlot::new(),
    });
    let sender = Sender {
        channel: Some(sender),
    };
    let receiver = Receiver {
        channel: Some(receiver),
    };
    (sender, receiver)
}

/// Sends the one value.
pub struct Sender<T> {
    /// Until something is sent.
    channel: Option<Twin<Channel<T>>>,
}

impl<T> Sender<T> {
    /// Sends the value, which does not wait.
    ///
    /// That it was sent does not mean that it is received: the receiver may yet
    /// be dropped, and the value with it.
    ///
    /// # Errors
    ///
    /// The value, if the receiver is closed or gone.
    #[inline]
    pub fn send(mut self, value: T) -> Result<(), T> {
        let Some(channel) = self.channel.take() else {
            unreachable!("taken only here, by what consumes the sender");
        };
        if channel.stage.get() == Stage::Closed {
            return Err(value);
        }
        channel.value.set(Some(value));
        channel.stage.set(Stage::Finished);
        channel.receiver.wake();
        Ok(())
    }

    /// Waits until the receiver is closed or gone.
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

    /// Does what [`closed`](Self::closed) does, for a future that polls by
    /// itself. Only the waker of the last call is woken, and it is kept until then, or until
    /// the sender is gone.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(coop::poll_proceed(cx));
        if self.is_closed() {
            return Poll::Ready(());
        }
        if let Some(channel) = &self.channel
            && channel.sender.keep(cx) == Kept::Anew
            && channel.is_closed()
        {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Whether the receiver is closed or gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.channel
            .as_ref()
            .is_none_or(|channel| channel.is_closed())
    }
}

/// A sender that waits in `closed`. A waker that is left behind would keep the memory of its
/// task.
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
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sender")
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Receives the one value, as the future of it.
///
/// Waiting is cancel safe: `&mut receiver` can be awaited in `select!` and
/// awaited again. It is also a [`Stream`] of one value, or of none.
///
/// A receiver that was polled keeps the waker of its task, and so memory of that task, until
/// it is polled by another, receives a value or is dropped.
///
/// # Errors
///
/// The future is ready with [`RecvError`] if nothing was sent and nothing will
/// be.
///
/// # Panics
///
/// If it is polled after it was ready, or after [`try_recv`](Self::try_recv)
/// returned a value or [`TryRecvError::Closed`].
#[must_use = "futures do nothing unless awaited"]
pub struct Receiver<T> {
    /// Until the value, or the lack of it, was seen.
    channel: Option<Twin<Channel<T>>>,
}

impl<T> Receiver<T> {
    /// Lets the sender send nothing more, and leaves what was sent to be
    /// received.
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

    /// Receives the value if it is there.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if nothing was sent yet, and
    /// [`TryRecvError::Closed`] if nothing will be, or it was received already.
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

    /// Whether there is no value to receive now.
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

    /// Whether the value, or the lack of it, was seen: the future must not be
    /// polled any more.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.channel.is_none()
    }

    /// Ready with none again once it was ready.
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
            channel.abandon();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Receiver")
            .field("terminated", &self.is_terminated())
            .finish_non_exhaustive()
    }
}

impl<T> Channel<T> {
    fn is_closed(&self) -> bool {
        self.stage.get() == Stage::Closed
    }

    /// Ready with the value, or with none if there will be none.
    #[inline]
    fn receive(&self) -> Poll<Option<T>> {
        if self.stage.get() == Stage::Open {
            return Poll::Pending;
        }
        Poll::Ready(self.value.take())
    }

    #[cold]
    fn wait(&self, cx: &Context<'_>) -> Poll<Option<T>> {
        match self.receiver.keep(cx) {
            Kept::Already => Poll::Pending,
            Kept::Anew => self.receive(),
        }
    }

    /// For a sender that is dropped without sending.
    #[cold]
    fn finish(&self) {
        if self.stage.get() == Stage::Open {
            self.stage.set(Stage::Finished);
        }
        // Dropped at the end, panic or not.
        let _own = self.sender.take();
        self.receiver.wake();
    }

    /// Lets nothing more be sent, and leaves what was.
    fn close(&self) {
        if self.stage.get() == Stage::Open {
            self.stage.set(Stage::Closed);
            self.sender.wake();
            // Polled before by a task that may wait for the end.
            self.receiver.wake();
        }
    }

    /// Closes for a receiver that is dropped.
    #[cold]
    fn abandon(&self) {
        // Dropped at the end, panic or not.
        let _waker = self.receiver.take();
        let _value = self.value.take();
        self.close();
    }
}

#[cold]
fn polled_again() -> ! {
    panic!(
        "a oneshot receiver was polled after it was ready; ask `is_terminated` before, or \
         poll it once"
    )
}
