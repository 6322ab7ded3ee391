//! The standard output and the standard error, which the blocking pool writes.

use std::fmt;
use std::io::{self, IoSlice, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::runtime::Handle;
use coreloop_runtime::task::{JoinError, RemoteJoinHandle, coop};
use futures_io::AsyncWrite;

use crate::forward::forward_write;

/// The maximum number of bytes for one write, as in tokio. No other code prints in the middle
/// of them.
const MAX_WRITE: usize = 2 << 20;

/// The capacity of the buffer that is kept after a write.
const KEPT_CAPACITY: usize = 16 << 10;

/// The standard output of the process.
///
/// Threads of the runtime's [blocking pool](coreloop_runtime::task::spawn_blocking) write to
/// it. Unlike in an [`Async`](super::super::Async) it does not become non-blocking, which
/// would affect all processes that share the terminal or pipe.
///
/// A write copies up to 2 MiB, starts a job that writes them, and is ready. The next write or
/// flush waits for the job, and returns its error. **So flush before the end**: bytes whose
/// job has not finished when the runtime is dropped may be lost, although
/// [`Runtime::shutdown`](coreloop_runtime::Runtime::shutdown) waits for jobs. To close is to
/// flush; the descriptor stays open.
///
/// One handle writes in order, and neither other handles nor std's macros that print write in
/// the middle of one piece of up to 2 MiB. The order among handles is not specified.
///
/// # Cancel safety
///
/// A write that is dropped before it is ready has written nothing.
///
/// # Errors
///
/// A write or flush returns an error if the write before it failed, or if it is polled outside
/// a runtime.
pub struct Stdout {
    output: Output<io::Stdout>,
    std: io::Stdout,
}

/// Returns the standard output of the process.
///
/// It may be created anywhere, and has to be polled in a runtime.
///
/// # Examples
///
/// ```
/// use coreloop::io::{AsyncWriteExt, stdout};
///
/// # fn main() -> std::io::Result<()> {
/// # coreloop::block_on(async {
/// let mut output = stdout();
/// output.write_all(b"hello\n").await?;
/// output.flush().await
/// # })
/// # }
/// ```
#[must_use]
pub fn stdout() -> Stdout {
    Stdout {
        output: Output::new(io::stdout),
        std: io::stdout(),
    }
}

/// The standard error of the process.
///
/// It behaves like [`Stdout`]: threads of the runtime's blocking pool write to it, and bytes
/// that have not been flushed may be lost at the end.
///
/// # Cancel safety
///
/// A write that is dropped before it is ready has written nothing.
///
/// # Errors
///
/// A write or flush returns an error if the write before it failed, or if it is polled outside
/// a runtime.
pub struct Stderr {
    output: Output<io::Stderr>,
    std: io::Stderr,
}

/// Returns the standard error of the process.
///
/// It may be created anywhere, and has to be polled in a runtime.
#[must_use]
pub fn stderr() -> Stderr {
    Stderr {
        output: Output::new(io::stderr),
        std: io::stderr(),
    }
}

/// A standard stream of std that is written to.
trait StdStream: AsFd + Send + 'static {
    /// Writes all of `bytes`, or flushes if there are none.
    fn put(&self, bytes: &[u8]) -> io::Result<()>;
}

impl StdStream for io::Stdout {
    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        put(self.lock(), bytes)
    }
}

impl StdStream for io::Stderr {
    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        put(self.lock(), bytes)
    }
}

fn put(mut locked: impl Write, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        locked.flush()
    } else {
        locked.write_all(bytes)
    }
}

/// The output of a job: its result, and the buffer for the next job.
type Written = (io::Result<()>, Vec<u8>);

/// A standard stream that jobs of the blocking pool write to.
struct Output<T> {
    target: fn() -> T,
    buffer: Vec<u8>,
    /// The job that writes. There is at most one, which keeps the order.
    job: Option<RemoteJoinHandle<Written>>,
    is_flushed: bool,
}

impl<T: StdStream> Output<T> {
    fn new(target: fn() -> T) -> Self {
        Self {
            target,
            buffer: Vec::new(),
            job: None,
            is_flushed: true,
        }
    }

    /// Starts a job that writes the buffer.
    fn start(&mut self) -> io::Result<()> {
        let bytes = mem::take(&mut self.buffer);
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let target = (self.target)();
        self.job = Some(runtime.spawn_blocking(move || {
            let written = target.put(&bytes);
            (written, bytes)
        }));
        Ok(())
    }

    /// Waits for the job, if there is one.
    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(job) = &mut self.job else {
            return Poll::Ready(Ok(()));
        };
        let outcome: Result<Written, JoinError> = ready!(Pin::new(job).poll(cx));
        self.job = None;
        let (written, mut buffer) = outcome?;
        buffer.clear();
        buffer.shrink_to(KEPT_CAPACITY);
        self.buffer = buffer;
        Poll::Ready(written)
    }
}

impl<T: StdStream> AsyncWrite for Output<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_job(cx))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(coop::poll_proceed(cx));
        let count = bytes.len().min(MAX_WRITE);
        self.buffer.extend_from_slice(&bytes[..count]);
        self.start()?;
        self.is_flushed = false;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_job(cx))?;
        if !self.is_flushed {
            self.start()?;
            self.is_flushed = true;
            ready!(self.poll_job(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// The traits of both standard streams.
macro_rules! output_traits {
    ($($stream:ident),+) => {$(
        forward_write! {
            AsyncWrite, poll_close;
            [] $stream => |this| this.output, AsyncWrite, poll_close
        }

        impl AsFd for $stream {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.std.as_fd()
            }
        }

        impl AsRawFd for $stream {
            fn as_raw_fd(&self) -> RawFd {
                self.std.as_raw_fd()
            }
        }

        impl fmt::Debug for $stream {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($stream)).finish_non_exhaustive()
            }
        }
    )+};
}

output_traits!(Stdout, Stderr);
