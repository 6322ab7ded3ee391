//! Accepting many connections: in batches, as a stream, and within a limit.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::{LimitedListener, TcpListener, TcpStream};
use crate::sys::tcp as sys;
use crate::{ConnectionLimit, Incoming};

impl TcpListener {
    /// Accepts one connection, and with it those that are queued already.
    ///
    /// It appends up to `max` connections to `connections`, and returns how many.
    ///
    /// When many connections arrive at once, this saves a wait on the loop for each. They are
    /// accepted one by one in a single poll, so other tasks wait longer if `max` is large.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost. Connections that are not in `connections` stay in
    /// the queue.
    ///
    /// # Errors
    ///
    /// Returns an error like [`accept`](Self::accept); `connections` is unchanged then. An
    /// error that follows an accepted connection is left to the next call.
    ///
    /// # Panics
    ///
    /// Panics if `max` is 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::net::{TcpListener, TcpStream};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// coreloop::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let _first = TcpStream::connect(listener.local_addr()?).await?;
    ///     let _second = TcpStream::connect(listener.local_addr()?).await?;
    ///     let mut connections = Vec::new();
    ///     assert_eq!(listener.accept_many(&mut connections, 64).await?, 2);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn accept_many(
        &self,
        connections: &mut Vec<(TcpStream, SocketAddr)>,
        max: usize,
    ) -> io::Result<usize> {
        assert!(max > 0, "accept_many needs room for a connection");
        connections.push(self.accept().await?);
        let mut count = 1;
        while count < max
            && let Some(connection) = self.accept_queued()
        {
            connections.push(connection);
            count += 1;
        }
        Ok(count)
    }

    /// Accepts a connection that is queued already. An error is not returned, because the next
    /// `accept` encounters it again.
    pub(super) fn accept_queued(&self) -> Option<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.io.try_read_with(sys::accept).ok()?;
        let stream = TcpStream::from_nonblocking(stream).ok()?;
        Some((stream, peer))
    }

    /// Returns the connections as a [`Stream`](futures_core::Stream), without the addresses of
    /// the peers.
    ///
    /// If there are several streams, each connection goes to one of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::net::{TcpListener, TcpStream};
    /// use futures_lite::StreamExt;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// coreloop::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let mut incoming = listener.incoming();
    ///     while let Some(stream) = incoming.next().await {
    ///         assert_eq!(stream?.peer_addr()?, client.local_addr()?);
    ///         # break;
    ///     }
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn incoming(&self) -> Incoming<'_, TcpStream> {
        Incoming::new(move || async move { Ok(self.accept().await?.0) })
    }

    /// Returns the same stream as [`incoming`](Self::incoming), which owns the listener.
    pub fn into_incoming(self) -> Incoming<'static, TcpStream> {
        let listener = Rc::new(self);
        Incoming::new(move || {
            let listener = Rc::clone(&listener);
            async move { Ok(listener.accept().await?.0) }
        })
    }

    /// Limits how many connections are open at once: while the limit is reached, `accept` of
    /// the returned listener waits.
    ///
    /// To share a limit, give clones of one [`ConnectionLimit`] to several listeners.
    ///
    /// # Panics
    ///
    /// Panics if the limit is 0.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use coreloop::net::TcpListener;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// coreloop::block_on(async {
    ///     let listener = TcpListener::bind("127.0.0.1:7777").await?.limit(1000);
    ///     loop {
    ///         let (mut stream, _peer) = listener.accept().await?;
    ///         // While a thousand of these tasks run, further connections wait in the queue.
    ///         coreloop::spawn(async move { stream.write_all(b"hello\n").await });
    ///     }
    /// })
    /// # }
    /// ```
    #[track_caller]
    pub fn limit(self, limit: impl Into<ConnectionLimit>) -> LimitedListener {
        LimitedListener::new(self, limit.into())
    }
}
