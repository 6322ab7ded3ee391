//! Descriptors on the loop, copying, and other tools that move bytes.
//!
//! | for | use |
//! |---|---|
//! | any descriptor on the loop | [`Async`] |
//! | copying one stream into another | [`copy`], [`copy_buf`], [`copy_bidirectional`]; a [`CopyBuffer`] counts the bytes of a copy |
//! | copying one socket into another inside the kernel | [`splice`], [`splice_bidirectional`]; a [`SplicePipe`] counts the bytes |
//! | sending a file to a socket | [`sendfile`], and [`copy_file`] where the disk must not delay the loop |
//! | a pair of connected streams in memory | [`duplex`] |
//! | the standard streams of the process | [`stdin`], [`stdout`], [`stderr`] |
//! | a reader at its end, a reader of one byte without end, a writer that discards | [`empty`], [`repeat`], [`sink`] |
//! | lines, buffers, the ends of a stream | [`AsyncReadExt`], [`AsyncBufReadExt`], [`AsyncWriteExt`], [`BufReader`], [`BufWriter`], … from futures-lite |
//!
//! Everything here uses the traits of futures-io, which all sockets implement. The sockets
//! have some methods of the same names as the extension traits: the method of the socket is
//! called then.
//!
//! There are no files here except for the two functions that send one, because reading a file
//! blocks. Read files with
//! [`spawn_blocking`](coreloop_runtime::task::spawn_blocking).
//!
//! # Examples
//!
//! ```
//! use coreloop::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, duplex};
//!
//! # fn main() -> std::io::Result<()> {
//! # coreloop::block_on(async {
//! let (mut client, server) = duplex(64);
//! client.write_all(b"first\nsecond\n").await?;
//! client.close().await?;
//!
//! let mut reader = BufReader::new(server);
//! let mut line = String::new();
//! reader.read_line(&mut line).await?;
//! assert_eq!(line, "first\n");
//! # Ok(())
//! # })
//! # }
//! ```

mod bidirectional;
mod copy;
mod copy_buffer;
mod duplex;
mod empty;
mod file;
mod flush;
mod repeat;
mod sink;
mod splice;
mod standard;

#[doc(inline)]
pub use coreloop_runtime::io::*;

pub use bidirectional::{
    copy_bidirectional, copy_bidirectional_with_buffers, copy_bidirectional_with_sizes,
};
pub use copy::{copy, copy_buf};
pub use copy_buffer::CopyBuffer;
pub use duplex::{DuplexStream, duplex};
pub use empty::{Empty, empty};
pub use file::{copy_file, sendfile};
pub use repeat::{Repeat, repeat};
pub use sink::{Sink, sink};
pub use splice::{
    SplicePipe, SpliceSource, SpliceTarget, splice, splice_bidirectional,
    splice_bidirectional_with_pipes,
};
pub use standard::{Stderr, Stdin, Stdout, stderr, stdin, stdout};

#[doc(no_inline)]
pub use futures_lite::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite,
    AsyncWriteExt, BufReader, BufWriter, Bytes, Chain, Cursor, Lines, ReadHalf, Split, Take,
    WriteHalf, split,
};

pub(crate) use splice::{Descriptor, splice_sockets};
