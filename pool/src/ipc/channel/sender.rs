//! [`Sender`], which sends values through a channel.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::event::PollFlags;
use rustix::net::SendFlags;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::packet::Packet;
use crate::ipc::MAX_MESSAGE;
use crate::ipc::error::TrySendError;
use crate::ipc::socket::Socket;
use crate::ipc::travel::{self, End};
use crate::ipc::wire;
use crate::sys;

/// A handle that sends values through a [`channel`](super::channel).
///
/// A clone sends through the same channel, and any number of tasks may send at once. A sender can
/// be a part of the arguments or the result of a job, and of a message of [`ipc`](crate::ipc); the
/// other process gets a duplicate. The receiver ends when all of them are dropped.
///
/// Methods with `blocking` in their names need no runtime, and block the thread. To move a sender
/// to another thread, take its [descriptor](Sender::into_fd).
pub struct Sender<T> {
    socket: Rc<Socket>,
    max_message: usize,
    value: PhantomData<fn(T)>,
}

impl<T> Sender<T> {
    /// Creates a sender from the socket of another one.
    pub fn from_fd(socket: impl Into<OwnedFd>) -> Self {
        Self {
            socket: Rc::new(Socket::new(socket.into())),
            max_message: MAX_MESSAGE,
            value: PhantomData,
        }
    }

    /// Returns the socket, for instance to move it to another thread.
    ///
    /// # Errors
    ///
    /// Returns an error if there are clones of the sender and the process has too many
    /// descriptors.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        travel::descriptor(Rc::clone(&self.socket), self)
    }

    /// Sets the maximum length of an encoded value, in bytes. The default is 64 MiB.
    #[must_use]
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }
}

impl<T: Serialize> Sender<T> {
    /// Sends a value. Waits while the channel has no room for it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped before it has completed, nothing was sent.
    ///
    /// # Errors
    ///
    /// Returns an error of kind [`InvalidInput`](ErrorKind::InvalidInput) if the value does not
    /// encode or is too long, or [`BrokenPipe`](ErrorKind::BrokenPipe) if the receiver is closed.
    /// Then nothing was sent.
    pub async fn send(&self, value: T) -> io::Result<()> {
        let mut packet = Packet::new(&value, self.max_message)?;
        drop(value);
        poll_fn(|cx| {
            let socket = self.socket.on_loop()?;
            socket.poll_write_shared(cx, |socket| packet.send(socket.as_fd(), sys::send_flags()))
        })
        .await
    }

    /// Sends a value if the channel has room for it.
    ///
    /// # Errors
    ///
    /// Returns the value if there is no room, or an error under the conditions of
    /// [`send`](Sender::send).
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let packet = Packet::new(&value, self.max_message);
        let sent = packet.and_then(|mut packet| packet.send(self.as_fd(), sys::send_flags()));
        match sent {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(TrySendError::Full(value)),
            Err(error) => Err(TrySendError::Failed(error)),
        }
    }

    /// Sends a value, and blocks this thread while the channel has no room for it.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`send`](Sender::send).
    pub fn blocking_send(&self, value: T) -> io::Result<()> {
        let mut packet = Packet::new(&value, self.max_message)?;
        drop(value);
        let flags = sys::send_flags().difference(SendFlags::DONTWAIT);
        loop {
            match packet.send(self.as_fd(), flags) {
                // The socket, or a duplicate of it in another process, is non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wire::wait_for(self.as_fd(), PollFlags::OUT)?;
                }
                sent => return sent,
            }
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            socket: Rc::clone(&self.socket),
            max_message: self.max_message,
            value: PhantomData,
        }
    }
}

impl<T> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        End::serialize(self.as_fd(), self.max_message, serializer)
    }
}

impl<'de, T> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let end = End::deserialize(deserializer)?;
        Ok(Self::from_fd(end.socket).max_message(end.max_message))
    }
}

impl<T> AsFd for Sender<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}
