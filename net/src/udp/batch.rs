//! Batches of datagrams.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use rustix::net::RecvFlags;

use super::UdpSocket;
use crate::sys::udp as sys;

/// The maximum number of datagrams for one system call: `UIO_MAXIOV`.
const MAX_MESSAGES: usize = 1024;

impl UdpSocket {
    /// Receives the datagrams that have arrived, and returns how many.
    ///
    /// Each of `buffers` in turn receives one datagram. The method waits for at least one,
    /// unless there are no buffers.
    ///
    /// The length and the sender of each datagram are stored in `received`, which is cleared
    /// first. All of them together are one wait, and one unit of the budget of the task, but
    /// not one system call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was received if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`recv`](Self::recv). An error that follows a datagram is kept
    /// for the next call.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::net::UdpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// let (one, other) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// let to = other.local_addr()?;
    /// assert_eq!(one.send_many(&[("hello", to), ("world", to)]).await?, 2);
    ///
    /// let mut buffers = vec![[0; 1500]; 32];
    /// let mut received = Vec::new();
    /// let mut all = Vec::new();
    /// while all.len() < 2 {
    ///     other.recv_many(&mut buffers, &mut received).await?;
    ///     for (buffer, (length, _from)) in buffers.iter().zip(&received) {
    ///         all.push(buffer[..*length].to_vec());
    ///     }
    /// }
    /// assert_eq!(all, [b"hello", b"world"]);
    /// # Ok(()) })
    /// # }
    /// ```
    pub async fn recv_many<B: AsMut<[u8]>>(
        &self,
        buffers: &mut [B],
        received: &mut Vec<(usize, SocketAddr)>,
    ) -> io::Result<usize> {
        if let Some(result) = self.without_waiting(buffers, received) {
            return result;
        }
        self.io
            .read_with(|_| self.receive_all(buffers, received))
            .await
    }

    /// Receives like [`recv_many`](Self::recv_many), without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if no datagram has arrived, or an
    /// error like [`recv_many`](Self::recv_many).
    pub fn try_recv_many<B: AsMut<[u8]>>(
        &self,
        buffers: &mut [B],
        received: &mut Vec<(usize, SocketAddr)>,
    ) -> io::Result<usize> {
        if let Some(result) = self.without_waiting(buffers, received) {
            return result;
        }
        self.io
            .try_read_with(|_| self.receive_all(buffers, received))
    }

    /// Polls like [`recv_many`](Self::recv_many). Only the task that polled to receive last is
    /// woken.
    ///
    /// # Errors
    ///
    /// Returns an error like [`recv_many`](Self::recv_many).
    pub fn poll_recv_many<B: AsMut<[u8]>>(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [B],
        received: &mut Vec<(usize, SocketAddr)>,
    ) -> Poll<io::Result<usize>> {
        if let Some(result) = self.without_waiting(buffers, received) {
            return Poll::Ready(result);
        }
        self.io
            .poll_read_with(cx, |_| self.receive_all(buffers, received))
    }

    /// Sends as many of `messages` as the system accepts now, and returns how many.
    ///
    /// The method waits until the system accepts at least one, unless there are none. Send the
    /// rest with another call.
    ///
    /// On Linux this is one system call, `sendmmsg`, for up to 1024 datagrams.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`send_to`](Self::send_to) if the first of `messages` cannot be
    /// sent. An error of a later one ends the batch before it.
    pub async fn send_many<B: AsRef<[u8]>>(
        &self,
        messages: &[(B, SocketAddr)],
    ) -> io::Result<usize> {
        let messages = &messages[..messages.len().min(MAX_MESSAGES)];
        if messages.is_empty() {
            return Ok(0);
        }
        self.io
            .write_with(|socket| sys::send_many(socket, messages))
            .await
    }

    /// Sends like [`send_many`](Self::send_many), without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the system accepts none, or an
    /// error like [`send_many`](Self::send_many).
    pub fn try_send_many<B: AsRef<[u8]>>(&self, messages: &[(B, SocketAddr)]) -> io::Result<usize> {
        let messages = &messages[..messages.len().min(MAX_MESSAGES)];
        if messages.is_empty() {
            return Ok(0);
        }
        self.io
            .try_write_with(|socket| sys::send_many(socket, messages))
    }

    /// Polls like [`send_many`](Self::send_many). Only the task that polled to send last is
    /// woken.
    ///
    /// # Errors
    ///
    /// Returns an error like [`send_many`](Self::send_many).
    pub fn poll_send_many<B: AsRef<[u8]>>(
        &self,
        cx: &mut Context<'_>,
        messages: &[(B, SocketAddr)],
    ) -> Poll<io::Result<usize>> {
        let messages = &messages[..messages.len().min(MAX_MESSAGES)];
        if messages.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.io
            .poll_write_with(cx, |socket| sys::send_many(socket, messages))
    }

    /// Returns the result of a call that need not receive: the error that was kept, or none if
    /// there are no buffers.
    fn without_waiting<B>(
        &self,
        buffers: &[B],
        received: &mut Vec<(usize, SocketAddr)>,
    ) -> Option<io::Result<usize>> {
        received.clear();
        match self.late_error.take() {
            Some(error) => Some(Err(error)),
            None => buffers.is_empty().then_some(Ok(0)),
        }
    }

    /// Receives until no datagram is left, since rustix has no `recvmmsg`.
    fn receive_all<B: AsMut<[u8]>>(
        &self,
        buffers: &mut [B],
        received: &mut Vec<(usize, SocketAddr)>,
    ) -> io::Result<usize> {
        for buffer in buffers {
            match sys::receive_from(self.io.get_ref(), buffer.as_mut(), RecvFlags::empty()) {
                Ok(one) => received.push(one),
                Err(error) if received.is_empty() => return Err(error),
                Err(error) => {
                    let kind = error.kind();
                    if !matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
                        self.late_error.set(Some(error));
                    }
                    break;
                }
            }
        }
        Ok(received.len())
    }
}
