//! [`Pipe`], the frames of both directions on a stream. One task polls it.
//!
//! # Signs of life
//!
//! A long frame takes as long as the connection needs for it, and the peer cannot answer what is
//! behind it. So bytes that come are not the only sign that the peer lives. Bytes that the stream
//! takes are none by themselves: the system keeps them for a peer that has lost its power. But a
//! stream that had no room for them gets room only when the peer's system has taken earlier ones.
//!
//! A stream with TLS has a buffer of its own in front of the socket. It takes bytes after a wait
//! when the socket has taken others; and it is flushed when the socket has taken all of them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};

use crate::secure::{Opener, Sealer};

/// How many bytes are collected for one write.
const BATCH: usize = 64 * 1024;

/// The frames of both directions on a stream.
pub(crate) struct Pipe<S> {
    stream: S,
    sealer: Sealer,
    opener: Opener,
    /// The frames that are written next.
    out: Vec<u8>,
    /// How many bytes of them were written.
    written: usize,
    /// Whether bytes were written since the last flush.
    is_dirty: bool,
    /// What the stream had no room for.
    blocked: Blocked,
    /// Whether the stream got room since the last call of `take_progress`.
    has_progress: bool,
}

/// What a stream had no room for when it was last polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blocked {
    Nothing,
    /// It took no bytes.
    Write,
    /// It has taken all bytes, and a buffer in it was not empty.
    Flush,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pipe<S> {
    pub(crate) fn new(stream: S, sealer: Sealer, opener: Opener) -> Self {
        Self {
            stream,
            sealer,
            opener,
            out: Vec::new(),
            written: 0,
            is_dirty: false,
            blocked: Blocked::Nothing,
            has_progress: false,
        }
    }

    /// Returns the body of the next frame that has come as a whole.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.opener
            .next()
            .map_err(|broken| io::Error::new(io::ErrorKind::InvalidData, broken.to_string()))
    }

    /// Sets the maximum length of the bodies of frames that come later.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.opener.set_max(max);
    }

    /// Reads bytes, after all complete frames were taken. Zero bytes are the end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let space = self.opener.space();
        let count = ready!(Pin::new(&mut self.stream).poll_read(cx, space))?;
        self.opener.filled(count);
        Poll::Ready(Ok(count))
    }

    /// Appends a frame to those that are written next.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.sealer.seal(&mut self.out, write);
    }

    /// Returns whether enough frames were appended for one write.
    pub(crate) fn is_full(&self) -> bool {
        self.out.len() - self.written >= BATCH
    }

    /// Writes what was appended. Ready when all is written.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            let bytes = &self.out[self.written..];
            let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
            match self.note(polled, Blocked::Write)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(count) => self.written += count,
                Poll::Pending => return Poll::Pending,
            }
            self.is_dirty = true;
        }
        self.written = 0;
        self.out.clear();
        self.out.shrink_to(4 * BATCH);
        if self.is_dirty {
            let polled = Pin::new(&mut self.stream).poll_flush(cx);
            ready!(self.note(polled, Blocked::Flush))?;
            self.is_dirty = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Returns whether the peer has shown since the last call that it lives, by taking bytes for
    /// which there was no room before.
    pub(crate) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.has_progress)
    }

    /// Returns whether a part of a frame has come.
    pub(crate) fn is_in_frame(&self) -> bool {
        self.opener.is_in_frame()
    }

    /// Notes whether the stream had room for a step, and has not had before.
    fn note<T>(&mut self, polled: Poll<io::Result<T>>, step: Blocked) -> Poll<io::Result<T>> {
        match &polled {
            Poll::Pending => self.blocked = step,
            Poll::Ready(Ok(_)) if self.blocked == step => {
                self.blocked = Blocked::Nothing;
                self.has_progress = true;
            }
            Poll::Ready(_) => {}
        }
        polled
    }

    /// Closes the writing direction, after all was written.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use futures_io::{AsyncRead, AsyncWrite};

    use super::{BATCH, Pipe};
    use crate::secure::{Key, Role, Start};

    /// A stream with room for this many bytes, whose buffer has to be flushed.
    struct Narrow {
        room: usize,
        can_flush: bool,
    }

    impl AsyncRead for Narrow {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.room);
            self.room -= count;
            if count == 0 {
                Poll::Pending
            } else {
                Poll::Ready(Ok(count))
            }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.can_flush {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            }
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn pipe(room: usize, can_flush: bool) -> Pipe<Narrow> {
        let key = Key::new("a key of the tests").unwrap();
        let client = Start::new(Role::Client, [1; 32]);
        let manager = Start::new(Role::Manager, [2; 32]);
        let hellos = (*client.hello(), *manager.hello());
        let client = client.meet(&hellos.1, &key, b"").unwrap();
        let manager = manager.meet(&hellos.0, &key, b"").unwrap();
        let (sealer, opener) = client.verify(&manager.proof(), 100).unwrap();
        Pipe::new(Narrow { room, can_flush }, sealer, opener)
    }

    /// Writes what it can. Returns whether all was written, and whether that shows that the peer
    /// lives.
    fn write(pipe: &mut Pipe<Narrow>) -> (bool, bool) {
        let mut cx = Context::from_waker(Waker::noop());
        let is_done = pipe.poll_write(&mut cx).map(Result::unwrap).is_ready();
        (is_done, pipe.take_progress())
    }

    #[test]
    fn only_room_after_a_wait_shows_that_the_peer_lives() {
        let mut pipe = pipe(1000, true);
        // The system of this end has room for them.
        for _ in 0..10 {
            pipe.push(|out| out.push(1));
            assert_eq!(write(&mut pipe), (true, false));
        }
        pipe.push(|out| out.resize(out.len() + BATCH, 2));
        assert_eq!(write(&mut pipe), (false, false));
        assert_eq!(write(&mut pipe), (false, false));
        pipe.stream.room = 10;
        assert_eq!(write(&mut pipe), (false, true));
        assert_eq!(write(&mut pipe), (false, false));
        pipe.stream.room = 2 * BATCH;
        assert_eq!(write(&mut pipe), (true, true));
        pipe.push(|out| out.push(3));
        assert_eq!(write(&mut pipe), (true, false));
    }

    /// The buffer of TLS takes bytes while the socket takes none.
    #[test]
    fn bytes_in_a_buffer_that_is_not_flushed_do_not_show_that_the_peer_lives() {
        let mut pipe = pipe(1000, false);
        for _ in 0..10 {
            pipe.push(|out| out.push(1));
            assert_eq!(write(&mut pipe), (false, false));
        }
        pipe.stream.can_flush = true;
        assert_eq!(write(&mut pipe), (true, true));
    }
}
