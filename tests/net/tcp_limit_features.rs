//! Limited streams implement the traits of tokio and hyper that their streams implement.

use coreloop::net::{ConnectionLimit, Limited};

/// A stream in memory, with a permit.
fn limited<S>(stream: S) -> Limited<S> {
    let permit = ConnectionLimit::new(1).try_acquire();
    Limited::new(stream, permit.expect("the first"))
}

#[test]
fn tokio_reads_and_writes() {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    let mut cx = Context::from_waker(Waker::noop());
    let mut reader = limited(&b"hello"[..]);
    let mut storage = [0; 8];
    let mut buffer = ReadBuf::new(&mut storage);
    let read = Pin::new(&mut reader).poll_read(&mut cx, &mut buffer);
    assert!(matches!(read, Poll::Ready(Ok(()))));
    assert_eq!(buffer.filled(), b"hello");

    let mut writer = limited(Vec::new());
    let written = Pin::new(&mut writer).poll_write(&mut cx, b"hello");
    assert!(matches!(written, Poll::Ready(Ok(5))));
    assert!(writer.is_write_vectored());
    assert!(Pin::new(&mut writer).poll_flush(&mut cx).is_ready());
    assert!(Pin::new(&mut writer).poll_shutdown(&mut cx).is_ready());
    assert_eq!(*writer, b"hello");
}

mod hyper_traits {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

    /// A stream that gives `hello`, and stores the bytes that are written to it.
    #[derive(Default)]
    struct Greeter {
        written_bytes: Vec<u8>,
        flushed: bool,
        is_shut_down: bool,
    }

    impl Read for Greeter {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            mut buffer: ReadBufCursor<'_>,
        ) -> Poll<io::Result<()>> {
            buffer.put_slice(b"hello");
            Poll::Ready(Ok(()))
        }
    }

    impl Write for Greeter {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.written_bytes.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushed = true;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.is_shut_down = true;
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn hyper_reads_and_writes() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut stream = super::limited(Greeter::default());
        let mut storage = [0; 8];
        let mut buffer = ReadBuf::new(&mut storage);
        let read = Pin::new(&mut stream).poll_read(&mut cx, buffer.unfilled());
        assert!(matches!(read, Poll::Ready(Ok(()))));
        assert_eq!(buffer.filled(), b"hello");

        let written = Pin::new(&mut stream).poll_write(&mut cx, b"thanks");
        assert!(matches!(written, Poll::Ready(Ok(6))));
        assert!(stream.is_write_vectored());
        assert!(Pin::new(&mut stream).poll_flush(&mut cx).is_ready());
        assert!(Pin::new(&mut stream).poll_shutdown(&mut cx).is_ready());
        assert_eq!(stream.written_bytes, b"thanks");
        assert!(stream.flushed && stream.is_shut_down);
    }
}
