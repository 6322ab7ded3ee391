//! [`Accept`]: the trait of everything that accepts TCP connections.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use crate::{TcpListener, TcpStream};

/// A source of TCP connections, for servers that take any of them: a [`TcpListener`], or a
/// listener that ends.
///
/// # Examples
///
/// A listener that ends after a number of connections:
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
/// use std::task::{Context, Poll, ready};
///
/// use coreloop::net::{Accept, TcpListener, TcpStream};
///
/// struct Few {
///     listener: TcpListener,
///     left: usize,
/// }
///
/// impl Accept for Few {
///     fn poll_accept(
///         &mut self,
///         cx: &mut Context<'_>,
///     ) -> Poll<io::Result<Option<(TcpStream, SocketAddr)>>> {
///         if self.left == 0 {
///             return Poll::Ready(Ok(None));
///         }
///         let accepted = ready!(self.listener.poll_accept(cx))?;
///         self.left -= 1;
///         Poll::Ready(Ok(Some(accepted)))
///     }
/// }
/// ```
pub trait Accept {
    /// Polls for the next connection. Returns `None` when there will be no more. Only the
    /// task that polled last is woken.
    ///
    /// # Errors
    ///
    /// Returns an error if no further connection can be accepted. A failure of a single
    /// connection is not returned.
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<(TcpStream, SocketAddr)>>>;
}

impl Accept for TcpListener {
    #[inline]
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<(TcpStream, SocketAddr)>>> {
        Self::poll_accept(self, cx).map_ok(Some)
    }
}
