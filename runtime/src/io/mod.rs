//! Any descriptor on the loop.
//!
//! [`Async`] puts a descriptor that can be polled (a socket, a pipe, a terminal, an
//! eventfd, a D-Bus connection) on the loop of the current runtime. An [`Interest`] is
//! what to wait for, and a [`Ready`] is what the kernel has reported. The sockets of
//! `coreloop::net` are built on `Async`.
//!
//! # Examples
//!
//! ```
//! use coreloop::io::{Async, Interest};
//! use std::io::{Read, Write};
//!
//! # fn main() -> std::io::Result<()> {
//! # coreloop::block_on(async {
//! let (reader, mut writer) = std::io::pipe()?;
//! let reader = Async::new(reader)?;
//! writer.write_all(b"hello")?;
//! let mut text = [0; 5];
//! let count = reader
//!     .async_io(Interest::READABLE, |mut pipe| pipe.read(&mut text))
//!    .await?;
//! assert_eq!(&text[..count], b"hello");
//! # Ok(())
//! # })
//! # }
//! ```

mod counted;
pub(crate) mod descriptor;
pub(crate) mod nonblocking;
mod operations;
mod registration;
mod waiting;

#[doc(no_inline)]
pub use std::io::{Error, ErrorKind, Result, SeekFrom};

pub use crate::engine::reactor::interest::Interest;
pub use crate::engine::reactor::ready::Ready;
#[doc(hidden)]
pub use counted::{ConnectionCounts, connection_counts};
pub use descriptor::Async;
