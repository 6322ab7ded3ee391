//! [`Receiver`], which receives the values of a channel.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::packet::{self, BUFFER};
use crate::ipc::MAX_MESSAGE;
use crate::ipc::socket::Socket;
use crate::ipc::travel::{self, End};
use crate::ipc::wire::rights::{Received, receive, receive_waiting};

/// The end of a [`channel`](super::channel) that receives.
///
/// It travels to other processes like a [`Sender`](super::Sender), and has one owner: of two
/// processes that receive, each gets some of the values.
///
/// Methods with `blocking` in their names need no runtime, and block the thread.
///
/// # Errors
///
/// An error concerns one message, and the next one can be received: a value that does not decode
/// or is too long, something that is no message of a channel, or a value whose descriptors were
/// lost because this process has no room for more.
pub struct Receiver<T> {
    socket: Rc<Socket>,
    /// Empty until the first call that receives.
    buffer: Vec<u8>,
    max_message: usize,
    value: PhantomData<fn() -> T>,
}

impl<T> Receiver<T> {
    /// Creates a receiver from the socket of another one.
    pub fn from_fd(socket: impl Into<OwnedFd>) -> Self {
        Self {
            socket: Rc::new(Socket::new(socket.into())),
            buffer: Vec::new(),
            max_message: MAX_MESSAGE,
            value: PhantomData,
        }
    }

    /// Returns the socket, for instance to move it to another thread.
    ///
    /// # Errors
    ///
    /// Returns an error if the process has too many descriptors.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        travel::descriptor(Rc::clone(&self.socket), self)
    }

    /// Sets the maximum length of an encoded value, in bytes. The default is 64 MiB.
    #[must_use]
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Creates the buffer for a packet. The system allocates its memory as packets fill it.
    fn allocate(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = vec![0; BUFFER];
        }
    }
}

impl<T: DeserializeOwned> Receiver<T> {
    /// Receives the next value. Returns `None` when all senders are closed and all values were
    /// received.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no value is lost.
    ///
    /// # Errors
    ///
    /// Returns an error if the next message is no such value, is too long, or has lost its
    /// descriptors. The next call returns the message after it.
    pub async fn recv(&mut self) -> io::Result<Option<T>> {
        self.allocate();
        let Self { socket, buffer, .. } = self;
        let received = poll_fn(|cx| {
            let socket = socket.on_loop()?;
            socket.poll_read_with(cx, |socket| receive(socket.as_fd(), buffer))
        })
        .await;
        self.open(received)
    }

    /// Receives a value that has come. Returns `None` when all senders are closed and all values
    /// were received.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](ErrorKind::WouldBlock) if there is no value, or an error under the
    /// conditions of [`recv`](Receiver::recv).
    pub fn try_recv(&mut self) -> io::Result<Option<T>> {
        self.allocate();
        let received = receive(self.socket.as_fd(), &mut self.buffer);
        self.open(received)
    }

    /// Receives the next value, and blocks this thread until it has come. Returns `None` when
    /// all senders are closed and all values were received.
    ///
    /// # Errors
    ///
    /// Returns an error under the conditions of [`recv`](Receiver::recv).
    pub fn blocking_recv(&mut self) -> io::Result<Option<T>> {
        self.allocate();
        let received = receive_waiting(self.socket.as_fd(), &mut self.buffer);
        self.open(received)
    }

    /// Decodes a packet.
    fn open(&mut self, received: io::Result<Received>) -> io::Result<Option<T>> {
        match received {
            Ok(received) if received.count == 0 => Ok(None),
            Ok(received) => packet::open(&self.buffer, received, self.max_message).map(Some),
            // The end, where packets are datagrams.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<T> Serialize for Receiver<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        End::serialize(self.as_fd(), self.max_message, serializer)
    }
}

impl<'de, T> Deserialize<'de> for Receiver<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let end = End::deserialize(deserializer)?;
        Ok(Self::from_fd(end.socket).max_message(end.max_message))
    }
}

impl<T> AsFd for Receiver<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}
