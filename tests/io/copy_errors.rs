//! `copy_bidirectional` with each mixture of errors: of reading, writing and closing,
//! on either side.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use coreloop::io::{AsyncRead, AsyncWrite, CopyBuffer, copy_bidirectional_with_buffers};

#[test]
fn wherever_it_fails_the_buffers_know_where_each_byte_is() {
    for failures in 0..64 {
        let (mut a, mut b) = (Side::new(failures), Side::new(failures >> 3));
        let (mut up, mut down) = (CopyBuffer::new(), CopyBuffer::new());
        let copy = copy_bidirectional_with_buffers(&mut a, &mut b, &mut up, &mut down);
        let result = coreloop::block_on(copy);
        assert_eq!(result.is_ok(), failures == 0, "{failures:06b}");
        for (buffer, from, to) in [(&up, &a, &b), (&down, &b, &a)] {
            let [read, written] = [buffer.bytes_read(), buffer.bytes_written()];
            assert_eq!(written, to.taken.len() as u64, "{failures:06b}");
            assert_eq!(read, from.given as u64, "{failures:06b}");
            let all = [&to.taken, buffer.unwritten()].concat();
            assert_eq!(all, WORDS[..from.given], "{failures:06b}");
        }
    }
}

const WORDS: &[u8] = b"what each side says";

/// Gives its words in two reads, then ends or fails.
struct Side {
    given: usize,
    taken: Vec<u8>,
    fails_to_read: bool,
    fails_to_write: bool,
    fails_to_close: bool,
}

impl Side {
    fn new(failures: u32) -> Side {
        Side {
            given: 0,
            taken: Vec::new(),
            fails_to_read: failures & 1 != 0,
            fails_to_write: failures & 2 != 0,
            fails_to_close: failures & 4 != 0,
        }
    }
}

fn outcome<T>(fails: bool, value: T) -> Poll<io::Result<T>> {
    Poll::Ready(if fails {
        Err(io::Error::other("on purpose"))
    } else {
        Ok(value)
    })
}

impl AsyncRead for Side {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let rest = &WORDS[self.given..];
        let count = rest.len().min(10);
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        outcome(count == 0 && self.fails_to_read, count)
    }
}

impl AsyncWrite for Side {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let fails = self.fails_to_write && !self.taken.is_empty();
        let count = if fails { 0 } else { bytes.len().min(7) };
        self.taken.extend(&bytes[..count]);
        outcome(fails, count)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        outcome(self.fails_to_close, ())
    }
}
