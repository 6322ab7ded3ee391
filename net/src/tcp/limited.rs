//! A listener that has only so many connections open.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::{TcpListener, TcpStream};
use crate::{ConnectionLimit, Incoming, Limited};

/// A listener whose connections are limited, from [`TcpListener::limit`].
///
/// While as many connections are open as the limit says, those that come wait in
/// the kernel's queue, and when that is full the kernel lets them try again.
#[derive(Debug)]
pub struct LimitedListener {
    listener: TcpListener,
    limit: ConnectionLimit,
}

impl LimitedListener {
    pub(super) fn new(listener: TcpListener, limit: ConnectionLimit) -> LimitedListener {
        LimitedListener { listener, limit }
    }

    /// Accepts the next connection when the limit allows it, and tells who it is
    /// from. It counts until it is dropped.
    ///
    /// A task that waits here for a connection counts as well, so several of them
    /// never accept too many.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: neither a connection nor a permit is lost.
    ///
    /// # Errors
    ///
    /// Those of [`TcpListener::accept`].
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
    ///     assert_eq!(listener.connection_limit().live(), 1);
    ///     drop(stream);
    ///     assert_eq!(listener.connection_limit().live(), 0);
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

    /// Accepts as many connections as are queued and the limit allows, at least one
    /// and at most `max`, as [`TcpListener::accept_many`] does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: neither a connection nor a permit is lost.
    ///
    /// # Errors
    ///
    /// Those of [`TcpListener::accept_many`].
    ///
    /// # Panics
    ///
    /// If `max` is 0.
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

    /// The connections, one after another, as [`TcpListener::incoming`] gives them.
    pub fn incoming(&self) -> Incoming<'_, Limited<TcpStream>> {
        Incoming::new(move || async move { Ok(self.accept().await?.0) })
    }

    /// As [`incoming`](Self::incoming), with the listener in the stream.
    pub fn into_incoming(self) -> Incoming<'static, Limited<TcpStream>> {
        let listener = Rc::new(self);
        Incoming::new(move || {
            let listener = Rc::clone(&listener);
            async move { Ok(listener.accept().await?.0) }
        })
    }

    /// The limit, which may be shared with other listeners.
    #[must_use]
    pub fn connection_limit(&self) -> &ConnectionLimit {
        &self.limit
    }

    /// The listener itself, whose `accept` knows no limit.
    #[must_use]
    pub fn get_ref(&self) -> &TcpListener {
        &self.listener
    }

    /// The listener without its limit.
    #[must_use]
    pub fn into_inner(self) -> TcpListener {
        self.listener
    }
}
