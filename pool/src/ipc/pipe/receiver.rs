//! [`PipeReceiver`], which receives values from a pipe.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::coop::poll_proceed;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ipc::MAX_MESSAGE;
use crate::ipc::socket::Socket;
use crate::ipc::travel::{self, End};
use crate::ipc::wire::{HEADER, Incoming};
use crate::ipc::{decode, error};

/// The end of a [`simplex`](super::simplex) pipe that receives, or the half of a
/// [`Pipe`](super::Pipe) that does.
///
/// The end of a `simplex` pipe travels to other processes like a [`Pipe`](super::Pipe).
pub struct PipeReceiver<T> {
    socket: Rc<Socket>,
    incoming: Incoming,
    /// Whether the other half uses the same socket.
    pub(super) is_half: bool,
    /// The end of the stream has come.
    has_ended: bool,
    value: PhantomData<fn() -> T>,
}

impl<T> PipeReceiver<T> {
    pub(super) fn new(socket: Rc<Socket>) -> Self {
        Self {
            socket,
            incoming: Incoming::new(MAX_MESSAGE),
            is_half: false,
            has_ended: false,
            value: PhantomData,
        }
    }

    /// Creates an end from a connected Unix stream socket, whose other end is the sender of a
    /// pipe.
    pub fn from_fd(socket: impl Into<OwnedFd>) -> Self {
        Self::new(Rc::new(Socket::new(socket.into())))
    }

    /// Returns the socket of this end, for instance to move it to another thread.
    ///
    /// # Errors
    ///
    /// Returns an error if this is a half, or if values have come that were not received.
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
        self.incoming.set_max_length(bytes);
    }

    pub(super) fn max_length(&self) -> usize {
        self.incoming.max_length()
    }

    pub(super) fn check_unused(&self) -> io::Result<()> {
        match self.incoming.buffered() {
            0 => Ok(()),
            _ => Err(error::invalid("values have come that were not received")),
        }
    }

    /// Returns whether there is room for bytes that come before they are asked for.
    pub(super) fn may_read_ahead(&self) -> bool {
        let limit = self.incoming.max_length().saturating_add(HEADER);
        !self.has_ended && self.incoming.buffered() < limit
    }

    /// Polls a read of bytes that come before they are asked for.
    pub(super) fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.may_read_ahead() {
            return Poll::Pending;
        }
        match ready!(self.poll_fill(cx)) {
            Ok(()) => Poll::Ready(()),
            // A later read returns it again if it is still the case.
            Err(_) => Poll::Pending,
        }
    }

    pub(super) fn try_read_ahead(&mut self) {
        if self.may_read_ahead() {
            // A later read returns an error again if it is still the case.
            let filled = self.incoming.try_fill(&*self.socket);
            let _ = self.filled(filled);
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.socket.on_loop()?;
        let filled = ready!(self.incoming.poll_fill(cx, &socket));
        Poll::Ready(self.filled(filled))
    }

    /// Handles the result of a read.
    fn filled(&mut self, filled: io::Result<usize>) -> io::Result<()> {
        match filled {
            Ok(count) => self.has_ended = count == 0,
            // The other end was closed before it had read everything. The kernel says this once,
            // when all that the other end has sent was read.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.has_ended = true,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl<T: DeserializeOwned> PipeReceiver<T> {
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
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the other end was closed in the middle of a
    /// value, and of kind [`InvalidData`](io::ErrorKind::InvalidData) if something other than a value
    /// has come or if it is too long: then nothing more can be received.
    pub async fn recv(&mut self) -> io::Result<Option<T>> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<T>>> {
        // Values that have come already do not read from the socket.
        ready!(poll_proceed(cx));
        loop {
            if let Some(next) = self.take() {
                return Poll::Ready(next);
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Receives a value that has come. Returns `None` when the other end is closed.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if no value has come, or an error under the
    /// conditions of [`recv`](PipeReceiver::recv).
    pub fn try_recv(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            let filled = self.incoming.try_fill(&*self.socket);
            self.filled(filled)?;
        }
    }

    /// Receives the next value, and blocks this thread until it has come. Returns `None` when
    /// the other end is closed.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`recv`](PipeReceiver::recv).
    pub fn blocking_recv(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            let filled = self.incoming.fill(&*self.socket);
            self.filled(filled)?;
        }
    }

    /// Takes the next value that has come, or the end. Returns `None` if more has to come.
    fn take(&mut self) -> Option<io::Result<Option<T>>> {
        match self.incoming.next() {
            Ok(Some(frame)) => {
                let descriptors = frame.descriptors.map_err(io::Error::from);
                let value = descriptors.and_then(|descriptors| {
                    decode(frame.body, descriptors).map_err(|text| error::does_not_decode(&text))
                });
                return Some(value.map(Some));
            }
            Err(error) => return Some(Err(error)),
            Ok(None) => {}
        }
        match self.has_ended {
            false => None,
            true if self.incoming.is_in_frame() => Some(Err(error::ended_in_message())),
            true => Some(Ok(None)),
        }
    }
}

impl<T> Serialize for PipeReceiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        travel::check::<S::Error>(travel::check_whole(self.is_half))?;
        travel::check::<S::Error>(self.check_unused())?;
        End::serialize(self.socket.as_fd(), self.max_length(), serializer)
    }
}

impl<'de, T> Deserialize<'de> for PipeReceiver<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let end = End::deserialize(deserializer)?;
        Ok(Self::from_fd(end.socket).max_message(end.max_message))
    }
}

impl<T> AsFd for PipeReceiver<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<T> fmt::Debug for PipeReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeReceiver").finish_non_exhaustive()
    }
}
