//! TCP: listeners, streams, and the halves of a stream.
//!
//! [`TcpListener`], [`TcpStream`], [`TcpSocket`] and [`Connector`] are re-exported one level
//! up. The halves that [`TcpStream::split`] and [`TcpStream::into_split`] return are here.
//!
//! # Examples
//!
//! One task reads while another writes:
//!
//! ```
//! use coreloop::net::{TcpListener, TcpStream};
//!
//! # fn main() -> std::io::Result<()> {
//! coreloop::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let client = TcpStream::connect(listener.local_addr()?).await?;
//!     let (mut server, _) = listener.accept().await?;
//!
//!     let (mut reader, mut writer) = client.into_split();
//!     let writing = coreloop::spawn(async move { writer.write_all(b"question").await });
//!     let mut question = [0; 8];
//!     server.read_exact(&mut question).await?;
//!     server.write_all(b"answer").await?;
//!     let mut answer = [0; 6];
//!     reader.read_exact(&mut answer).await?;
//!     assert_eq!((&question, &answer), (b"question", b"answer"));
//!     writing.await?
//! })
//! # }
//! ```

mod listener;
mod socket;
mod stream;

mod accepting;
mod connect;
mod connector;
mod happy_eyeballs;
mod limited;
mod options;

mod split;
mod split_owned;
mod traits;

pub use connector::Connector;
pub use limited::LimitedListener;
pub use listener::TcpListener;
pub use socket::TcpSocket;
pub use split::{ReadHalf, WriteHalf};
pub use split_owned::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::TcpStream;

use stream::Tcp;
