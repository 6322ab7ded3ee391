//! Sending a file to a socket: by sendfile(2), and through the blocking pool.
//!
//! The start of a range moves in the same poll as the bytes, so that it is correct whenever a
//! future is dropped.

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
use crate::sys;

/// How many bytes of a file a job reads.
const CHUNK: usize = 128 << 10;

/// Sends the bytes of `file` in `range`, and returns how many were sent.
///
/// The number is less than the length of the range if the file ends before. `range.start`
/// moves along: at any time it is the position of the first byte that has not been sent. The
/// cursor of the file is neither used nor moved. Use `0..u64::MAX` for the whole file.
///
/// On Linux this is sendfile(2), which moves the bytes from the page cache to the socket
/// without a copy. **Bytes that are not in the cache are read from the disk, and the loop is
/// blocked meanwhile**, like nginx in its default configuration. If files are larger than
/// memory, or disks are slow, use [`copy_file`], which reads in the blocking pool. On other
/// systems, and for files that sendfile(2) does not support, this is [`copy_file`].
///
/// Like [`splice`](super::splice()), it raises `SIGPIPE` unless that is ignored.
///
/// # Cancel safety
///
/// Cancel safe: `range` is what remains to be sent, and another call continues with it.
///
/// # Errors
///
/// Returns an error of the file or of the socket. `range` shows how far it got.
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

/// Sends with sendfile(2). Returns false if the system refuses, with no bytes lost.
async fn by_kernel<W>(file: &File, range: &mut Range<u64>, socket: &mut W) -> io::Result<bool>
where
    W: SpliceTarget + ?Sized,
{
    while range.start < range.end {
        let descriptor = socket.descriptor();
        let sent = poll_fn(|cx| {
            descriptor.poll_write_with(cx, |socket| sys::sendfile(socket, file, range))
        });
        match sent.await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if sys::is_refusal(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Writes the bytes of `file` in `range` to any stream, and returns how many were written.
///
/// The file is read in the blocking pool. The number is less than the length of the range if
/// the file ends before. `range.start` moves along: at any time it is the position of the
/// first byte that has not been written. The cursor of the file is neither used nor moved. A
/// file that cannot be read at a position, such as a pipe or a terminal, is an error.
///
/// A piece of the file is read while the previous one is written. The writer is flushed at the
/// end, and not closed.
///
/// # Cancel safety
///
/// Cancel safe: `range` is what remains to be written, and another call continues with it. A
/// piece that is being read is discarded.
///
/// # Errors
///
/// Returns an error of the file or of the stream, or [`WriteZero`](io::ErrorKind::WriteZero)
/// if the stream accepts no more bytes. `range` shows how far it got. Bytes that were read
/// before an error of the file have been written and flushed when it is returned. Also returns
/// an error outside a runtime.
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

/// Starts a job that reads the first piece of `range` into `buffer`.
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
    position: &mut u64,
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
                *position += count as u64;
            }
        }
    }
    Poll::Ready(Ok(()))
}
