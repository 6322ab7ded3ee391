//! hyper's traits, for a limited stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::Limited;
use crate::forward::{forward_read, forward_write};

forward_read! {
    Read, ReadBufCursor<'_> => ();
    [S: Read + Unpin] Limited<S> => |this| this.stream
}
forward_write! {
    Write, poll_shutdown;
    [S: Write + Unpin] Limited<S> => |this| this.stream, Write, poll_shutdown;
    vectored |this| this.stream.is_write_vectored()
}
