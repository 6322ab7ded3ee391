//! Sockets and name lookup for coreloop.
//!
//! Use this crate through the facade, as `coreloop::net`.
//!
//! - [`TcpListener`] accepts connections; [`TcpStream`] is one; [`TcpSocket`] is
//!   either before that, for options that must be set first.
//! - [`TcpListener::incoming`] is a stream of connections, [`Incoming`], and
//!   [`TcpListener::limit`] bounds how many are open at once.
//! - [`UnixListener`] and [`UnixStream`] are the same between processes of one
//!   machine.
//! - `split` and `into_split` of a stream let one task read while another writes.
//! - [`UdpSocket`] and [`UnixDatagram`] send and receive datagrams.
//! - [`ToSocketAddrs`] is what [`TcpListener::bind`] and [`TcpStream::connect`]
//!   take: an address, a pair, a string. [`lookup_host`] resolves one by hand.
//! - [`TcpStream::connect`] races the addresses of a name; a [`Connector`] does it
//!   with a resolver of your own ([`Resolve`]), or from a certain local address.
//!
//! Every socket belongs to the loop of the thread that made it, and is `!Send`.
//! Reads and writes borrow their buffer, try the system call first, and wait on
//! the loop only if the kernel says there is nothing to do; so a socket that is
//! always ready is never registered with the poller at all.
//!
//! A socket may outlive its loop. Dropping it is always safe; an operation that
//! would have to wait then fails with an [`io::Error`].
//!
//! [`io`] has what moves bytes between them, and is `coreloop::io`.
//!
//! # Examples
//!
//! ```
//! use coreloop::net::{TcpListener, TcpStream};
//!
//! # fn main() -> std::io::Result<()> {
//! coreloop::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!     let server = coreloop::spawn(async move {
//!         let (mut stream, _peer) = listener.accept().await?;
//!         let mut buffer = [0; 64];
//!         let count = stream.read(&mut buffer).await?;
//!         stream.write_all(&buffer[..count]).await
//!     });
//!
//!     let mut stream = TcpStream::connect(address).await?;
//!     stream.write_all(b"hello").await?;
//!     let mut answer = [0; 5];
//!     stream.read_exact(&mut answer).await?;
//!     assert_eq!(&answer, b"hello");
//!     server.await.expect("the server task neither panics nor is aborted")
//! })
//! # }
//! ```

mod accept;
mod addr;
mod datagram;
#[cfg(feature = "hyper")]
pub mod hyper;
mod incoming;
pub mod io;
mod limit;
mod stream;
mod sys;
pub mod tcp;
mod udp;
pub mod unix;

pub use accept::{Accept, AcceptPause};
pub use addr::{Resolve, Resolving, SystemResolver, ToSocketAddrs, lookup_host};
pub use incoming::Incoming;
pub use limit::{ConnectionLimit, ConnectionPermit, Limited};
pub use tcp::{Connector, TcpListener, TcpSocket, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixListener, UnixStream};
