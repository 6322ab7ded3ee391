//! The traits of a limited stream are the traits of the stream.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::Limited;
use crate::forward::{forward_read, forward_write};

forward_read! {
    AsyncRead, &mut [u8] => usize;
    [S: AsyncRead + Unpin] Limited<S> => |this| this.stream;
    vectored &mut [IoSliceMut<'_>]
}
forward_write! {
    AsyncWrite, poll_close;
    [S: AsyncWrite + Unpin] Limited<S> => |this| this.stream, AsyncWrite, poll_close
}
