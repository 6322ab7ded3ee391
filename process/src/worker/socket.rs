//! [`Socket`], a kind of socket that a worker listens on, and how it is put on the loop and
//! taken off it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use coreloop_net::{AcceptBackoff, TcpListener, TcpStream, UnixListener, UnixStream, unix};

/// A kind of socket that a [`Listener`](super::Listener) accepts from: a [`TcpListener`] or
/// a [`UnixListener`].
pub trait Socket: Sized + sealed::Sealed {
    /// A connection.
    type Stream;
    /// The address of a peer, and of the socket itself.
    type Address: Clone;

    /// The socket off the loop.
    #[doc(hidden)]
    type OffLoop;

    /// Puts a socket on this thread's loop. `shared` if other workers wait for connections
    /// to the same socket, so that the kernel wakes only one of them.
    #[doc(hidden)]
    fn on_loop(socket: OwnedFd, shared: bool) -> io::Result<Self>;

    /// Takes the socket off the loop. The master has it open too, so closing it alone would
    /// leave it registered, and connections would wake a worker that does not accept them.
    #[doc(hidden)]
    fn off_loop(self) -> io::Result<Self::OffLoop>;

    /// Takes a connection from the queue of a socket that is on no loop.
    #[doc(hidden)]
    fn accept_queued(socket: &Self::OffLoop) -> io::Result<(Self::Stream, Self::Address)>;

    #[doc(hidden)]
    fn address(&self) -> io::Result<Self::Address>;

    #[doc(hidden)]
    fn poll(
        &self,
        pause: &mut AcceptBackoff,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Self::Stream, Self::Address)>>;
}

impl Socket for TcpListener {
    type Stream = TcpStream;
    type Address = SocketAddr;
    type OffLoop = std::net::TcpListener;

    fn on_loop(socket: OwnedFd, shared: bool) -> io::Result<Self> {
        if shared {
            Self::from_std_exclusive(socket.into())
        } else {
            Self::from_std(socket.into())
        }
    }

    fn off_loop(self) -> io::Result<Self::OffLoop> {
        self.into_std()
    }

    fn accept_queued(socket: &Self::OffLoop) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = socket.accept()?;
        Ok((TcpStream::from_std_counted(stream)?, peer))
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    #[inline]
    fn poll(
        &self,
        pause: &mut AcceptBackoff,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.poll_accept_shared(pause, cx)
    }
}

impl Socket for UnixListener {
    type Stream = UnixStream;
    type Address = unix::SocketAddr;
    type OffLoop = std::os::unix::net::UnixListener;

    fn on_loop(socket: OwnedFd, shared: bool) -> io::Result<Self> {
        if shared {
            Self::from_std_exclusive(socket.into())
        } else {
            Self::from_std(socket.into())
        }
    }

    fn off_loop(self) -> io::Result<Self::OffLoop> {
        self.into_std()
    }

    fn accept_queued(socket: &Self::OffLoop) -> io::Result<(UnixStream, unix::SocketAddr)> {
        let (stream, peer) = socket.accept()?;
        Ok((UnixStream::from_std_counted(stream)?, peer.into()))
    }

    fn address(&self) -> io::Result<unix::SocketAddr> {
        self.local_addr()
    }

    #[inline]
    fn poll(
        &self,
        pause: &mut AcceptBackoff,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(UnixStream, unix::SocketAddr)>> {
        self.poll_accept_shared(pause, cx)
    }
}

mod sealed {
    use super::{TcpListener, UnixListener};

    /// Keeps other crates from implementing the trait.
    pub trait Sealed {}

    impl Sealed for TcpListener {}
    impl Sealed for UnixListener {}
}
