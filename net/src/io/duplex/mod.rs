//! [`duplex`]: two connected streams in memory.

mod pipe;
mod traits;

#[cfg(feature = "hyper")]
mod hyper_io;
#[cfg(feature = "tokio-io")]
mod tokio_io;

use std::fmt;

use pipe::{ReadEnd, WriteEnd};

/// Creates two streams, each of which reads what the other writes.
///
/// Each direction holds up to `max_buf_size` bytes; a writer waits while it is full. Memory is
/// allocated as needed. The streams also work outside a runtime. Within one, each read and
/// write spends a unit of the [budget](coreloop_runtime::task::coop) of the task, like on a
/// socket.
///
/// It replaces a connection in tests, and connects two parts of a program that use streams.
///
/// # Panics
///
/// Panics if `max_buf_size` is 0, because every write would wait forever.
///
/// # Examples
///
/// ```
/// use coreloop::io::{AsyncReadExt, AsyncWriteExt, duplex};
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let (mut client, mut server) = duplex(64);
/// client.write_all(b"ping").await?;
/// let mut request = [0; 4];
/// server.read_exact(&mut request).await?;
/// assert_eq!(&request, b"ping");
///
/// server.write_all(b"pong").await?;
/// drop(server);
/// let mut answer = Vec::new();
/// client.read_to_end(&mut answer).await?;
/// assert_eq!(answer, b"pong");
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use]
#[track_caller]
pub fn duplex(max_buf_size: usize) -> (DuplexStream, DuplexStream) {
    assert!(
        max_buf_size > 0,
        "a stream in memory needs room for at least one byte"
    );
    let (one, other) = (pipe::pipe(max_buf_size), pipe::pipe(max_buf_size));
    let first = DuplexStream {
        reads: one.0,
        writes: other.1,
    };
    let second = DuplexStream {
        reads: other.0,
        writes: one.1,
    };
    (first, second)
}

/// One of two connected streams in memory, created by [`duplex`].
///
/// Closing a stream ends its writing direction: the other stream reads the rest, and then the
/// end. Its own reads continue. Dropping a stream also ends its reading direction: writes to
/// the other stream then fail with [`BrokenPipe`](std::io::ErrorKind::BrokenPipe).
///
/// It implements the traits of futures-io, and with the features `tokio-io` and `hyper` the
/// traits of tokio and hyper.
///
/// Only the task that polled a direction last is woken. References implement the traits too,
/// so one task may read while another writes.
pub struct DuplexStream {
    reads: ReadEnd,
    writes: WriteEnd,
}

impl fmt::Debug for DuplexStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuplexStream")
            .field("to_read", &self.reads.len())
            .field("written", &self.writes.len())
            .finish_non_exhaustive()
    }
}
