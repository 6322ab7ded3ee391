//! The futures-io traits of the streams and the halves.
//!
//! Nothing is buffered, so there is nothing to flush; to close is to shut down the
//! writing direction.

/// `AsyncRead` and `AsyncWrite` of a stream, of references to it, and of its halves.
macro_rules! stream_traits {
    ($stream:ty, $($reads:ty, $writes:ty);+ $(;)?) => {
        $crate::stream::async_read!(poll_read, poll_read_vectored: $stream $(, $reads)+);
        $crate::stream::async_write!(
            poll_write, poll_write_vectored: $stream $(, $writes)+
        );
        // A reference has many owners, so each task that polls is noted.
        $crate::stream::async_read!(
            poll_read_shared, poll_read_vectored_shared: &$stream
        );
        $crate::stream::async_write!(
            poll_write_shared, poll_write_vectored_shared: &$stream
        );
    };
}

/// `AsyncRead` of types that lend their stream.
macro_rules! async_read {
    ($poll:ident, $poll_vectored:ident: $($type:ty),+) => {$(
        impl futures_io::AsyncRead for $type {
            #[inline]
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffer: &mut [u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::stream::transfer::$poll(self.get_mut().stream(), cx, buffer)
            }

            fn poll_read_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::stream::transfer::$poll_vectored(self.get_mut().stream(), cx, buffers)
            }
        }
    )+};
}

/// `AsyncWrite` of types that lend their stream.
macro_rules! async_write {
    ($poll:ident, $poll_vectored:ident: $($type:ty),+) => {$(
        impl futures_io::AsyncWrite for $type {
            #[inline]
            fn poll_write(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::stream::transfer::$poll(self.get_mut().stream(), cx, bytes)
            }

            fn poll_write_vectored(
                self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
                buffers: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                $crate::stream::transfer::$poll_vectored(self.get_mut().stream(), cx, buffers)
            }

            fn poll_flush(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn poll_close(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                let closed = $crate::stream::transfer::shutdown_write(self.get_mut().stream());
                std::task::Poll::Ready(closed)
            }
        }
    )+};
}

pub(crate) use {async_read, async_write, stream_traits};
