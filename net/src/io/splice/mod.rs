//! From one socket into another by way of the kernel: splice(2).
//!
//! 1. The pipe between the two sockets is filled only while it is empty. So
//!    "would block" means that the reading socket is empty when it is filled, and
//!    that the writing one is full when it is emptied; and while the bytes come
//!    by copy, because there is no pipe, none are left in it.
//! 2. A splice that moves less than it could says nothing about the socket: the
//!    pipe has as many places as it has, and each holds a piece of a packet. So
//!    readiness is never cleared but by "would block".

mod kernel;
mod socket;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

pub(super) use kernel::is_refusal;
pub(crate) use socket::Descriptor;
pub use socket::{SpliceSource, SpliceTarget};

use super::CopyBuffer;
use super::bidirectional::Turns;
use super::copy_buffer::nothing_written;
use kernel::Pipe;

/// Moves all that one socket receives into another, and says how many bytes
/// that was. The writer is not closed.
///
/// The bytes stay in the kernel, in a pipe: two descriptors and no memory of the
/// process. That pays for a bulk of data; for short messages a
/// [`copy`](super::copy) has fewer system calls to make.
///
/// Where there is no splice (other systems than Linux), no descriptor left for
/// the pipe, a socket that cannot be spliced, or urgent data among its bytes, at
/// which splicing would stop, they are copied.
///
/// splice(2) cannot be told not to raise `SIGPIPE` when the peer of `writer` is
/// gone. Rust's programs ignore that signal unless they ask for it; a library
/// that lives in another program should see to it.
///
/// # Cancel safety
///
/// Not cancel safe: bytes in the pipe are lost, and so is how many were written.
/// [`SplicePipe::splice`] keeps both.
///
/// # Errors
///
/// Those of both sockets.
///
/// # Examples
///
/// ```no_run
/// use coreloop::io;
/// use coreloop::net::TcpStream;
///
/// # async fn forward(mut from: TcpStream, mut to: TcpStream) -> std::io::Result<()> {
/// let count = io::splice(&mut from, &mut to).await?;
/// to.shutdown().await?;
/// println!("{count} bytes forwarded");
/// # Ok(())
/// # }
/// ```
pub async fn splice<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: SpliceSource + ?Sized,
    W: SpliceTarget + ?Sized,
{
    SplicePipe::new().splice(reader, writer).await
}

/// As [`copy_bidirectional`](super::copy_bidirectional), by [`splice`].
///
/// # Cancel safety
///
/// Not cancel safe: bytes in the pipes are lost, and so is how many were
/// written. [`splice_bidirectional_with_pipes`] keeps both.
///
/// # Errors
///
/// The first error of either socket, which ends both directions.
///
/// # Examples
///
/// ```no_run
/// use coreloop::io;
/// use coreloop::net::TcpStream;
///
/// # async fn proxy(mut client: TcpStream) -> std::io::Result<()> {
/// let mut server = TcpStream::connect("10.0.0.1:80").await?;
/// let (sent, received) = io::splice_bidirectional(&mut client, &mut server).await?;
/// println!("{sent} bytes sent, {received} received");
/// # Ok(())
/// # }
/// ```
pub async fn splice_bidirectional<A, B>(a: &mut A, b: &mut B) -> io::Result<(u64, u64)>
where
    A: SpliceSource + SpliceTarget + ?Sized,
    B: SpliceSource + SpliceTarget + ?Sized,
{
    let (mut a_to_b, mut b_to_a) = (SplicePipe::new(), SplicePipe::new());
    splice_bidirectional_with_pipes(a, b, &mut a_to_b, &mut b_to_a).await?;
    Ok((a_to_b.bytes_written(), b_to_a.bytes_written()))
}

/// As [`splice_bidirectional`], with pipes of the caller's, which count while
/// the bytes move and are still there when it fails or is dropped.
///
/// # Cancel safety
///
/// Cancel safe: the bytes on the way stay in the pipes, and another call goes
/// on with them.
///
/// # Errors
///
/// Those of [`splice_bidirectional`].
pub async fn splice_bidirectional_with_pipes<A, B>(
    a: &mut A,
    b: &mut B,
    a_to_b: &mut SplicePipe,
    b_to_a: &mut SplicePipe,
) -> io::Result<()>
where
    A: SpliceSource + SpliceTarget + ?Sized,
    B: SpliceSource + SpliceTarget + ?Sized,
{
    let mut turns = Turns::default();
    poll_fn(|cx| {
        turns.poll_both(
            cx,
            (&mut *a, &mut *b),
            |cx, (a, b)| a_to_b.poll_direction(cx, &mut **a, &mut **b),
            |cx, (a, b)| b_to_a.poll_direction(cx, &mut **b, &mut **a),
        )
    })
    .await
}

/// One direction of splicing: the pipe with the bytes on the way, and how many
/// there were. The counterpart of [`CopyBuffer`].
///
/// It opens its pipe at the first use. Keep one to move bytes with a time limit,
/// to show progress meanwhile, or to go on after an error.
///
/// # Examples
///
/// ```no_run
/// use coreloop::io::SplicePipe;
/// use coreloop::net::TcpStream;
/// use coreloop::time::timeout;
/// use std::time::Duration;
///
/// # async fn forward(mut from: TcpStream, mut to: TcpStream) -> std::io::Result<()> {
/// let mut pipe = SplicePipe::new();
/// if timeout(Duration::from_secs(60), pipe.splice(&mut from, &mut to)).await.is_err() {
///     println!("{} bytes in a minute", pipe.bytes_written());
///     let rest = pipe.into_unwritten()?;
///     println!("{} more were on their way", rest.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct SplicePipe {
    way: Way,
    /// How many bytes the pipe holds.
    held: usize,
    /// The counts, and the buffer where there is no pipe.
    copy: CopyBuffer,
}

#[derive(Default)]
enum Way {
    /// Nothing was moved yet.
    #[default]
    Undecided,
    Pipe(Pipe),
    Copy,
}

impl SplicePipe {
    /// A pipe that is opened at its first use.
    #[must_use]
    pub fn new() -> SplicePipe {
        SplicePipe::default()
    }

    /// Moves bytes until `reader` ends, and says how many were written in all,
    /// by this call and those before it. The writer is not closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the bytes on the way stay here, and another call goes on
    /// with them.
    ///
    /// # Errors
    ///
    /// Those of both sockets. Another call goes on where this one stopped.
    pub async fn splice<R, W>(&mut self, reader: &mut R, writer: &mut W) -> io::Result<u64>
    where
        R: SpliceSource + ?Sized,
        W: SpliceTarget + ?Sized,
    {
        poll_fn(|cx| self.poll_splice(cx, reader, writer)).await
    }

    /// Polls as [`splice`](Self::splice) awaits.
    ///
    /// # Errors
    ///
    /// Those of [`splice`](Self::splice).
    pub fn poll_splice<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<io::Result<u64>>
    where
        R: SpliceSource + ?Sized,
        W: SpliceTarget + ?Sized,
    {
        loop {
            let pipe = match &self.way {
                Way::Undecided => {
                    self.way = Pipe::open().map_or(Way::Copy, Way::Pipe);
                    continue;
                }
                Way::Copy => return self.copy.poll_copy(cx, reader, writer),
                Way::Pipe(pipe) => pipe,
            };
            let moved = if self.held > 0 {
                let held = self.held;
                let empty = |socket: &_| pipe.empty_into(socket, held);
                ready!(writer.descriptor().poll_write_with(cx, empty))
            } else if self.copy.at_end {
                return Poll::Ready(Ok(self.copy.written));
            } else {
                let fill = |socket: &_| pipe.fill_from(socket);
                ready!(reader.descriptor().poll_read_with(cx, fill))
            };
            match moved {
                Ok(count) if self.held == 0 => {
                    self.held = count;
                    self.copy.read += count as u64;
                    self.copy.at_end = count == 0;
                }
                Ok(0) => return Poll::Ready(Err(nothing_written())),
                Ok(count) => {
                    self.held -= count;
                    self.copy.written += count as u64;
                }
                Err(error) if is_refusal(&error) => self.copy_instead()?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// How many bytes were read.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.copy.bytes_read()
    }

    /// How many bytes were written.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.copy.bytes_written()
    }

    /// Whether the reader has come to its end.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.copy.is_at_end()
    }

    /// The bytes that were read and are not written yet.
    ///
    /// # Errors
    ///
    /// If the pipe cannot be read.
    pub fn into_unwritten(mut self) -> io::Result<Vec<u8>> {
        self.copy_instead()?;
        Ok(self.copy.unwritten().to_vec())
    }

    /// Takes what the pipe holds into the buffer, and goes on with that.
    #[cold]
    fn copy_instead(&mut self) -> io::Result<()> {
        if let Way::Pipe(pipe) = &self.way {
            let bytes = pipe.drain(self.held)?;
            self.held = 0;
            self.copy.take_over(bytes);
            self.way = Way::Copy;
        }
        Ok(())
    }

    fn poll_direction<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<io::Result<()>>
    where
        R: SpliceSource + ?Sized,
        W: SpliceTarget + ?Sized,
    {
        if !self.copy.is_closed() {
            ready!(self.poll_splice(cx, reader, writer))?;
        }
        self.copy.poll_close(cx, writer)
    }
}

impl fmt::Debug for SplicePipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplicePipe")
            .field("bytes_read", &self.bytes_read())
            .field("bytes_written", &self.bytes_written())
            .field("is_at_end", &self.is_at_end())
            .finish_non_exhaustive()
    }
}
