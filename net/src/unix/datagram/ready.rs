//! Waiting until a [`UnixDatagram`] is ready, and operations of the caller's own.

use std::io;
use std::task::{Context, Poll};

use coreloop_runtime::io::{Interest, Ready};

use super::UnixDatagram;

impl UnixDatagram {
    /// Waits until the socket is ready for something in `interest`, and returns its readiness.
    ///
    /// Any number of tasks may wait. The future may complete too early, so follow it with an
    /// operation that does not wait, in a loop.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram is transferred, and the socket stays ready.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn wait(socket: coreloop::net::UnixDatagram) -> std::io::Result<()> {
    /// use coreloop::io::Interest;
    ///
    /// let ready = socket.ready(Interest::READABLE | Interest::WRITABLE).await?;
    /// println!("to read: {}, to write: {}", ready.is_readable(), ready.is_writable());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.io.ready(interest).await
    }

    /// Waits until the socket probably has a datagram.
    ///
    /// Any number of tasks may wait. The future may complete too early, so follow it with
    /// [`try_recv`](Self::try_recv), in a loop.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram is received, and the socket stays readable.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn read(socket: coreloop::net::UnixDatagram) -> std::io::Result<usize> {
    /// let mut buffer = [0; 1024];
    /// loop {
    ///     socket.readable().await?;
    ///     match socket.try_recv(&mut buffer) {
    ///         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
    ///         result => return result,
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    /// Polls until the socket is [`readable`](Self::readable). Only the task that polled to
    /// receive last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_readable(cx)
    }

    /// Waits until the socket probably has room for a datagram. The counterpart of
    /// [`readable`](Self::readable).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram is sent, and the socket stays writable.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn write(socket: coreloop::net::UnixDatagram) -> std::io::Result<usize> {
    /// loop {
    ///     socket.writable().await?;
    ///     match socket.try_send(b"hello") {
    ///         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
    ///         result => return result,
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn writable(&self) -> io::Result<()> {
        self.io.writable().await
    }

    /// Polls until the socket is [`writable`](Self::writable). Only the task that polled to
    /// send last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error if the runtime has been dropped.
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_writable(cx)
    }

    /// Calls `operation` once, without waiting, unless the loop knows that it would block.
    ///
    /// `operation` makes a system call on this socket, and returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) only if the system call did. The loop then
    /// takes the socket as not ready for `interest` until the system reports an event.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the loop knows that the socket is
    /// not ready, or the error of `operation`.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        operation: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        self.io.try_io(interest, |_| operation())
    }

    /// Calls `operation` each time the socket is ready for `interest`, until it returns
    /// anything but [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// `operation` has to behave as described at [`try_io`](Self::try_io). Any number of tasks
    /// may wait.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost if `operation` loses nothing when it would block.
    ///
    /// # Errors
    ///
    /// Returns the error of `operation`, or an error if the runtime has been dropped.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut operation: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        self.io.async_io(interest, |_| operation()).await
    }
}
