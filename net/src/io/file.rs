//! From a file into a socket: sendfile(2), and through the blocking pool.
//!
//! A range's start moves in the same poll as the bytes, so that it is right
//! whenever a future is dropped.

use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use coreloop_runtime::task::{JoinHandle, coop, spawn_blocking};
use futures_io::AsyncWrite;

use super::SpliceTarget;
use super::copy_buffer::nothing_written;
use super::flush::Flush;

/// How much of a file is read at once, in the pool.
const CHUNK: usize = 128 << 10;

/// Sends the bytes of `file` in `range`, and says how many were sent.
///
/// That is less than the range has if the file ends before. `range.start` moves
/// along: at any time it is the place of the first byte not yet sent. The file's
/// own cursor is neither used nor moved. Use `0..u64::MAX` for all of a file.
///
/// On Linux this is sendfile(2), by which the bytes go from the page cache to
/// the socket without a copy. **What is not in the cache is read from the disk
/// meanwhile, and the loop stands still**, as nginx's does unless it is told
/// otherwise. Where files are larger than memory, or disks slow, use
/// [`copy_file`], which reads in the blocking pool. Elsewhere than on Linux, and
/// for files that sendfile(2) cannot take, this is [`copy_file`].
///
/// As with [`splice`](super::splice()), `SIGPIPE` is raised if it is not ignored.
///
/// # Cancel safety
///
/// Cancel safe: `range` says what is still to be sent, and another call goes on
/// with it.
///
/// # Errors
///
/// Those of the file and of the socket. `range` says how far it got.
///
/// # Examples
///
/// ```no_run
/// use coreloop::io;
/// use coreloop::net::TcpStream;
/// use std::fs::File;
///
/// # async fn send(mut stream: TcpStream) -> std::io::Result<()> {
/// let file = File::open("index.html")?;
/// let length = file.metadata()?.len();
/// stream.write_all(format!("Content-Length: {length}\r\n\r\n").as_bytes()).await?;
/// io::sendfile(&file, &mut (0..length), &mut stream).await?;
/// # Ok(())
/// # }
/// ```
pub async fn sendfile<W>(file: &File, range: &mut Range<u64>, socket: &mut W) -> io::Result<u64>
where
    W: SpliceTarget + ?Sized,
{
    let from = range.start;
    if !by_kernel(file, range, socket).await? {
        copy_file(file, range, socket).await?;
    }
    Ok(range.start - from)
}

/// Sends with sendfile(2). False if it refuses, with nothing lost.
#[cfg(all(any(target_os = "android", target_os = "linux"), not(miri)))]
async fn by_kernel<W>(file: &File, range: &mut Range<u64>, socket: &mut W) -> io::Result<bool>
where
    W: SpliceTarget + ?Sized,
{
    use std::num::NonZeroUsize;

    use rustix::io::Errno;
    use socket2::SockRef;

    /// So that one call neither holds up the loop for long nor reads far ahead.
    const AT_ONCE: usize = 256 << 10;

    // rustix has this call too, in a module that takes a third of its time to compile.
    let send = |socket: &_, range: &mut Range<u64>| {
        // Where pointers have 32 bits, socket2 passes an offset of as many.
        let Ok(at) = isize::try_from(range.start) else {
            return Err(Errno::INVAL.into());
        };
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let length = NonZeroUsize::new(length.min(AT_ONCE));
        let count = SockRef::from(socket).sendfile(file, at.unsigned_abs(), length)?;
        range.start += count as u64;
        io::Result::Ok(count)
    };
    while range.start < range.end {
        let descriptor = socket.descriptor();
        let sent = poll_fn(|cx| descriptor.poll_write_with(cx, |socket| send(socket, range))).await;
        match sent {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if super::splice::is_refusal(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// There is no such call here.
#[cfg(not(all(any(target_os = "android", target_os = "linux"), not(miri))))]
#[expect(
    clippy::unused_async,
    reason = "it waits where there is something to do"
)]
async fn by_kernel<W>(_: &File, _: &mut Range<u64>, _: &mut W) -> io::Result<bool>
where
    W: SpliceTarget + ?Sized,
{
    Ok(false)
}

/// Writes the bytes of `file` in `range` to any stream, reading in the blocking
/// pool, and says how many were written.
///
/// That is less than the range has if the file ends before. `range.start` moves
/// along: at any time it is the place of the first byte not yet written. The
/// file's own cursor is neither used nor moved, unless the file cannot be read
/// at a place, as a pipe or terminal cannot: that is an error.
///
/// A piece of the file is read while the one before is written. The writer is
/// flushed at the end, and not closed.
///
/// # Cancel safety
///
/// Cancel safe: `range` says what is still to be written, and another call goes
/// on with it. A piece that is being read is dropped.
///
/// # Errors
///
/// Those of the file and of the stream, and
/// [`WriteZero`](io::ErrorKind::WriteZero) if the stream takes no more bytes.
/// `range` says how far it got. What was read before an error of the file has been
/// written and flushed before that error is returned. Also if no runtime is running
/// here.
///
/// # Examples
///
/// ```
/// use coreloop::io;
/// use std::fs::File;
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let file = File::open("Cargo.toml")?;
/// let mut start = Vec::new();
/// assert_eq!(io::copy_file(&file, &mut (0..9), &mut start).await?, 9);
/// assert_eq!(start, b"[package]");
/// # Ok(())
/// # })
/// # }
/// ```
pub async fn copy_file<W>(file: &File, range: &mut Range<u64>, writer: &mut W) -> io::Result<u64>
where
    W: AsyncWrite + Unpin + ?Sized,
{
    let from = range.start;
    let file = Arc::new(file.try_clone()?);
    let mut flush = Flush::due();
    let mut spare = Vec::new();
    let mut next = read_ahead(&file, range.clone(), Vec::new());
    while let Some(reading) = next.take() {
        let bytes = match reading.await.unwrap_or_else(|error| Err(error.into())) {
            Ok(bytes) if bytes.is_empty() => break,
            Ok(bytes) => bytes,
            Err(error) => {
                flush.fail(error);
                break;
            }
        };
        let rest = range.start + bytes.len() as u64..range.end;
        next = read_ahead(&file, rest, spare);
        let mut written = 0;
        poll_fn(|cx| poll_write(cx, writer, &bytes, &mut written, &mut range.start)).await?;
        flush.wrote();
        spare = bytes;
    }
    poll_fn(|cx| flush.poll_failure(cx, writer)).await?;
    poll_fn(|cx| flush.poll(cx, writer)).await?;
    Ok(range.start - from)
}

/// Starts to read the first piece of `range`, into `buffer`.
fn read_ahead(
    file: &Arc<File>,
    range: Range<u64>,
    mut buffer: Vec<u8>,
) -> Option<JoinHandle<io::Result<Vec<u8>>>> {
    if range.is_empty() {
        return None;
    }
    let file = Arc::clone(file);
    Some(spawn_blocking(move || {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        buffer.resize(length.min(CHUNK), 0);
        let count = loop {
            match file.read_at(&mut buffer, range.start) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        buffer.truncate(count);
        Ok(buffer)
    }))
}

fn poll_write<W>(
    cx: &mut Context<'_>,
    writer: &mut W,
    bytes: &[u8],
    written: &mut usize,
    place: &mut u64,
) -> Poll<io::Result<()>>
where
    W: AsyncWrite + Unpin + ?Sized,
{
    while *written < bytes.len() {
        ready!(coop::poll_proceed(cx));
        match ready!(Pin::new(&mut *writer).poll_write(cx, &bytes[*written..]))? {
            0 => return Poll::Ready(Err(nothing_written())),
            count => {
                *written += count;
                *place += count as u64;
            }
        }
    }
    Poll::Ready(Ok(()))
}
