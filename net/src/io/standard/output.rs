//! The standard output and the standard error, which the blocking pool writes.

use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use coreloop_runtime::runtime::Handle;
use coreloop_runtime::task::{JoinError, RemoteJoinHandle, coop};
use futures_io::AsyncWrite;

/// The most that is taken at once, as in tokio. Other code that prints does not come in
/// between.
const MOST: usize = 2 << 20;

/// What is kept of the room for it.
const KEPT: usize = 16 << 10;

/// One of the two, of std.
trait Target: AsFd + Send + 'static {
    /// Writes all of the bytes, or flushes if there are none.
    fn put(&self, bytes: &[u8]) -> io::Result<()>;
}

impl Target for io::Stdout {
    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        put(self.lock(), bytes)
    }
}

impl Target for io::Stderr {
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

/// What a job gives back: its result, and the room for the next one.
type Written = (io::Result<()>, Vec<u8>);

/// One of the two, on the loop.
struct Output<T> {
    target: fn() -> T,
    room: Vec<u8>,
    /// The job that writes. There is one at a time, which keeps the order.
    job: Option<RemoteJoinHandle<Written>>,
    is_flushed: bool,
}

impl<T: Target> Output<T> {
    fn new(target: fn() -> T) -> Output<T> {
        Output {
            target,
            room: Vec::new(),
            job: None,
            is_flushed: true,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_job(cx))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(coop::poll_proceed(cx));
        let count = bytes.len().min(MOST);
        self.room.extend_from_slice(&bytes[..count]);
        self.start()?;
        self.is_flushed = false;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_job(cx))?;
        if !self.is_flushed {
            self.start()?;
            self.is_flushed = true;
            ready!(self.poll_job(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Starts to put what is in the room.
    fn start(&mut self) -> io::Result<()> {
        let bytes = mem::take(&mut self.room);
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
        let (written, mut room) = outcome?;
        room.clear();
        room.shrink_to(KEPT);
        self.room = room;
        Poll::Ready(written)
    }
}

macro_rules! output {
    ($(#[$doc:meta])* $name:ident, $(#[$make_doc:meta])* $make:ident) => {
        $(#[$doc])*
        ///
        /// Threads of the runtime's [blocking pool](coreloop_runtime::task::spawn_blocking)
        /// write to it. Unlike in an [`Async`](super::super::Async) it is not made
        /// non-blocking, which a terminal or pipe would be for all processes that share it.
        ///
        /// A write copies up to 2 MiB, starts a job that writes them, and is ready. The next
        /// write or flush waits for that, and returns its error. **So flush before the end**:
        /// what is dropped with its runtime may not have been written, though
        /// [`Runtime::shutdown`](coreloop_runtime::Runtime::shutdown) waits for jobs. Closing
        /// is flushing; the descriptor stays open.
        ///
        /// One handle writes in order, and one piece of up to 2 MiB is not torn by other
        /// handles nor by the macros of std that print. Which handle is first is not known.
        ///
        /// # Cancel safety
        ///
        /// A write that is dropped before it is ready has written nothing.
        ///
        /// # Errors
        ///
        /// If the write before failed, or if no runtime is running where it is polled.
        pub struct $name {
            output: Output<io::$name>,
            std: io::$name,
        }

        $(#[$make_doc])*
        ///
        /// It may be made anywhere, and is polled in a runtime.
        #[must_use]
        pub fn $make() -> $name {
            $name {
                output: Output::new(io::$make),
                std: io::$make(),
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.output.poll_write(cx, bytes)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.output.poll_flush(cx)
            }

            fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.output.poll_flush(cx)
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.std.as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.std.as_raw_fd()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

output! {
    /// The standard output of the process.
    Stdout,
    /// The standard output of the process.
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
    stdout
}

output! {
    /// The standard error of the process.
    Stderr,
    /// The standard error of the process.
    stderr
}
