//! Copies with every combination of errors in reading, writing, flushing and closing.

#[cfg(all(target_os = "linux", not(miri)))]
use std::fs::File;
use std::io;
#[cfg(all(target_os = "linux", not(miri)))]
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

#[cfg(all(target_os = "linux", not(miri)))]
use coreloop::io::copy_file;
use coreloop::io::{
    AsyncBufRead, AsyncRead, AsyncWrite, CopyBuffer, copy, copy_bidirectional,
    copy_bidirectional_with_buffers, copy_bidirectional_with_sizes, copy_buf,
};
use futures_lite::future::poll_once;

#[test]
fn the_buffers_account_for_every_byte_wherever_a_copy_fails() {
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

/// A stream that gives its words in two reads and then ends or fails.
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

/// The result of the flush of a writer that keeps its bytes until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    Succeeds,
    /// Succeeds at the third attempt.
    Waits,
    Fails,
}

/// A reader that fails after its words, and a writer that passes bytes on when flushed.
struct Failing {
    given: usize,
    kept: Vec<u8>,
    flushed: Vec<u8>,
    flush: Flush,
    attempts: usize,
    fails: bool,
}

impl Failing {
    fn new(flush: Flush, fails: bool) -> Failing {
        Failing {
            given: 0,
            kept: Vec::new(),
            flushed: Vec::new(),
            flush,
            attempts: 0,
            fails,
        }
    }
}

impl AsyncBufRead for Failing {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let rest = &WORDS[self.given..];
        if rest.is_empty() {
            if self.fails {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            return Poll::Pending;
        }
        Poll::Ready(Ok(rest))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.given += count;
    }
}

impl AsyncRead for Failing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Failing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(7);
        self.kept.extend(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.attempts += 1;
        match this.flush {
            Flush::Fails => return Poll::Ready(Err(io::ErrorKind::StorageFull.into())),
            Flush::Waits if this.attempts < 3 => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Flush::Waits | Flush::Succeeds => this.flushed.append(&mut this.kept),
        }
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The bytes before a reset used to stay in the writer's buffer for ever.
#[test]
fn bytes_that_were_read_before_an_error_are_flushed() {
    for flush in [Flush::Succeeds, Flush::Waits, Flush::Fails] {
        for kind in 0..6 {
            let mut reader = Failing::new(flush, true);
            let mut writer = Failing::new(flush, false);
            // The writer gives no bytes for the other direction.
            writer.given = WORDS.len();
            let copied = coreloop::block_on(async {
                let (reader, writer) = (&mut reader, &mut writer);
                match kind {
                    0 => copy(reader, writer).await.map(drop),
                    1 => copy_buf(reader, writer).await.map(drop),
                    2 => CopyBuffer::with_size(3)
                        .copy(reader, writer)
                        .await
                        .map(drop),
                    3 => copy_bidirectional(reader, writer).await.map(drop),
                    4 => copy_bidirectional(writer, reader).await.map(drop),
                    _ => copy_bidirectional_with_sizes(reader, writer, 3, 5)
                        .await
                        .map(drop),
                }
            });
            // The reader's error is returned, because it came before the error of the flush.
            let error = copied.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            let flushed = if flush == Flush::Fails { &[] } else { WORDS };
            assert_eq!(writer.flushed, flushed, "{flush:?}, {kind}");
            assert!(writer.attempts > 0);
        }
    }
}

/// The error is reported by the call that has flushed.
#[test]
fn a_copy_that_is_dropped_before_the_flush_keeps_the_error() {
    coreloop::block_on(async {
        let mut reader = Failing::new(Flush::Succeeds, true);
        let mut writer = Failing::new(Flush::Waits, false);
        let mut buffer = CopyBuffer::new();
        for _ in 0..2 {
            assert!(
                poll_once(buffer.copy(&mut reader, &mut writer))
                    .await
                    .is_none()
            );
            assert!(writer.flushed.is_empty());
        }
        let error = buffer.copy(&mut reader, &mut writer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(writer.flushed, WORDS);
        assert_eq!(buffer.bytes_written(), WORDS.len() as u64);
        // After an error of the flush, the next call flushes first.
        reader.given = 0;
        writer.flush = Flush::Fails;
        let error = buffer.copy(&mut reader, &mut writer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        writer.flush = Flush::Succeeds;
        buffer.copy(&mut reader, &mut writer).await.unwrap_err();
        assert_eq!(writer.flushed, [WORDS, WORDS].concat());
    });
}

/// Returns the memory of this process as a file, and a range that begins 16 bytes before a
/// gap and ends in the gap: those bytes can be read, and the next read is an error.
#[cfg(all(target_os = "linux", not(miri)))]
fn before_a_gap() -> (File, Range<u64>) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let ranges: Vec<_> = maps
        .lines()
        .map(|line| {
            let (range, rest) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            (number(start), number(end), rest.starts_with('r'))
        })
        .collect();
    let mut neighbours = ranges.windows(2);
    let is_gap = |pair: &&[(u64, u64, bool)]| pair[0].2 && pair[0].1 < pair[1].0;
    let (_, end, _) = neighbours.find(is_gap).expect("a gap")[0];
    (File::open("/proc/self/mem").unwrap(), end - 16..end + 16)
}

#[test]
#[cfg(all(target_os = "linux", not(miri)))]
fn bytes_of_a_file_that_were_read_before_an_error_are_flushed() {
    for flush in [Flush::Succeeds, Flush::Waits, Flush::Fails] {
        let (file, mut range) = before_a_gap();
        let mut writer = Failing::new(flush, false);
        let copied = coreloop::block_on(copy_file(&file, &mut range, &mut writer));
        let error = copied.unwrap_err();
        assert_ne!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        assert_eq!(range.end - range.start, 16);
        let flushed = if flush == Flush::Fails { 0 } else { 16 };
        assert_eq!(writer.flushed.len(), flushed);
        assert!(writer.attempts > 0);
    }
}

/// The bytes that a dropped copy had written used to stay in the writer's buffer.
#[test]
fn a_copy_flushes_the_bytes_that_a_dropped_copy_has_written() {
    coreloop::block_on(async {
        let mut reader = Failing::new(Flush::Succeeds, false);
        let mut writer = Failing::new(Flush::Waits, false);
        for _ in 0..3 {
            let copied = poll_once(copy_buf(&mut reader, &mut writer)).await;
            assert!(copied.is_none());
        }
        assert_eq!(writer.flushed, WORDS);
    });
}
