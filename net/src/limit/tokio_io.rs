//! tokio's traits, for a limited stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Limited;
use crate::forward::{forward_read, forward_write};

forward_read! {
    AsyncRead, &mut ReadBuf<'_> => ();
    [S: AsyncRead + Unpin] Limited<S> => |this| this.stream
}
forward_write! {
    AsyncWrite, poll_shutdown;
    [S: AsyncWrite + Unpin] Limited<S> => |this| this.stream, AsyncWrite, poll_shutdown;
    vectored |this| this.stream.is_write_vectored()
}
