//! Moving bytes from one socket to another inside the kernel: splice(2).
//!
//! 1. The pipe between the two sockets is filled only while it is empty. So "would block"
//!    means that the reading socket is empty when the pipe is filled, and that the writing
//!    socket is full when the pipe is emptied. While the bytes are copied, because there is no
//!    pipe, none are left in it.
//! 2. A splice that moves fewer bytes than it might says nothing about the socket: a pipe has
//!    a fixed number of slots, and each holds a piece of a packet. So only "would block"
//!    clears readiness.

mod socket;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

pub(crate) use socket::{Descriptor, splice_sockets};
pub use socket::{SpliceSource, SpliceTarget};

use super::CopyBuffer;
use super::bidirectional::Alternation;
use super::copy_buffer::nothing_written;
use crate::sys::{KernelPipe, is_refusal};

/// Moves all bytes that one socket receives to another, and returns how many were moved.
///
/// The writer is not closed.
///
/// The bytes stay in the kernel, in a pipe, which takes two descriptors and no memory of the
/// process. This pays for large amounts of data; for short messages a [`copy`](super::copy)
/// makes fewer system calls.
///
/// The bytes are copied instead if the system has no splice (all systems except Linux), if no
/// descriptor is left for the pipe, if a socket does not support splicing, or if urgent data
/// is among the bytes, at which splicing would stop.
///
/// splice(2) raises `SIGPIPE` when the peer of `writer` has closed the connection, and no flag
/// prevents it. Programs in Rust ignore that signal by default; a library inside another
/// program has to make sure that it is ignored.
///
/// # Cancel safety
///
/// Not cancel safe: bytes in the pipe are lost, and so is the number of bytes that were
/// written. [`SplicePipe::splice`] keeps both.
///
/// # Errors
///
/// Returns an error of either socket.
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

/// Moves bytes in both directions like [`copy_bidirectional`](super::copy_bidirectional), by
/// [`splice`].
///
/// # Cancel safety
///
/// Not cancel safe: bytes in the pipes are lost, and so are the counts.
/// [`splice_bidirectional_with_pipes`] keeps both.
///
/// # Errors
///
/// Returns the first error of either socket, which ends both directions.
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

/// Moves bytes like [`splice_bidirectional`], with pipes of the caller.
///
/// The pipes count the bytes while these move, and remain when it fails or is dropped.
///
/// # Cancel safety
///
/// Cancel safe: the bytes in transit stay in the pipes, and another call continues with them.
///
/// # Errors
///
/// Returns an error like [`splice_bidirectional`].
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
    let mut alternation = Alternation::default();
    poll_fn(|cx| {
        alternation.poll_both(
            cx,
            (&mut *a, &mut *b),
            |cx, (a, b)| a_to_b.poll_direction(cx, &mut **a, &mut **b),
            |cx, (a, b)| b_to_a.poll_direction(cx, &mut **b, &mut **a),
        )
    })
    .await
}

/// The state of one direction of splicing: the pipe with the bytes in transit, and the
/// counts.
///
/// The counterpart of [`CopyBuffer`].
///
/// It opens its pipe at the first use. Keep one to move bytes with a time limit, to show
/// progress while they move, or to continue after an error.
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
    method: SpliceMethod,
    /// How many bytes the pipe holds.
    held: usize,
    /// The counts, and the buffer if there is no pipe.
    copy: CopyBuffer,
}

#[derive(Default)]
enum SpliceMethod {
    /// No bytes were moved yet.
    #[default]
    Undecided,
    Pipe(KernelPipe),
    Copy,
}

impl SplicePipe {
    /// Creates a pipe that is opened at its first use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves bytes until `reader` ends, and returns how many were written by this call and all
    /// calls before it. The writer is not closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the bytes in transit stay here, and another call continues with them.
    ///
    /// # Errors
    ///
    /// Returns an error of either socket. Another call continues where this one stopped.
    pub async fn splice<R, W>(&mut self, reader: &mut R, writer: &mut W) -> io::Result<u64>
    where
        R: SpliceSource + ?Sized,
        W: SpliceTarget + ?Sized,
    {
        poll_fn(|cx| self.poll_splice(cx, reader, writer)).await
    }

    /// Polls like [`splice`](Self::splice).
    ///
    /// # Errors
    ///
    /// Returns an error like [`splice`](Self::splice).
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
            let pipe = match &self.method {
                SpliceMethod::Undecided => {
                    self.method = KernelPipe::open().map_or(SpliceMethod::Copy, SpliceMethod::Pipe);
                    continue;
                }
                SpliceMethod::Copy => return self.copy.poll_copy(cx, reader, writer),
                SpliceMethod::Pipe(pipe) => pipe,
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

    /// Returns how many bytes were read.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.copy.bytes_read()
    }

    /// Returns how many bytes were written.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.copy.bytes_written()
    }

    /// Returns whether the reader has ended.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.copy.is_at_end()
    }

    /// Returns the bytes that were read and are not written yet.
    ///
    /// # Errors
    ///
    /// Returns an error if the pipe cannot be read.
    pub fn into_unwritten(mut self) -> io::Result<Vec<u8>> {
        self.copy_instead()?;
        Ok(self.copy.unwritten().to_vec())
    }

    /// Moves the bytes in the pipe to the buffer, and copies from now on.
    #[cold]
    fn copy_instead(&mut self) -> io::Result<()> {
        if let SpliceMethod::Pipe(pipe) = &self.method {
            let bytes = pipe.drain(self.held)?;
            self.held = 0;
            self.copy.take_over(bytes);
            self.method = SpliceMethod::Copy;
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
