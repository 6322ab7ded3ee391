//! Datagrams to and from the peer that a [`UdpSocket`] is connected to.

use std::io;
use std::task::{Context, Poll};

use rustix::net::RecvFlags;

use super::UdpSocket;
use crate::datagram;

impl UdpSocket {
    /// Sends a datagram to the peer that this socket is connected to, and returns how many
    /// bytes were sent: always all of them.
    ///
    /// Any number of tasks may send. The future waits while the system has no room.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if no socket received an
    /// earlier datagram. The socket remains usable after that.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn send(socket: coreloop::net::UdpSocket) -> std::io::Result<()> {
    /// socket.send(b"hello").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        datagram::send(&self.io, bytes).await
    }

    /// Polls like [`send`](Self::send). Only the task that polled to send last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error like [`send`](Self::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        datagram::poll_send(&self.io, cx, bytes)
    }

    /// Sends like [`send`](Self::send), without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the system has no room, or an
    /// error like [`send`](Self::send).
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        datagram::try_send(&self.io, bytes)
    }

    /// Receives one datagram, and returns how many bytes of it are in `buffer`.
    ///
    /// **Bytes that do not fit are lost**: the system discards the rest of a datagram that is
    /// longer than `buffer`. `Ok(0)` may be an empty datagram. Any number of tasks may
    /// receive; each datagram goes to one of them.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was received if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, such as
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if no socket received a
    /// datagram that was sent to the peer. The socket remains usable after that.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn receive(socket: coreloop::net::UdpSocket) -> std::io::Result<()> {
    /// let mut buffer = [0; 1500];
    /// let count = socket.recv(&mut buffer).await?;
    /// println!("{}", buffer[..count].escape_ascii());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        datagram::receive(&self.io, buffer, RecvFlags::empty()).await
    }

    /// Polls like [`recv`](Self::recv). Only the task that polled to receive last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error like [`recv`](Self::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        datagram::poll_receive(&self.io, cx, buffer, RecvFlags::empty())
    }

    /// Receives like [`recv`](Self::recv), without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if no datagram has arrived, or an
    /// error like [`recv`](Self::recv).
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        datagram::try_receive(&self.io, buffer, RecvFlags::empty())
    }

    /// Receives like [`recv`](Self::recv), without removing the datagram.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram is removed.
    ///
    /// # Errors
    ///
    /// Returns an error like [`recv`](Self::recv).
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        datagram::receive(&self.io, buffer, RecvFlags::PEEK).await
    }

    /// Polls like [`peek`](Self::peek). Only the task that polled to receive last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error like [`recv`](Self::recv).
    pub fn poll_peek(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        datagram::poll_receive(&self.io, cx, buffer, RecvFlags::PEEK)
    }

    /// Receives like [`peek`](Self::peek), without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`try_recv`](Self::try_recv).
    pub fn try_peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        datagram::try_receive(&self.io, buffer, RecvFlags::PEEK)
    }
}
