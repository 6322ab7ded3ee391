//! Copying in both directions between two streams, as a proxy does.
//!
//! A direction has finished when its reader has ended, all bytes are written, and the writer
//! is closed. The other direction continues until it has finished too.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use super::CopyBuffer;

/// Copies in both directions between `a` and `b` until both have ended, and returns how many
/// bytes were copied from `a` to `b` and from `b` to `a`.
///
/// When one stream ends, the other is closed for writing, which TCP sends as its FIN. The
/// bytes that the other stream still sends are copied.
///
/// # Cancel safety
///
/// Not cancel safe: bytes that were read and not yet written are lost, and so are the counts.
/// [`copy_bidirectional_with_buffers`] keeps both.
///
/// # Errors
///
/// Returns the first error of either stream, which ends both directions, or
/// [`WriteZero`](io::ErrorKind::WriteZero) if a stream accepts no more bytes. Bytes that were
/// read from a stream before it failed have been written and flushed when its error is
/// returned.
///
/// # Examples
///
/// A proxy for one connection:
///
/// ```no_run
/// use coreloop::io;
/// use coreloop::net::TcpStream;
///
/// # async fn proxy(mut client: TcpStream) -> std::io::Result<()> {
/// let mut server = TcpStream::connect("10.0.0.1:80").await?;
/// let (sent, received) = io::copy_bidirectional(&mut client, &mut server).await?;
/// println!("{sent} bytes sent, {received} received");
/// # Ok(())
/// # }
/// ```
pub async fn copy_bidirectional<A, B>(a: &mut A, b: &mut B) -> io::Result<(u64, u64)>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let (mut a_to_b, mut b_to_a) = (CopyBuffer::new(), CopyBuffer::new());
    copy_bidirectional_with_buffers(a, b, &mut a_to_b, &mut b_to_a).await?;
    Ok((a_to_b.bytes_written(), b_to_a.bytes_written()))
}

/// Copies like [`copy_bidirectional`], through buffers of fixed sizes.
///
/// # Cancel safety
///
/// Not cancel safe: bytes that were read and not yet written are lost, and so are the counts.
///
/// # Errors
///
/// Returns an error like [`copy_bidirectional`].
///
/// # Panics
///
/// Panics if a size is 0.
#[track_caller]
pub fn copy_bidirectional_with_sizes<A, B>(
    a: &mut A,
    b: &mut B,
    a_to_b_size: usize,
    b_to_a_size: usize,
) -> impl Future<Output = io::Result<(u64, u64)>>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let mut a_to_b = CopyBuffer::with_size(a_to_b_size);
    let mut b_to_a = CopyBuffer::with_size(b_to_a_size);
    async move {
        copy_bidirectional_with_buffers(a, b, &mut a_to_b, &mut b_to_a).await?;
        Ok((a_to_b.bytes_written(), b_to_a.bytes_written()))
    }
}

/// Copies like [`copy_bidirectional`], with buffers of the caller.
///
/// The buffers count the bytes while the copy runs, and remain when it fails or is dropped.
///
/// # Cancel safety
///
/// Cancel safe: the bytes in transit stay in the buffers, and another call continues with
/// them.
///
/// # Errors
///
/// Returns an error like [`copy_bidirectional`]. The buffers then show how far each direction
/// got.
///
/// # Examples
///
/// ```no_run
/// use coreloop::io::{self, CopyBuffer};
/// use coreloop::net::TcpStream;
/// use coreloop::time::timeout;
/// use std::time::Duration;
///
/// # async fn proxy(mut client: TcpStream, mut server: TcpStream) {
/// let (mut up, mut down) = (CopyBuffer::new(), CopyBuffer::new());
/// let copy = io::copy_bidirectional_with_buffers(&mut client, &mut server, &mut up, &mut down);
/// // Whether it ends, fails, or takes too long:
/// let _ = timeout(Duration::from_secs(60), copy).await;
/// println!("{} up, {} down", up.bytes_written(), down.bytes_written());
/// # }
/// ```
pub async fn copy_bidirectional_with_buffers<A, B>(
    a: &mut A,
    b: &mut B,
    a_to_b: &mut CopyBuffer,
    b_to_a: &mut CopyBuffer,
) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let mut alternation = Alternation::default();
    poll_fn(|cx| {
        alternation.poll_both(
            cx,
            (&mut *a, &mut *b),
            |cx, (a, b)| poll_direction(a_to_b, cx, &mut **a, &mut **b),
            |cx, (a, b)| poll_direction(b_to_a, cx, &mut **b, &mut **a),
        )
    })
    .await
}

fn poll_direction<R, W>(
    buffer: &mut CopyBuffer,
    cx: &mut Context<'_>,
    reader: &mut R,
    writer: &mut W,
) -> Poll<io::Result<()>>
where
    R: AsyncRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    if !buffer.is_closed() {
        ready!(buffer.poll_copy(cx, reader, writer))?;
    }
    buffer.poll_close(cx, writer)
}

/// Polls two directions, each of them first in turn: if both are always ready, the first would
/// otherwise spend the whole budget of every poll.
#[derive(Default)]
pub(super) struct Alternation {
    second_first: bool,
}

impl Alternation {
    pub(super) fn poll_both<S>(
        &mut self,
        cx: &mut Context<'_>,
        mut streams: S,
        mut first: impl FnMut(&mut Context<'_>, &mut S) -> Poll<io::Result<()>>,
        mut second: impl FnMut(&mut Context<'_>, &mut S) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        self.second_first = !self.second_first;
        let (one, other) = if self.second_first {
            let one = first(cx, &mut streams)?;
            (one, second(cx, &mut streams)?)
        } else {
            let other = second(cx, &mut streams)?;
            (first(cx, &mut streams)?, other)
        };
        match (one, other) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }
}
