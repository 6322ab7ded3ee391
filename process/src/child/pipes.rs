//! The pipes to a child, as streams on the loop: [`ChildStdin`], [`ChildStdout`] and
//! [`ChildStderr`].

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::process::{self, Stdio};
use std::task::{Context, Poll, ready};

use coreloop_runtime::io::Async;
use futures_io::{AsyncRead, AsyncWrite};
use rustix::io::{ioctl_fionbio, read, readv, write, writev};

/// The buffer grows before a read if it has less room than this.
const MIN_ROOM: usize = 4 << 10;

/// The kernel accepts no more buffers in one call (`IOV_MAX`).
const MAX_BUFFERS: usize = 1024;

/// An upper bound of what a pipe holds, unless a privileged process has enlarged it.
const MAX_LEFT: usize = 1 << 20;

/// The standard input of a child.
///
/// Dropping it closes the pipe, so that the child reads the end of its input.
/// [`close`](ChildStdin::close) and the close method of [`AsyncWrite`] do the same; in
/// tokio only dropping closes the pipe.
///
/// Writes are not buffered, so there is nothing to flush.
///
/// Writing to a pipe that no process reads returns an error of kind
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe). It does not end this process, because Rust
/// programs ignore `SIGPIPE` unless they choose otherwise.
#[derive(Debug)]
pub struct ChildStdin {
    /// `None` once the pipe is closed.
    pipe: Option<Async<OwnedFd>>,
}

impl ChildStdin {
    /// Makes a std pipe non-blocking and puts it on the loop.
    ///
    /// # Errors
    ///
    /// Returns an error outside a runtime, or if the pipe cannot be made non-blocking.
    pub fn from_std(pipe: process::ChildStdin) -> io::Result<Self> {
        Ok(Self {
            pipe: Some(on_loop(pipe.into())?),
        })
    }

    /// Writes some bytes, and returns how many.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped before it is ready, nothing was written.
    ///
    /// # Errors
    ///
    /// Returns [`BrokenPipe`](io::ErrorKind::BrokenPipe) if no process reads the pipe any
    /// more, or if it was closed here. Otherwise returns the error of the system call.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write_some(cx, bytes)).await
    }

    /// Writes all bytes.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped before it is ready, some of the bytes may
    /// have been written, and it is not known how many.
    ///
    /// # Errors
    ///
    /// Returns an error if [`write`](ChildStdin::write) does.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.write(bytes).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Closes the pipe. The child reads what was written, and then the end of its input.
    pub fn close(&mut self) {
        self.pipe = None;
    }

    /// Takes the pipe off the loop, and makes it blocking again.
    ///
    /// # Errors
    ///
    /// Returns an error if the pipe was closed, or if a system call fails.
    pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
        off_loop(self.pipe.ok_or_else(closed)?)
    }

    pub(super) fn poll_write_some(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let pipe = self.pipe.as_ref().ok_or_else(closed)?;
        pipe.poll_write_stream(cx, bytes.len(), |pipe| Ok(write(pipe, bytes)?))
    }

    #[track_caller]
    fn open(&self) -> &Async<OwnedFd> {
        match &self.pipe {
            Some(pipe) => pipe,
            None => panic!("a `ChildStdin` that was closed has no descriptor; ask before closing"),
        }
    }
}

impl AsyncWrite for ChildStdin {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_some(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let buffers = &buffers[..buffers.len().min(MAX_BUFFERS)];
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        let pipe = self.pipe.as_ref().ok_or_else(closed)?;
        pipe.poll_write_stream(cx, length, |pipe| Ok(writev(pipe, buffers)?))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

/// Panics if the pipe was closed.
impl AsFd for ChildStdin {
    #[track_caller]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open().as_fd()
    }
}

/// Panics if the pipe was closed.
impl AsRawFd for ChildStdin {
    #[track_caller]
    fn as_raw_fd(&self) -> RawFd {
        self.open().as_raw_fd()
    }
}

/// Takes the pipe off the loop, to be given to another child.
impl TryFrom<ChildStdin> for Stdio {
    type Error = io::Error;

    fn try_from(pipe: ChildStdin) -> io::Result<Self> {
        Ok(pipe.into_owned_fd()?.into())
    }
}

/// The reading end of a pipe.
#[derive(Debug)]
pub(super) struct Reader(Async<OwnedFd>);

impl Reader {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let length = buffer.len();
        self.0
            .poll_read_stream(cx, length, |pipe| Ok(read(pipe, &mut *buffer)?))
    }

    fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = buffers.len().min(MAX_BUFFERS);
        let buffers = &mut buffers[..count];
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        self.0
            .poll_read_stream(cx, length, |pipe| Ok(readv(pipe, buffers)?))
    }

    /// Appends everything up to the end of the pipe to `bytes`.
    pub(super) fn poll_read_to_end(
        &self,
        cx: &mut Context<'_>,
        bytes: &mut Vec<u8>,
    ) -> Poll<io::Result<()>> {
        loop {
            let room = make_room(bytes);
            let append = |pipe: &OwnedFd| append(pipe, bytes);
            if ready!(self.0.poll_read_stream(cx, room, append))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Appends what is in the pipe now, whether or not the loop has an event for it.
    pub(super) fn read_rest(&self, bytes: &mut Vec<u8>) {
        let max_len = bytes.len() + MAX_LEFT;
        // Any error ends this; the usual one is that the pipe is empty.
        while bytes.len() < max_len {
            make_room(bytes);
            if append(self.0.get_ref(), bytes).unwrap_or(0) == 0 {
                return;
            }
        }
    }
}

/// Reads into the spare capacity of `bytes`.
fn append(pipe: &OwnedFd, bytes: &mut Vec<u8>) -> io::Result<usize> {
    Ok(read(pipe, rustix::buffer::spare_capacity(bytes))?)
}

/// Makes room for a read, and returns how much there is.
fn make_room(bytes: &mut Vec<u8>) -> usize {
    if bytes.capacity() - bytes.len() < MIN_ROOM {
        bytes.reserve(2 * MIN_ROOM);
    }
    bytes.capacity() - bytes.len()
}

macro_rules! output {
    ($(#[doc = $about:literal])* $name:ident) => {
        $(#[doc = $about])*
        ///
        /// It can be read with [`read`](Self::read), or like any [`AsyncRead`] with
        /// `coreloop::io::AsyncReadExt` and `BufReader`: to its end, by lines, and so on.
        /// It ends when every process that holds the other end has closed it; processes
        /// that the child started may hold it for longer than the child runs.
        ///
        /// Once it is dropped, a write by the child fails, or `SIGPIPE` kills the child.
        #[derive(Debug)]
        pub struct $name {
            pub(super) reader: Reader,
        }

        impl $name {
            /// Makes a std pipe non-blocking and puts it on the loop.
            ///
            /// # Errors
            ///
            /// Returns an error outside a runtime, or if the pipe cannot be made non-blocking.
            pub fn from_std(pipe: process::$name) -> io::Result<$name> {
                Ok($name {
                    reader: Reader(on_loop(pipe.into())?),
                })
            }

            /// Reads some bytes, and returns how many: 0 at the end of the pipe.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: if the future is dropped before it is ready, nothing was
            /// read.
            ///
            /// # Errors
            ///
            /// Returns an error if the system call fails.
            pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                poll_fn(|cx| self.reader.poll_read(cx, buffer)).await
            }

            /// Takes the pipe off the loop, and makes it blocking again.
            ///
            /// # Errors
            ///
            /// Returns an error if a system call fails.
            pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
                off_loop(self.reader.0)
            }
        }

        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.reader.poll_read(cx, buffer)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                self.reader.poll_read_vectored(cx, buffers)
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.reader.0.as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.reader.0.as_raw_fd()
            }
        }

        /// Takes the pipe off the loop, to be given to another child.
        impl TryFrom<$name> for Stdio {
            type Error = io::Error;

            fn try_from(pipe: $name) -> io::Result<Self> {
                Ok(pipe.into_owned_fd()?.into())
            }
        }
    };
}

output! {
    /// The standard output of a child.
    ChildStdout
}

output! {
    /// The standard error of a child.
    ChildStderr
}

fn on_loop(pipe: OwnedFd) -> io::Result<Async<OwnedFd>> {
    ioctl_fionbio(&pipe, true)?;
    Async::from_owned(pipe)
}

fn off_loop(pipe: Async<OwnedFd>) -> io::Result<OwnedFd> {
    let pipe = pipe.into_inner()?;
    ioctl_fionbio(&pipe, false)?;
    Ok(pipe)
}

#[cold]
fn closed() -> io::Error {
    let what = "the standard input of the child was closed";
    io::Error::new(io::ErrorKind::BrokenPipe, what)
}
