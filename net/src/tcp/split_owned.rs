//! Halves that own the stream together: for two tasks.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::{TcpStream, transfer};

/// The half of a [`TcpStream`] that reads, from [`TcpStream::into_split`].
///
/// # Examples
///
/// ```
/// use coreloop::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// coreloop::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (mut server, _) = listener.accept().await?;
///
///     let (mut reader, mut writer) = client.into_split();
///     let answer = coreloop::spawn(async move {
///         let mut answer = [0; 2];
///         reader.read_exact(&mut answer).await.map(|_| answer)
///     });
///     writer.write_all(b"hello").await?;
///     drop(writer); // The server now reads to the end.
///
///     let mut greeting = [0; 8];
///     assert_eq!(server.read(&mut greeting).await?, 5);
///     assert_eq!(server.read(&mut greeting).await?, 0);
///     server.write_all(b"ok").await?;
///     assert_eq!(&answer.await.expect("the task is not aborted")?, b"ok");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: Rc<TcpStream>,
}

/// The half of a [`TcpStream`] that writes, from [`TcpStream::into_split`].
///
/// Dropping it shuts down the writing direction, so that the peer reads to the
/// end; [`forget`](Self::forget) drops it without that.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Rc<TcpStream>,
    shutdown_on_drop: bool,
}

pub(super) fn split_owned(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let stream = Rc::new(stream);
    let reader = OwnedReadHalf {
        stream: Rc::clone(&stream),
    };
    let writer = OwnedWriteHalf {
        stream,
        shutdown_on_drop: true,
    };
    (reader, writer)
}

fn reunite(reader: OwnedReadHalf, writer: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
    if !Rc::ptr_eq(&reader.stream, &writer.stream) {
        return Err(ReuniteError(reader, writer));
    }
    writer.forget();
    let stream = Rc::into_inner(reader.stream);
    Ok(stream.expect("a stream in halves has no owner but the two"))
}

reading_half!(OwnedReadHalf);
writing_half!(OwnedWriteHalf);

impl OwnedReadHalf {
    /// Puts the two halves of one stream together again.
    ///
    /// # Errors
    ///
    /// Gives both halves back if they are not of the same stream.
    pub fn reunite(self, other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        reunite(self, other)
    }

    #[inline]
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl OwnedWriteHalf {
    /// Puts the two halves of one stream together again.
    ///
    /// # Errors
    ///
    /// Gives both halves back if they are not of the same stream.
    pub fn reunite(self, other: OwnedReadHalf) -> Result<TcpStream, ReuniteError> {
        reunite(other, self)
    }

    /// Drops this half without shutting down the writing direction.
    ///
    /// The stream stays open as long as the other half.
    pub fn forget(mut self) {
        self.shutdown_on_drop = false;
    }

    #[inline]
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shutdown_on_drop {
            // Nobody is left to hear of a failure, and a connection that cannot
            // be shut down is gone already.
            drop(transfer::shutdown_write(&self.stream));
        }
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

/// The halves given to `reunite` are not of the same stream. Here they are.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tried to reunite halves that are not from the same stream")
    }
}

impl Error for ReuniteError {}
