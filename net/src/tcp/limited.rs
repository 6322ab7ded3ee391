//! [`LimitedListener`].

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::{TcpListener, TcpStream};
use crate::{ConnectionLimit, Incoming, Limited};

/// A listener that limits how many of its connections are open, from [`TcpListener::limit`].
///
/// While the limit is reached, further connections wait in the queue of the kernel. When that
/// is full, the kernel makes the clients try again.
#[derive(Debug)]
pub struct LimitedListener {
    listener: TcpListener,
    limit: ConnectionLimit,
}

impl LimitedListener {
    pub(super) fn new(listener: TcpListener, limit: ConnectionLimit) -> Self {
        Self { listener, limit }
    }

    /// Accepts the next connection when the limit permits, and returns it with the address of
    /// its peer. It counts until it is dropped.
    ///
    /// A task that waits here for a connection counts as well, so several tasks never accept
    /// too many.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: neither a connection nor a permit is lost.
    ///
    /// # Errors
    ///
    /// Returns an error like [`TcpListener::accept`].
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::net::{TcpListener, TcpStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// coreloop::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?.limit(2);
    ///     let _client = TcpStream::connect(listener.get_ref().local_addr()?).await?;
    ///     let (stream, _peer) = listener.accept().await?;
    ///     assert_eq!(listener.connection_limit().active(), 1);
    ///     drop(stream);
    ///     assert_eq!(listener.connection_limit().active(), 0);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn accept(&self) -> io::Result<(Limited<TcpStream>, SocketAddr)> {
        let permit = match self.limit.try_acquire() {
            Some(permit) => permit,
            None => {
                self.listener.leave_to_others();
                self.limit.acquire().await
            }
        };
        let (stream, peer) = self.listener.accept().await?;
        Ok((Limited::new(stream, permit), peer))
    }

    /// Accepts at least one connection and at most `max`, as many as are queued and the limit
    /// permits, like [`TcpListener::accept_many`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: neither a connection nor a permit is lost.
    ///
    /// # Errors
    ///
    /// Returns an error like [`TcpListener::accept_many`].
    ///
    /// # Panics
    ///
    /// Panics if `max` is 0.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn serve(listener: coreloop::net::tcp::LimitedListener) -> std::io::Result<()> {
    /// let mut connections = Vec::new();
    /// loop {
    ///     listener.accept_many(&mut connections, 64).await?;
    ///     for (mut stream, _peer) in connections.drain(..) {
    ///         coreloop::spawn(async move { stream.write_all(b"hello\n").await });
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn accept_many(
        &self,
        connections: &mut Vec<(Limited<TcpStream>, SocketAddr)>,
        max: usize,
    ) -> io::Result<usize> {
        assert!(max > 0, "accept_many needs room for a connection");
        connections.push(self.accept().await?);
        let mut count = 1;
        while count < max
            && let Some(permit) = self.limit.try_acquire()
            && let Some((stream, peer)) = self.listener.accept_queued()
        {
            connections.push((Limited::new(stream, permit), peer));
            count += 1;
        }
        Ok(count)
    }

    /// Returns the connections as a stream, like [`TcpListener::incoming`].
    pub fn incoming(&self) -> Incoming<'_, Limited<TcpStream>> {
        Incoming::new(move || async move { Ok(self.accept().await?.0) })
    }

    /// Returns the same stream as [`incoming`](Self::incoming), which owns the listener.
    pub fn into_incoming(self) -> Incoming<'static, Limited<TcpStream>> {
        let listener = Rc::new(self);
        Incoming::new(move || {
            let listener = Rc::clone(&listener);
            async move { Ok(listener.accept().await?.0) }
        })
    }

    /// Returns the limit, which other listeners may share.
    #[must_use]
    pub fn connection_limit(&self) -> &ConnectionLimit {
        &self.limit
    }

    /// Returns the listener inside, whose `accept` has no limit.
    #[must_use]
    pub fn get_ref(&self) -> &TcpListener {
        &self.listener
    }

    /// Removes the limit, and returns the listener.
    #[must_use]
    pub fn into_inner(self) -> TcpListener {
        self.listener
    }
}
