//! The pipes of a child, on the loop: [`ChildStdin`], [`ChildStdout`] and
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

/// Room for a read is made when there is less than this.
const LEAST_ROOM: usize = 4 << 10;

/// The kernel takes no more in one call (`IOV_MAX`).
const MOST_BUFFERS: usize = 1024;

/// More than a pipe holds, unless somebody with privileges made it larger.
const MOST_LEFT: usize = 1 << 20;

/// The standard input of a child.
///
/// Dropping it closes the pipe, by which the child sees the end of its input. So
/// does [`close`](ChildStdin::close), also by way of the trait
/// [`AsyncWrite`]; in tokio only dropping does.
///
/// Nothing is buffered here: there is nothing to flush.
///
/// A write to a pipe that nobody reads gives an error of kind
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe). It does not end the process, because
/// programs in Rust ignore `SIGPIPE`, unless they choose not to.
#[derive(Debug)]
pub struct ChildStdin {
    /// `None` once it is closed.
    pipe: Option<Async<OwnedFd>>,
}

impl ChildStdin {
    /// Puts a pipe of std on the loop, after making it non-blocking.
    ///
    /// # Errors
    ///
    /// Outside a runtime, or if the pipe cannot be made non-blocking.
    pub fn from_std(pipe: process::ChildStdin) -> io::Result<ChildStdin> {
        Ok(ChildStdin {
            pipe: Some(on_loop(pipe.into())?),
        })
    }

    /// Writes some bytes, and says how many.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped before it is ready, nothing was written.
    ///
    /// # Errors
    ///
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe) if nobody reads any more, or if it
    /// was closed; else those of the system call.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write_some(cx, bytes)).await
    }

    /// Writes all bytes.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if the future is dropped before it is ready, some of the
    /// bytes were written, and there is no telling how many.
    ///
    /// # Errors
    ///
    /// As [`write`](ChildStdin::write).
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.write(bytes).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Closes the pipe. The child reads what was written, and then the end.
    pub fn close(&mut self) {
        self.pipe = None;
    }

    /// Takes the pipe off the loop, and makes it block again.
    ///
    /// # Errors
    ///
    /// If it was closed, or those of the system calls.
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
        let buffers = &buffers[..buffers.len().min(MOST_BUFFERS)];
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

/// Panics if it was closed.
impl AsFd for ChildStdin {
    #[track_caller]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.open().as_fd()
    }
}

/// Panics if it was closed.
impl AsRawFd for ChildStdin {
    #[track_caller]
    fn as_raw_fd(&self) -> RawFd {
        self.open().as_raw_fd()
    }
}

/// Takes the pipe off the loop, to be given to another child.
impl TryFrom<ChildStdin> for Stdio {
    type Error = io::Error;

    fn try_from(pipe: ChildStdin) -> io::Result<Stdio> {
        Ok(pipe.into_owned_fd()?.into())
    }
}

/// An end of a pipe that is read.
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
        let count = buffers.len().min(MOST_BUFFERS);
        let buffers = &mut buffers[..count];
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        self.0
            .poll_read_stream(cx, length, |pipe| Ok(readv(pipe, buffers)?))
    }

    /// Appends what comes to `bytes`, up to the end.
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

    /// Appends what is there now, whether or not the loop knows of it yet.
    pub(super) fn read_rest(&self, bytes: &mut Vec<u8>) {
        let most = bytes.len() + MOST_LEFT;
        // Nothing comes after an error, which is most often that there is no more.
        while bytes.len() < most {
            make_room(bytes);
            if append(self.0.get_ref(), bytes).unwrap_or(0) == 0 {
                return;
            }
        }
    }
}

/// Reads into the room of `bytes`.
fn append(pipe: &OwnedFd, bytes: &mut Vec<u8>) -> io::Result<usize> {
    Ok(read(pipe, rustix::buffer::spare_capacity(bytes))?)
}

/// Makes room for a read, and says how much there is.
fn make_room(bytes: &mut Vec<u8>) -> usize {
    if bytes.capacity() - bytes.len() < LEAST_ROOM {
        bytes.reserve(2 * LEAST_ROOM);
    }
    bytes.capacity() - bytes.len()
}

macro_rules! output {
    ($(#[doc = $about:literal])* $name:ident) => {
        $(#[doc = $about])*
        ///
        /// It is read by [`read`](Self::read), or as any
        /// [`AsyncRead`]: to its end, by lines, and so on, with
        /// `coreloop::io::AsyncReadExt` and `BufReader`. It ends when every process that
        /// holds the other end has closed it: processes that the child started may hold it
        /// for longer than the child runs.
        ///
        /// Once it is dropped, a write of the child is an error for the child, or its
        /// end by `SIGPIPE`.
        #[derive(Debug)]
        pub struct $name {
            pub(super) reader: Reader,
        }

        impl $name {
            /// Puts a pipe of std on the loop, after making it non-blocking.
            ///
            /// # Errors
            ///
            /// Outside a runtime, or if the pipe cannot be made non-blocking.
            pub fn from_std(pipe: process::$name) -> io::Result<$name> {
                Ok($name {
                    reader: Reader(on_loop(pipe.into())?),
                })
            }

            /// Reads some bytes, and says how many: none at the end.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe: if the future is dropped before it is ready, nothing was
            /// read.
            ///
            /// # Errors
            ///
            /// Those of the system call.
            pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                poll_fn(|cx| self.reader.poll_read(cx, buffer)).await
            }

            /// Takes the pipe off the loop, and makes it block again.
            ///
            /// # Errors
            ///
            /// Those of the system calls.
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

            fn try_from(pipe: $name) -> io::Result<Stdio> {
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
