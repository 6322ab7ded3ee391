//! Descriptors beside the bytes of a [`UnixStream`].

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{RecvFlags, SendFlags};

use super::{Unix, UnixStream};
use crate::stream::StreamSocket;
use crate::sys;
use crate::unix::{ReceivedFds, read_with_fds};

impl UnixStream {
    /// Writes some of `bytes` with duplicates of the descriptors `fds`, and returns how many
    /// bytes were written.
    ///
    /// All of the descriptors are sent with the first byte. So if fewer bytes were written than
    /// there are, write the rest with [`write_all`](Self::write_all), without the
    /// descriptors. The caller may close its descriptors as soon as this has returned.
    ///
    /// The peer receives them by [`recv_with_fds`](Self::recv_with_fds), or by `recvmsg` in any
    /// other program. Each call that it receives with has to provide for descriptors: the
    /// system closes them if the peer reads these bytes in any other way.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes and no descriptors were sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput), before anything is sent, if there
    /// are more descriptors than [`MAX_FDS`](crate::unix::MAX_FDS), or if there are
    /// descriptors but no bytes, since the system sends descriptors only with a byte. Returns an
    /// error if the system call fails, like [`write`](Self::write), and on Linux with the
    /// error number `ETOOMANYREFS` if more descriptors of this user have been sent and not
    /// yet received than a process may have.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Read;
    /// use std::os::fd::AsFd;
    ///
    /// use coreloop::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// let (mut one, mut other) = UnixStream::pair()?;
    /// let (mut reader, writer) = std::io::pipe()?;
    /// let count = one.send_with_fds(b"a pipe", &[writer.as_fd()]).await?;
    /// one.write_all(&b"a pipe"[count..]).await?;
    /// drop(writer);
    ///
    /// let (_, fds) = other.recv_with_fds(&mut [0; 64]).await?;
    /// // The only writer is closed.
    /// drop(fds);
    /// assert_eq!(reader.read(&mut [0; 1])?, 0);
    /// # Ok(()) })
    /// # }
    /// ```
    pub async fn send_with_fds(
        &mut self,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<usize> {
        self.socket.send_with_fds(bytes, fds).await
    }

    /// Sends like [`send_with_fds`](Self::send_with_fds), without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the system accepts no bytes, or an
    /// error like [`send_with_fds`](Self::send_with_fds).
    pub fn try_send_with_fds(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        self.socket.try_send_with_fds(bytes, fds)
    }

    /// Reads some bytes into `buffer`, with the descriptors that came with them, and returns
    /// how many bytes were read.
    ///
    /// `0` bytes without descriptors mean that the peer sends no more, or that `buffer` is empty.
    ///
    /// A stream keeps no boundaries between messages. On Linux, bytes that were sent earlier may
    /// be read together with the bytes that brought descriptors, but no bytes that were sent
    /// later, and so never the descriptors of two calls together. If `buffer` is shorter than
    /// what was sent, the descriptors come with the first part. So a protocol puts the number
    /// of descriptors in its messages, and takes them in order.
    ///
    /// Ordinary reads, such as [`read`](Self::read), close the descriptors that they meet.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no bytes and no descriptors were received if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, like [`read`](Self::read). It is no error of
    /// this call if the process has no room for the descriptors:
    /// [`ReceivedFds::into_all`] reports that.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::net::TcpListener;
    ///
    /// use coreloop::net::UnixStream;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// let mut stream = UnixStream::connect("/run/listeners.sock").await?;
    /// let (_, fds) = stream.recv_with_fds(&mut [0; 1]).await?;
    /// let listeners: Vec<_> = fds.into_all()?.into_iter().map(TcpListener::from).collect();
    /// # drop(listeners);
    /// # Ok(()) })
    /// # }
    /// ```
    pub async fn recv_with_fds(&mut self, buffer: &mut [u8]) -> io::Result<(usize, ReceivedFds)> {
        self.socket.recv_with_fds(buffer).await
    }

    /// Receives like [`recv_with_fds`](Self::recv_with_fds), without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if no bytes have arrived, or an error
    /// like [`recv_with_fds`](Self::recv_with_fds).
    pub fn try_recv_with_fds(&self, buffer: &mut [u8]) -> io::Result<(usize, ReceivedFds)> {
        self.socket.try_recv_with_fds(buffer)
    }
}

/// For the stream and its halves. The methods that wait belong to the one owner of their
/// direction.
impl StreamSocket<Unix> {
    pub(in crate::unix) async fn send_with_fds(
        &self,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<usize> {
        check(bytes, fds)?;
        if fds.is_empty() {
            return self.write(bytes).await;
        }
        let length = sys::limit_transfer(bytes.len());
        let bytes = &bytes[..length];
        poll_fn(|cx| {
            self.io()
                .poll_write_stream(cx, length, |socket| send(socket, bytes, fds))
        })
        .await
    }

    pub(in crate::unix) fn try_send_with_fds(
        &self,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<usize> {
        check(bytes, fds)?;
        if fds.is_empty() {
            return self.try_write(bytes);
        }
        let length = sys::limit_transfer(bytes.len());
        let bytes = &bytes[..length];
        self.io()
            .try_write_stream(length, |socket| send(socket, bytes, fds))
    }

    pub(in crate::unix) async fn recv_with_fds(
        &self,
        buffer: &mut [u8],
    ) -> io::Result<(usize, ReceivedFds)> {
        if buffer.is_empty() {
            return Ok((self.read(buffer).await?, ReceivedFds::none()));
        }
        poll_fn(|cx| {
            self.io()
                .poll_read_with(cx, |socket| receive(socket, buffer))
        })
        .await
    }

    pub(in crate::unix) fn try_recv_with_fds(
        &self,
        buffer: &mut [u8],
    ) -> io::Result<(usize, ReceivedFds)> {
        if buffer.is_empty() {
            return Ok((self.try_read(buffer)?, ReceivedFds::none()));
        }
        self.io().try_read_with(|socket| receive(socket, buffer))
    }
}

/// Finds mistakes of the caller before the socket has to be writable.
fn check(bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    sys::check_number(fds)?;
    if bytes.is_empty() && !fds.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a stream brings descriptors only with a byte: send at least one",
        ));
    }
    Ok(())
}

fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let buffers = [IoSlice::new(bytes)];
    sys::send_with_descriptors(socket, &buffers, fds, None, SendFlags::empty())
}

fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, ReceivedFds)> {
    let length = sys::limit_transfer(buffer.len());
    let mut buffers = [IoSliceMut::new(&mut buffer[..length])];
    read_with_fds(socket, &mut buffers, RecvFlags::empty())
}
