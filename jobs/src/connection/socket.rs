//! [`Listener`] and [`Socket`]: TCP or Unix, with TLS or without.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use coreloop_net::{TcpListener, TcpStream, UnixListener, UnixStream};
use futures_io::{AsyncRead, AsyncWrite};

use super::address::{Address, Place, check, resolve};
use super::socket_file::SocketFile;
use super::tls::{self, Acceptor, Connector};
use crate::error::{Error, Kind};

/// What a manager listens at.
pub(crate) enum Listener {
    Tcp(TcpListener),
    /// The file is removed before the socket is closed, so that it is no other file by then.
    Unix(SocketFile, UnixListener),
}

/// Where a connection comes from. Connections of one source count as one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    V4([u8; 4]),
    /// The network of one customer, usually: anyone there has all of its addresses.
    V6([u8; 8]),
    Unix,
}

impl Source {
    fn of(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// A connection that was accepted, where it comes from, and its address.
type Accepted = (Socket, Source, Option<SocketAddr>);

impl Listener {
    /// Listens at an address. `allows_network` is whether it may be beyond this machine.
    pub(crate) async fn bind(address: &Address, allows_network: bool) -> Result<Self, Error> {
        let bound = match address.place() {
            Place::Unix(path) => SocketFile::bind(path)
                .await
                .map(|(file, listener)| Self::Unix(file, listener)),
            Place::Internet(at) => {
                check(*at, allows_network)?;
                TcpListener::bind(at).await.map(Self::Tcp)
            }
            Place::Name(name) => {
                let found = resolve(name, allows_network).await?;
                TcpListener::bind(&found[..]).await.map(Self::Tcp)
            }
        };
        bound.map_err(|error| {
            let text = format!("cannot listen at {address}: {error}");
            Error::new(Kind::Io(error.kind()), text)
        })
    }

    /// Returns the address, with the port that the system has chosen.
    pub(crate) fn address(&self) -> Result<Address, Error> {
        Ok(match self {
            Self::Tcp(listener) => listener.local_addr()?.into(),
            Self::Unix(file, _) => file.path().to_owned().into(),
        })
    }

    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        match self {
            Self::Tcp(listener) => {
                let accepted = listener.poll_accept(cx);
                accepted.map_ok(|(stream, address)| {
                    (Socket::Tcp(stream), Source::of(address), Some(address))
                })
            }
            Self::Unix(_, listener) => {
                let accepted = listener.poll_accept(cx);
                accepted.map_ok(|(stream, _)| (Socket::Unix(stream), Source::Unix, None))
            }
        }
    }
}

/// A connection.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<tls::Stream>),
    /// The TLS handshake has failed, and has closed it.
    Closed,
}

impl Socket {
    /// Connects to an address. `allows_network` is whether it may be beyond this machine.
    pub(crate) async fn connect(address: &Address, allows_network: bool) -> Result<Self, Error> {
        let connected = match address.place() {
            Place::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
            Place::Internet(at) => {
                check(*at, allows_network)?;
                TcpStream::connect(at).await.map(Self::Tcp)
            }
            Place::Name(name) => {
                let found = resolve(name, allows_network).await?;
                TcpStream::connect(&found[..]).await.map(Self::Tcp)
            }
        };
        connected.map_err(|error| {
            let text = format!("cannot connect to {address}: {error}");
            Error::new(Kind::Io(error.kind()), text)
        })
    }

    /// Sends small frames at once.
    pub(crate) fn set_options(&self) {
        if let Self::Tcp(stream) = self {
            // Without it, the connection works too.
            let _ = stream.set_nodelay(true);
        }
    }
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_close(cx),
            Self::Unix(stream) => Pin::new(stream).poll_close(cx),
            Self::Tls(stream) => Pin::new(stream).poll_close(cx),
            Self::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl Socket {
    /// Returns the bytes that name the TLS session; none without TLS.
    pub(crate) fn binding(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::Tls(stream) => tls::binding(stream),
            Self::Tcp(_) | Self::Unix(_) | Self::Closed => Ok(Vec::new()),
        }
    }

    /// Makes the TLS handshake of a manager.
    pub(crate) async fn accept_tls(&mut self, acceptor: &Acceptor) -> io::Result<()> {
        let stream = acceptor.accept(self.take_tcp()?).await?;
        *self = Self::Tls(Box::new(stream));
        Ok(())
    }

    /// Makes the TLS handshake of a client.
    pub(crate) async fn connect_tls(&mut self, connector: &Connector) -> io::Result<()> {
        let stream = connector.connect(self.take_tcp()?).await?;
        *self = Self::Tls(Box::new(stream));
        Ok(())
    }

    fn take_tcp(&mut self) -> io::Result<TcpStream> {
        match std::mem::replace(self, Self::Closed) {
            Self::Tcp(stream) => Ok(stream),
            other => {
                *self = other;
                let text = "a manager uses TLS on TCP only, and this is a Unix socket";
                Err(io::Error::new(io::ErrorKind::Unsupported, text))
            }
        }
    }
}
