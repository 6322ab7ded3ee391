//! Bytes on the way: descriptors on the loop, copying, and the tools for both.
//!
//! | what | where |
//! |---|---|
//! | any descriptor on the loop | [`Async`] |
//! | one stream into another | [`copy`], [`copy_buf`], [`copy_bidirectional`]; a [`CopyBuffer`] knows how far each got |
//! | one socket into another without the bytes coming by here | [`splice`], [`splice_bidirectional`]; a [`SplicePipe`] knows how far each got |
//! | a file into a socket | [`sendfile`], and [`copy_file`] where the disk must not hold up the loop |
//! | two streams in memory, joined | [`duplex`] |
//! | the standard streams of the process | [`stdin`], [`stdout`], [`stderr`] |
//! | nothing to read, one byte without end, a place to write to | [`empty`], [`repeat`], [`sink`] |
//! | reading by lines, buffers, the ends of a stream | [`AsyncReadExt`], [`AsyncBufReadExt`], [`AsyncWriteExt`], [`BufReader`], [`BufWriter`], … from futures-lite |
//!
//! All of it is written against the traits of futures-io, which every socket
//! here implements. The extension traits and the methods of the sockets live
//! side by side: where both have a method, the socket's own is called.
//!
//! There are no files here but the two functions that send one: a file blocks,
//! whatever is written around it. Read it with
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
mod file;
mod flush;
mod nothing;
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
pub use file::{copy_file, sendfile};
pub use nothing::{Empty, Repeat, Sink, empty, repeat, sink};
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

pub(crate) use splice::Descriptor;
