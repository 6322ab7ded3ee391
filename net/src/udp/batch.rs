//! Many datagrams at once.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use rustix::net::RecvFlags;

use super::{UdpSocket, sys};

/// So many datagrams go to the system at once: `UIO_MAXIOV`.
const MOST: usize = 1024;

impl UdpSocket {
    /// Receives what has come, one datagram into each of `buffers` in turn, and says
    /// how many there were: at least one, unless there are no buffers.
    ///
    /// Length and sender of each are put into `received`, which is cleared first. It
    /// is one wait, and one unit of the task's budget, for all of them, though not
    /// one system call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing was received if the future did not complete.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](Self::recv). An error that comes after a datagram is kept for
    /// the next call.
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
        if let Some(over) = self.without_waiting(buffers, received) {
            return over;
        }
        self.io
            .read_with(|_| self.receive_all(buffers, received))
            .await
    }

    /// Receives as [`recv_many`](Self::recv_many), without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there; otherwise those
    /// of [`recv_many`](Self::recv_many).
    pub fn try_recv_many<B: AsMut<[u8]>>(
        &self,
        buffers: &mut [B],
        received: &mut Vec<(usize, SocketAddr)>,
    ) -> io::Result<usize> {
        if let Some(over) = self.without_waiting(buffers, received) {
            return over;
        }
        self.io
            .try_read_with(|_| self.receive_all(buffers, received))
    }

    /// Polls as [`recv_many`](Self::recv_many) awaits. Only the task that polled to
    /// receive last is woken.
    ///
    /// # Errors
    ///
    /// Those of [`recv_many`](Self::recv_many).
    pub fn poll_recv_many<B: AsMut<[u8]>>(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [B],
        received: &mut Vec<(usize, SocketAddr)>,
    ) -> Poll<io::Result<usize>> {
        if let Some(over) = self.without_waiting(buffers, received) {
            return Poll::Ready(over);
        }
        self.io
            .poll_read_with(cx, |_| self.receive_all(buffers, received))
    }

    /// Sends as many of `messages` as the system takes now, and says how many of them
    /// it took: at least one, unless there are none. Send the rest with another call.
    ///
    /// On Linux that is one system call, `sendmmsg`, for up to 1024 datagrams.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing was sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Those of [`send_to`](Self::send_to), for the first of `messages`. At an error
    /// of a later one sending stops before it.
    pub async fn send_many<B: AsRef<[u8]>>(
        &self,
        messages: &[(B, SocketAddr)],
    ) -> io::Result<usize> {
        let messages = &messages[..messages.len().min(MOST)];
        if messages.is_empty() {
            return Ok(0);
        }
        self.io
            .write_with(|socket| sys::send_many(socket, messages))
            .await
    }

    /// Sends as [`send_many`](Self::send_many), without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the system takes none; otherwise
    /// those of [`send_many`](Self::send_many).
    pub fn try_send_many<B: AsRef<[u8]>>(&self, messages: &[(B, SocketAddr)]) -> io::Result<usize> {
        let messages = &messages[..messages.len().min(MOST)];
        if messages.is_empty() {
            return Ok(0);
        }
        self.io
            .try_write_with(|socket| sys::send_many(socket, messages))
    }

    /// Polls as [`send_many`](Self::send_many) awaits. Only the task that polled to
    /// send last is woken.
    ///
    /// # Errors
    ///
    /// Those of [`send_many`](Self::send_many).
    pub fn poll_send_many<B: AsRef<[u8]>>(
        &self,
        cx: &mut Context<'_>,
        messages: &[(B, SocketAddr)],
    ) -> Poll<io::Result<usize>> {
        let messages = &messages[..messages.len().min(MOST)];
        if messages.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.io
            .poll_write_with(cx, |socket| sys::send_many(socket, messages))
    }

    /// What a call for datagrams gives without looking for any.
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

    /// rustix has no `recvmmsg`, so this asks until nothing is left.
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
