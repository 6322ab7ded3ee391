//! The read and write traits of futures-io, hyper and tokio, by forwarding to another value.
//!
//! The traits have the same methods, except for the type of the buffer to read into and the
//! name of the last method. So one macro writes all traits that read, and one all that write.
//!
//! A file that invokes the macros imports `std::io::{self, IoSlice, IoSliceMut}`, `Pin`,
//! `Context` and `Poll`, as far as the expansion names them. In the expression `$inner`,
//! `$this` is a `&mut` of the type.

/// Implements the trait `$trait` for reading by the same trait of `$inner`. Only futures-io
/// has a vectored read.
macro_rules! forward_read {
    ($trait:path, $buffer:ty => $output:ty; [$($generics:tt)*] $type:ty
     => |$this:ident| $inner:expr $(; vectored $buffers:ty)?) => {
        impl<$($generics)*> $trait for $type {
            #[inline]
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: $buffer,
            ) -> Poll<io::Result<$output>> {
                let $this = self.get_mut();
                <_ as $trait>::poll_read(Pin::new(&mut $inner), cx, buffer)
            }

            $(fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: $buffers,
            ) -> Poll<io::Result<$output>> {
                let $this = self.get_mut();
                <_ as $trait>::poll_read_vectored(Pin::new(&mut $inner), cx, buffers)
            })?
        }
    };
}

/// Implements the trait `$trait` for writing, whose last method is `$close`, by the trait
/// `$to` of `$inner`, whose last method is `$to_close`. Only hyper and tokio ask whether a
/// vectored write is better than several writes.
macro_rules! forward_write {
    ($trait:path, $close:ident; [$($generics:tt)*] $type:ty
     => |$this:ident| $inner:expr, $to:path, $to_close:ident
     $(; vectored |$that:pat_param| $vectored:expr)?) => {
        impl<$($generics)*> $trait for $type {
            #[inline]
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                let $this = self.get_mut();
                <_ as $to>::poll_write(Pin::new(&mut $inner), cx, bytes)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let $this = self.get_mut();
                <_ as $to>::poll_write_vectored(Pin::new(&mut $inner), cx, buffers)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let $this = self.get_mut();
                <_ as $to>::poll_flush(Pin::new(&mut $inner), cx)
            }

            fn $close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let $this = self.get_mut();
                <_ as $to>::$to_close(Pin::new(&mut $inner), cx)
            }

            $(fn is_write_vectored(&self) -> bool {
                let $that = self;
                $vectored
            })?
        }
    };
}

pub(crate) use {forward_read, forward_write};
