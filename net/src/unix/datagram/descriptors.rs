//! Descriptors beside the bytes of a datagram.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::net::{RecvFlags, SendFlags, SocketAddrUnix};

use super::UnixDatagram;
use crate::sys::{self, unix};
use crate::unix::{ReceivedFds, SocketAddr};

impl UnixDatagram {
    /// Sends a datagram with duplicates of the descriptors `fds` to the peer that this socket is
    /// connected to, and returns how many bytes were sent: always all of them.
    ///
    /// The caller may close its descriptors as soon as this has returned. The peer receives them
    /// by [`recv_with_fds`](Self::recv_with_fds), or by `recvmsg` in any other program; the
    /// system closes them if the peer receives the datagram in any other way.
    ///
    /// A datagram may bring descriptors and no bytes, at least on Linux.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput), before anything is sent, if there
    /// are more descriptors than [`MAX_FDS`](crate::unix::MAX_FDS). Returns an error if the
    /// system call fails, like [`send`](Self::send), and on Linux with the error number
    /// `ETOOMANYREFS` if more descriptors of this user have been sent and not yet received than
    /// a process may have.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::fs::File;
    /// use std::os::fd::AsFd;
    ///
    /// use coreloop::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # coreloop::block_on(async {
    /// let (one, other) = UnixDatagram::pair()?;
    /// let null = File::open("/dev/null")?;
    /// one.send_with_fds(b"null", &[null.as_fd()]).await?;
    ///
    /// let mut buffer = [0; 64];
    /// let (count, fds) = other.recv_with_fds(&mut buffer).await?;
    /// assert_eq!(&buffer[..count], b"null");
    /// assert_eq!(fds.into_all()?.len(), 1);
    /// # Ok(()) })
    /// # }
    /// ```
    pub async fn send_with_fds(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        sys::check_number(fds)?;
        self.io
            .write_with(|socket| send(socket, bytes, fds, None))
            .await
    }

    /// Sends like [`send_with_fds`](Self::send_with_fds), without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the system has no room, or an
    /// error like [`send_with_fds`](Self::send_with_fds).
    pub fn try_send_with_fds(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
        sys::check_number(fds)?;
        self.io
            .try_write_with(|socket| send(socket, bytes, fds, None))
    }

    /// Sends a datagram with descriptors like [`send_with_fds`](Self::send_with_fds) to the
    /// socket at `path`, and waits like [`send_to`](Self::send_to) while the receiver has no
    /// room.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`send_with_fds`](Self::send_with_fds) and
    /// [`send_to`](Self::send_to).
    pub async fn send_to_with_fds<P: AsRef<Path>>(
        &self,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
        path: P,
    ) -> io::Result<usize> {
        self.send_to_addr_with_fds(bytes, fds, &SocketAddr::from_path(path.as_ref())?)
            .await
    }

    /// Sends like [`send_to_with_fds`](Self::send_to_with_fds) to an address, which may be an
    /// abstract name.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was sent if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`send_to_with_fds`](Self::send_to_with_fds).
    pub async fn send_to_addr_with_fds(
        &self,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
        address: &SocketAddr,
    ) -> io::Result<usize> {
        sys::check_number(fds)?;
        let to = address.to_system()?;
        self.send_until_room(|socket| {
            unix::unless_full(socket, || send(socket, bytes, fds, Some(&to)))
        })
        .await
    }

    /// Sends like [`send_to_with_fds`](Self::send_to_with_fds), without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if the receiver has no room, or an
    /// error like [`send_to_with_fds`](Self::send_to_with_fds).
    pub fn try_send_to_with_fds<P: AsRef<Path>>(
        &self,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
        path: P,
    ) -> io::Result<usize> {
        sys::check_number(fds)?;
        let to = SocketAddr::from_path(path.as_ref())?.to_system()?;
        self.io
            .try_write_with(|socket| send(socket, bytes, fds, Some(&to)))
    }

    /// Receives one datagram with the descriptors that came with it, and returns how many bytes
    /// of it are in `buffer`.
    ///
    /// Bytes that do not fit are lost, like at [`recv`](Self::recv). The descriptors come all the
    /// same. Other ways to receive close the descriptors that came.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was received if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error if the system call fails, like [`recv`](Self::recv). It is no error of
    /// this call if the process has no room for the descriptors:
    /// [`ReceivedFds::into_all`] reports that. Systems other than Linux may fail instead, and
    /// lose the datagram.
    pub async fn recv_with_fds(&self, buffer: &mut [u8]) -> io::Result<(usize, ReceivedFds)> {
        self.io.read_with(|socket| receive(socket, buffer)).await
    }

    /// Receives like [`recv_with_fds`](Self::recv_with_fds), without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) if no datagram has arrived, or an
    /// error like [`recv_with_fds`](Self::recv_with_fds).
    pub fn try_recv_with_fds(&self, buffer: &mut [u8]) -> io::Result<(usize, ReceivedFds)> {
        self.io.try_read_with(|socket| receive(socket, buffer))
    }

    /// Receives like [`recv_with_fds`](Self::recv_with_fds), and returns the sender too.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no datagram was received if the future did not complete.
    ///
    /// # Errors
    ///
    /// Returns an error like [`recv_with_fds`](Self::recv_with_fds).
    pub async fn recv_from_with_fds(
        &self,
        buffer: &mut [u8],
    ) -> io::Result<(usize, ReceivedFds, SocketAddr)> {
        self.io
            .read_with(|socket| receive_from(socket, buffer))
            .await
    }

    /// Receives like [`recv_from_with_fds`](Self::recv_from_with_fds), without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error like [`try_recv_with_fds`](Self::try_recv_with_fds).
    pub fn try_recv_from_with_fds(
        &self,
        buffer: &mut [u8],
    ) -> io::Result<(usize, ReceivedFds, SocketAddr)> {
        self.io.try_read_with(|socket| receive_from(socket, buffer))
    }
}

fn send(
    socket: impl AsFd,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    to: Option<&SocketAddrUnix>,
) -> io::Result<usize> {
    let buffers = [IoSlice::new(bytes)];
    sys::send_with_descriptors(socket, &buffers, fds, to, SendFlags::empty())
}

fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, ReceivedFds)> {
    let mut buffers = [IoSliceMut::new(buffer)];
    let flags = RecvFlags::empty();
    let message = sys::receive_with_descriptors(socket, &mut buffers, flags, drop)?;
    let (count, fds, ()) = ReceivedFds::parts(message);
    Ok((count, fds))
}

fn receive_from(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<(usize, ReceivedFds, SocketAddr)> {
    let mut buffers = [IoSliceMut::new(buffer)];
    let flags = RecvFlags::empty();
    let message = sys::receive_with_descriptors(socket, &mut buffers, flags, unix::sender)?;
    let (count, fds, from) = ReceivedFds::parts(message);
    Ok((count, fds, from?.into()))
}
