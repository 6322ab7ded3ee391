//! Accepting many connections: in batches, as a stream, within a limit.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::{LimitedListener, TcpListener, TcpStream, sys};
use crate::{ConnectionLimit, Incoming};

impl TcpListener {
    /// Accepts at least one connection, and with it those that are queued already:
    /// up to `max` in all, which go to the end of `connections`. Says how many.
    ///
    /// This saves going through the loop for each when many come at once. They are
    /// taken one by one in a single poll, so a large `max` keeps other tasks
    /// waiting.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no connection is lost. Those that are not in `connections` stay
    /// in the queue.
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept), and then nothing was added. What fails after
    /// a connection was accepted is left to the next call.
    ///
    /// # Panics
    ///
    /// If `max` is 0.
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

    /// Takes a connection that is queued already. Whatever is wrong is found again
    /// by who waits for the next one.
    pub(super) fn accept_queued(&self) -> Option<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.io.try_read_with(sys::accept).ok()?;
        let stream = TcpStream::from_nonblocking(stream).ok()?;
        Some((stream, peer))
    }

    /// The connections, one after another, as a
    /// [`Stream`](futures_core::Stream) of what [`accept`](Self::accept) gives,
    /// without the addresses.
    ///
    /// Each of several streams gets some of the connections.
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

    /// As [`incoming`](Self::incoming), with the listener in the stream.
    pub fn into_incoming(self) -> Incoming<'static, TcpStream> {
        let listener = Rc::new(self);
        Incoming::new(move || {
            let listener = Rc::clone(&listener);
            async move { Ok(listener.accept().await?.0) }
        })
    }

    /// Bounds how many connections are open at once: `accept` of what this returns
    /// waits while there are as many as that.
    ///
    /// Listeners that share a limit are given clones of one [`ConnectionLimit`].
    ///
    /// # Panics
    ///
    /// If the limit is 0.
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
    ///         // Whoever comes while a thousand of these tasks run waits in the queue.
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
