//! The traits of futures-io, hyper and tokio, for the types of each kind of socket.
//!
//! A kind invokes these macros once, with all of its types. Each type has a private method
//! `socket`, which returns its [`StreamSocket`](super::StreamSocket).

/// Implements reading for types that own the reading direction.
macro_rules! read_traits {
    ($($type:ty),+) => {$(
        $crate::forward::forward_read! {
            futures_io::AsyncRead, &mut [u8] => usize;
            [] $type => |this| this.socket().single_poller();
            vectored &mut [IoSliceMut<'_>]
        }
        #[cfg(feature = "hyper")]
        $crate::forward::forward_read! {
            hyper::rt::Read, hyper::rt::ReadBufCursor<'_> => ();
            [] $type => |this| this.socket().single_poller()
        }
        #[cfg(feature = "tokio-io")]
        $crate::forward::forward_read! {
            tokio::io::AsyncRead, &mut tokio::io::ReadBuf<'_> => ();
            [] $type => |this| this.socket().single_poller()
        }
    )+};
}

/// Implements writing for types that own the writing direction.
macro_rules! write_traits {
    ($($type:ty),+) => {$(
        $crate::forward::forward_write! {
            futures_io::AsyncWrite, poll_close;
            [] $type => |this| this.socket().single_poller(), futures_io::AsyncWrite, poll_close
        }
        #[cfg(feature = "hyper")]
        $crate::forward::forward_write! {
            hyper::rt::Write, poll_shutdown;
            [] $type => |this| this.socket().single_poller(), futures_io::AsyncWrite, poll_close;
            vectored |_| true
        }
        #[cfg(feature = "tokio-io")]
        $crate::forward::forward_write! {
            tokio::io::AsyncWrite, poll_shutdown;
            [] $type => |this| this.socket().single_poller(), futures_io::AsyncWrite, poll_close;
            vectored |_| true
        }
    )+};
}

/// Implements reading and writing for a reference, which any number of tasks may poll.
macro_rules! shared_traits {
    ($reference:ty) => {
        $crate::forward::forward_read! {
            futures_io::AsyncRead, &mut [u8] => usize;
            [] $reference => |this| this.socket().shared_poller();
            vectored &mut [IoSliceMut<'_>]
        }
        $crate::forward::forward_write! {
            futures_io::AsyncWrite, poll_close;
            [] $reference
            => |this| this.socket().shared_poller(), futures_io::AsyncWrite, poll_close
        }
    };
}

pub(crate) use {read_traits, shared_traits, write_traits};
