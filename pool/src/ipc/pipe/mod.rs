//! Pipes: [`Pipe`], one of two ends that send values to each other, and [`simplex`], for one
//! direction.
//!
//! # Invariants
//!
//! 1. A message is sent whole: what the socket has not taken when a `send` is cancelled stays in
//!    the end, and the next operation of the end writes it before anything else.
//! 2. Two ends that send at once do not wait for each other: an end that waits for room reads
//!    what comes, up to the length of one message of the maximum length.
//! 3. An end that has received bytes does not travel, because they would be lost. Neither does
//!    one that has bytes to send, nor a half of a split one.

mod receiver;
mod sender;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use rustix::event::PollFlags;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use receiver::PipeReceiver;
pub use sender::PipeSender;

use super::error::TrySendError;
use super::socket::Socket;
use super::travel;
use super::wire;
use crate::sys;

/// Creates a pipe: two ends, each of which sends values of one type to the other, and receives
/// values of another type.
///
/// This is Python's `multiprocessing.Pipe()`. See [`Pipe`].
///
/// # Errors
///
/// Returns an error if the process has too many descriptors.
///
/// # Examples
///
/// ```no_run
/// use coreloop::ipc::{self, Pipe};
/// use coreloop::pool::Pool;
///
/// /// Doubles numbers until the other end is closed.
/// #[coreloop::job]
/// async fn double(mut numbers: Pipe<u64, u64>) {
///     while let Ok(Some(number)) = numbers.recv().await {
///         if numbers.send(number * 2).await.is_err() {
///             break;
///         }
///     }
/// }
///
/// #[coreloop::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let pool = Pool::builder().workers(1).build()?;
///     let (mut here, there) = ipc::pipe::<u64, u64>()?;
///     let job = pool.submit(double, there).await?;
///     for number in 0..3 {
///         here.send(number).await?;
///         assert_eq!(here.recv().await?, Some(number * 2));
///     }
///     drop(here);
///     job.await?;
///     Ok(())
/// }
/// ```
pub fn pipe<A, B>() -> io::Result<(Pipe<A, B>, Pipe<B, A>)> {
    let (one, other) = sys::stream_pair()?;
    Ok((Pipe::from_fd(one), Pipe::from_fd(other)))
}

/// Creates a pipe with one direction: values that are sent by the [`PipeSender`] are received by
/// the [`PipeReceiver`].
///
/// # Errors
///
/// Returns an error if the process has too many descriptors.
///
/// # Examples
///
/// ```
/// use coreloop::ipc;
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let (mut sender, mut receiver) = ipc::simplex::<String>()?;
/// // Either end can be an argument of a job.
/// sender.send("first".to_owned()).await?;
/// drop(sender);
/// assert_eq!(receiver.recv().await?, Some("first".to_owned()));
/// assert_eq!(receiver.recv().await?, None);
/// # Ok(())
/// # })
/// # }
/// ```
pub fn simplex<T>() -> io::Result<(PipeSender<T>, PipeReceiver<T>)> {
    let (one, other) = sys::stream_pair()?;
    Ok((PipeSender::from_fd(one), PipeReceiver::from_fd(other)))
}

/// One end of a pipe, which sends values of the type `Tx` and receives values of the type `Rx`.
///
/// [`pipe`] creates the two ends.
///
/// # Ends in other processes
///
/// An end can be an argument or the result of a job, or a part of a message of
/// [`ipc`](super). The other process gets a duplicate. An end belongs to one process at a time,
/// so drop it here after it was sent. Otherwise the other end receives `None` only when both
/// processes have dropped it, and messages are garbled if both use it. An argument of
/// [`Pool::run`](crate::Pool::run) is dropped when it has been encoded.
///
/// An end that has been used may hold a part of what it has received, and then encoding it is an
/// error. So is encoding it with any other serializer.
///
/// An end is used by the tasks of one thread. To move it to another thread, take its
/// [descriptor](Pipe::into_fd).
///
/// # Waiting
///
/// Methods with `blocking` in their names need no runtime, and block the thread. They are for
/// jobs that are not async.
///
/// Two ends that send large values to each other at the same time do not wait for each other:
/// while [`send`](Pipe::send) waits for room, it reads what comes, up to the
/// [maximum length](Pipe::max_message) of one message. A [half](Pipe::split) does not.
///
/// # Errors
///
/// A value that does not encode or decode, or is too long, is an error of that call, and the
/// pipe can still be used. So is a message whose descriptors were lost, because the process has
/// no room for more. Other errors end the pipe.
pub struct Pipe<Tx, Rx> {
    sender: PipeSender<Tx>,
    receiver: PipeReceiver<Rx>,
}

impl<Tx, Rx> Pipe<Tx, Rx> {
    /// Creates an end from a connected Unix stream socket, whose other end is an end of a pipe.
    pub fn from_fd(socket: impl Into<OwnedFd>) -> Self {
        let socket = Rc::new(Socket::new(socket.into()));
        Self {
            sender: PipeSender::new(Rc::clone(&socket)),
            receiver: PipeReceiver::new(socket),
        }
    }

    /// Returns the socket of this end, for instance to move it to another thread.
    ///
    /// # Errors
    ///
    /// Returns an error if values would be lost: those that have come and were not received, or
    /// the rest of a value whose [`send`](Pipe::send) was cancelled.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        self.check_unused()?;
        let Self { sender, receiver } = self;
        drop(sender);
        receiver.into_fd()
    }

    /// Sets the maximum length of an encoded value, in bytes, that this end sends or receives. The
    /// default is 64 MiB.
    #[must_use]
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.sender.set_max_message(bytes);
        self.receiver.set_max_message(bytes);
        self
    }

    /// Divides this end in two halves, for a task that sends and another one that receives.
    ///
    /// When the sender is dropped, the other end receives `None`.
    #[must_use]
    pub fn split(self) -> (PipeSender<Tx>, PipeReceiver<Rx>) {
        let Self {
            mut sender,
            mut receiver,
        } = self;
        sender.is_half = true;
        receiver.is_half = true;
        (sender, receiver)
    }

    fn check_unused(&self) -> io::Result<()> {
        self.sender.check_unused()?;
        self.receiver.check_unused()
    }
}

impl<Tx: Serialize, Rx> Pipe<Tx, Rx> {
    /// Sends a value. Waits while the socket has no room for it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: either nothing of the value is sent, or all of it. If the future is dropped while
    /// it waits for room for the value, the next operation of this end writes the rest, even if
    /// nothing of it was written yet.
    ///
    /// # Errors
    ///
    /// Returns an error of kind [`InvalidInput`](io::ErrorKind::InvalidInput) if the value does
    /// not encode or is too long, or [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the other end
    /// is closed.
    pub async fn send(&mut self, value: Tx) -> io::Result<()> {
        if !self.sender.is_flushed() {
            self.flush().await?;
        }
        self.sender.push(&value)?;
        drop(value);
        self.flush().await
    }

    /// Sends a value if the socket has room for the start of it.
    ///
    /// The next operation of this end writes the rest, if there is one.
    ///
    /// # Errors
    ///
    /// Returns the value if there is no room, or an error under the conditions of
    /// [`send`](Pipe::send).
    pub fn try_send(&mut self, value: Tx) -> Result<(), TrySendError<Tx>> {
        self.sender.try_send(value)
    }

    /// Sends a value, and blocks this thread while the socket has no room for it.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`send`](Pipe::send).
    pub fn blocking_send(&mut self, value: Tx) -> io::Result<()> {
        self.blocking_flush()?;
        self.sender.push(&value)?;
        drop(value);
        self.blocking_flush()
    }
}

impl<Tx, Rx> Pipe<Tx, Rx> {
    /// Writes the rest of a value whose [`send`](Pipe::send) was cancelled, or of which
    /// [`try_send`](Pipe::try_send) has written the start.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next operation writes what is left.
    ///
    /// # Errors
    ///
    /// Returns [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the other end is closed.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Poll::Ready(flushed) = self.sender.poll_flush(cx) {
                return Poll::Ready(flushed);
            }
            // Invariant 2.
            if self.receiver.poll_read_ahead(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn blocking_flush(&mut self) -> io::Result<()> {
        while !self.sender.try_flush()? {
            let events = match self.receiver.may_read_ahead() {
                true => PollFlags::OUT | PollFlags::IN,
                false => PollFlags::OUT,
            };
            if wire::wait_for(self.as_fd(), events)?.contains(PollFlags::IN) {
                self.receiver.try_read_ahead();
            }
        }
        Ok(())
    }
}

impl<Tx, Rx: DeserializeOwned> Pipe<Tx, Rx> {
    /// Receives the next value. Returns `None` when the other end is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a part of a value is kept for the next call.
    ///
    /// # Errors
    ///
    /// Returns an error if the value does not decode or has lost its descriptors, and after that
    /// the next value can be received. Returns an error of kind
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the other end was closed in the middle
    /// of a value, and of kind [`InvalidData`](io::ErrorKind::InvalidData) if something other
    /// than a value has come or if it is too long: then nothing more can be received.
    pub async fn recv(&mut self) -> io::Result<Option<Rx>> {
        poll_fn(|cx| {
            if !self.sender.is_flushed() {
                // The other end may wait for the rest. The next `send` returns an error.
                let _ = self.sender.poll_flush(cx);
            }
            self.receiver.poll_recv(cx)
        })
        .await
    }

    /// Receives a value that has come. Returns `None` when the other end is closed.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if no value has come, or an error under
    /// the conditions of [`recv`](Pipe::recv).
    pub fn try_recv(&mut self) -> io::Result<Option<Rx>> {
        let _ = self.sender.try_flush();
        self.receiver.try_recv()
    }

    /// Receives the next value, and blocks this thread until it has come. Returns `None` when
    /// the other end is closed.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`recv`](Pipe::recv).
    pub fn blocking_recv(&mut self) -> io::Result<Option<Rx>> {
        if !self.sender.is_flushed() {
            let _ = self.blocking_flush();
        }
        self.receiver.blocking_recv()
    }
}

impl<Tx, Rx> Serialize for Pipe<Tx, Rx> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        travel::check::<S::Error>(self.check_unused())?;
        self.receiver.serialize(serializer)
    }
}

impl<'de, Tx, Rx> Deserialize<'de> for Pipe<Tx, Rx> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let receiver = PipeReceiver::<Rx>::deserialize(deserializer)?;
        let max_message = receiver.max_length();
        Ok(
            Self::from_fd(receiver.into_fd().map_err(serde::de::Error::custom)?)
                .max_message(max_message),
        )
    }
}

impl<Tx, Rx> AsFd for Pipe<Tx, Rx> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

impl<Tx, Rx> fmt::Debug for Pipe<Tx, Rx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}
