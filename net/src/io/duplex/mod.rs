//! Two streams in memory, joined: what one writes the other reads.

mod pipe;
mod traits;

#[cfg(feature = "hyper")]
mod hyper_io;
#[cfg(feature = "tokio-io")]
mod tokio_io;

use std::fmt;

use pipe::{ReadEnd, WriteEnd};

/// Makes two streams, each of which reads what the other writes.
///
/// Either direction holds up to `most` bytes, and a writer waits while it is
/// full. Memory is taken as it is needed. The pair works without a runtime too;
/// within one, each read and write spends a unit of the task's
/// [budget](coreloop_runtime::task::coop), as those of sockets do.
///
/// It stands in for a connection in tests, and joins two parts of a program
/// that speak through streams.
///
/// # Panics
///
/// If `most` is 0: every write would wait for ever.
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
pub fn duplex(most: usize) -> (DuplexStream, DuplexStream) {
    assert!(
        most > 0,
        "a stream in memory needs room for at least one byte"
    );
    let (one, other) = (pipe::pipe(most), pipe::pipe(most));
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

/// One end of a connection in memory, made by [`duplex`].
///
/// Closing it ends what the other end reads, once that has read the rest; its
/// own reading goes on. Dropping it does both: what the other end writes then
/// fails with [`BrokenPipe`](std::io::ErrorKind::BrokenPipe).
///
/// It has the traits of futures-io, and with the features `tokio-io` and `hyper`
/// those of tokio and hyper.
///
/// The last task that polled a direction is the one that is woken. By reference
/// it reads and writes too, so one task may read while another writes.
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
