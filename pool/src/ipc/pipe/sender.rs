//! [`PipeSender`], which sends values through a pipe.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use rustix::event::PollFlags;
use rustix::net::Shutdown;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ipc::MAX_MESSAGE;
use crate::ipc::error::TrySendError;
use crate::ipc::socket::Socket;
use crate::ipc::travel::{self, End};
use crate::ipc::wire::{self, Outgoing};
use crate::ipc::{encode, error};

/// The end of a [`simplex`](super::simplex) pipe that sends, or the half of a
/// [`Pipe`](super::Pipe) that does.
///
/// The end of a `simplex` pipe travels to other processes like a [`Pipe`](super::Pipe).
pub struct PipeSender<T> {
    socket: Rc<Socket>,
    outgoing: Outgoing,
    /// Whether the other half uses the same socket.
    pub(super) is_half: bool,
    value: PhantomData<fn(T)>,
}

impl<T> PipeSender<T> {
    pub(super) fn new(socket: Rc<Socket>) -> Self {
        Self {
            socket,
            outgoing: Outgoing::new(MAX_MESSAGE),
            is_half: false,
            value: PhantomData,
        }
    }

    /// Creates an end from a connected Unix stream socket, whose other end is the receiver of a
    /// pipe.
    pub fn from_fd(socket: impl Into<OwnedFd>) -> Self {
        Self::new(Rc::new(Socket::new(socket.into())))
    }

    /// Returns the socket of this end, for instance to move it to another thread.
    ///
    /// # Errors
    ///
    /// Returns an error if this is a half, or if it holds the rest of a value whose
    /// [`send`](PipeSender::send) was cancelled.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        travel::check_whole(self.is_half)?;
        self.check_unused()?;
        travel::descriptor(Rc::clone(&self.socket), self)
    }

    /// Sets the maximum length of an encoded value, in bytes. The default is 64 MiB.
    #[must_use]
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.set_max_message(bytes);
        self
    }

    pub(super) fn set_max_message(&mut self, bytes: usize) {
        self.outgoing.set_max_length(bytes);
    }

    pub(super) fn check_unused(&self) -> io::Result<()> {
        match self.outgoing.is_empty() {
            true => Ok(()),
            false => Err(error::invalid(
                "it holds the rest of a value; flush it first",
            )),
        }
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.outgoing.is_empty()
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.outgoing.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let socket = self.socket.on_loop()?;
        self.outgoing.poll_write(cx, &socket).map_err(closed)
    }

    /// Writes what the socket takes. Returns whether that is all.
    pub(super) fn try_flush(&mut self) -> io::Result<bool> {
        loop {
            match self.outgoing.write(&*self.socket) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(closed(error)),
            }
        }
    }

    /// Writes the rest of a value whose [`send`](PipeSender::send) was cancelled, or of which
    /// [`try_send`](PipeSender::try_send) has written the start.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the next operation writes what is left.
    ///
    /// # Errors
    ///
    /// Returns [`BrokenPipe`](ErrorKind::BrokenPipe) if the other end is closed.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    fn blocking_flush(&mut self) -> io::Result<()> {
        while !self.try_flush()? {
            wire::wait_for(self.socket.as_fd(), PollFlags::OUT)?;
        }
        Ok(())
    }
}

impl<T: Serialize> PipeSender<T> {
    /// Sends a value. Waits while the socket has no room for it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: either nothing of the value is sent, or all of it. If the future is dropped while
    /// it waits for room for the value, the next operation writes the rest, even if nothing of it
    /// was written yet.
    ///
    /// # Errors
    ///
    /// Returns an error of kind [`InvalidInput`](ErrorKind::InvalidInput) if the value does not
    /// encode or is too long, or [`BrokenPipe`](ErrorKind::BrokenPipe) if the other end is
    /// closed.
    pub async fn send(&mut self, value: T) -> io::Result<()> {
        if !self.outgoing.is_empty() {
            self.flush().await?;
        }
        self.push(&value)?;
        drop(value);
        self.flush().await
    }

    /// Sends a value if the socket has room for the start of it.
    ///
    /// The next operation writes the rest, if there is one.
    ///
    /// # Errors
    ///
    /// Returns the value if there is no room, or an error under the conditions of
    /// [`send`](PipeSender::send).
    pub fn try_send(&mut self, value: T) -> Result<(), TrySendError<T>> {
        match self.try_flush() {
            Ok(true) => {}
            Ok(false) => return Err(TrySendError::Full(value)),
            Err(error) => return Err(TrySendError::Failed(error)),
        }
        self.push(&value).map_err(TrySendError::Failed)?;
        match self.try_flush() {
            Ok(false) if self.outgoing.withdraw() => Err(TrySendError::Full(value)),
            Ok(_) => Ok(()),
            Err(error) => Err(TrySendError::Failed(error)),
        }
    }

    /// Sends a value, and blocks this thread while the socket has no room for it.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`send`](PipeSender::send).
    pub fn blocking_send(&mut self, value: T) -> io::Result<()> {
        self.blocking_flush()?;
        self.push(&value)?;
        drop(value);
        self.blocking_flush()
    }

    pub(super) fn push(&mut self, value: &T) -> io::Result<()> {
        self.outgoing.push_with(0, |bytes| {
            encode(value, bytes).map_err(|text| error::does_not_encode(&text))
        })
    }
}

/// The error of a write. If the other end was closed before it had read everything, the kernel says so
/// once by an error of its own.
fn closed(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::ConnectionReset => ErrorKind::BrokenPipe.into(),
        _ => error,
    }
}

impl<T> Drop for PipeSender<T> {
    fn drop(&mut self) {
        // The other half keeps the socket open.
        if self.is_half {
            let _ = rustix::net::shutdown(self.socket.as_fd(), Shutdown::Write);
        }
    }
}

impl<T> Serialize for PipeSender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        travel::check::<S::Error>(travel::check_whole(self.is_half))?;
        travel::check::<S::Error>(self.check_unused())?;
        End::serialize(self.socket.as_fd(), self.outgoing.max_length(), serializer)
    }
}

impl<'de, T> Deserialize<'de> for PipeSender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let end = End::deserialize(deserializer)?;
        Ok(Self::from_fd(end.socket).max_message(end.max_message))
    }
}

impl<T> AsFd for PipeSender<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<T> fmt::Debug for PipeSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeSender").finish_non_exhaustive()
    }
}
