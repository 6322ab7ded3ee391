//! Streams in memory that read and write a few bytes at a time, and are pending now and then,
//! as a script says.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use coreloop::io::{AsyncRead, AsyncWrite};

/// What a stream does when it is polled.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Reads or writes up to this many bytes.
    Some(usize),
    /// Is pending, and wakes the task at once.
    Wait,
    /// Fails.
    Fail,
}

/// Makes one step of each byte, mostly small pieces.
pub fn steps(script: &[u8]) -> Vec<Step> {
    let step = |&byte: &u8| match byte {
        0..=63 => Step::Wait,
        64..=95 => Step::Some(1000 * usize::from(byte - 63)),
        96..=255 => Step::Some(usize::from(byte - 95)),
    };
    script.iter().map(step).collect()
}

/// A stream that returns `bytes` as a script says; after the script, as many as requested.
#[derive(Debug, Default)]
pub struct Reader {
    pub bytes: Vec<u8>,
    pub given: usize,
    pub steps: std::collections::VecDeque<Step>,
}

impl Reader {
    pub fn new(bytes: Vec<u8>, steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            bytes,
            given: 0,
            steps: steps.into_iter().collect(),
        }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let most = match self.steps.pop_front() {
            Some(Step::Some(most)) => most,
            Some(Step::Wait) => return wait(cx),
            Some(Step::Fail) => return Poll::Ready(Err(failure())),
            None => usize::MAX,
        };
        let rest = &self.bytes[self.given..];
        let count = rest.len().min(most).min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Poll::Ready(Ok(count))
    }
}

/// A stream that accepts bytes as a script says; after the script, all of them.
#[derive(Debug, Default)]
pub struct Writer {
    pub taken: Vec<u8>,
    /// How many bytes were accepted at the last flush.
    pub flushed: usize,
    pub closed: bool,
    pub steps: std::collections::VecDeque<Step>,
}

impl Writer {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            ..Writer::default()
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        assert!(!self.closed, "a write after the close");
        let most = match self.steps.pop_front() {
            Some(Step::Some(most)) => most,
            Some(Step::Wait) => return wait(cx),
            Some(Step::Fail) => return Poll::Ready(Err(failure())),
            None => usize::MAX,
        };
        let count = bytes.len().min(most);
        self.taken.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed = self.taken.len();
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        assert!(!self.closed, "a second close");
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

fn wait<T>(cx: &mut Context<'_>) -> Poll<T> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

pub fn failure() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "as the script says")
}
