//! Sockets and name lookup.
//!
//! - [`TcpListener`] accepts connections; [`TcpStream`] is one; [`TcpSocket`] becomes either,
//!   and is for options that must be set before.
//! - [`TcpListener::incoming`] is a stream of connections, [`Incoming`], and
//!   [`TcpListener::limit`] limits how many are open at once.
//! - [`UnixListener`] and [`UnixStream`] do the same between processes of one machine.
//! - `split` and `into_split` of a stream let one task read while another writes.
//! - [`UdpSocket`] and [`UnixDatagram`] send and receive datagrams.
//! - [`UnixStream::send_with_fds`] sends open files, pipes and sockets to another process, and
//!   `recv_with_fds` receives them.
//! - [`ToSocketAddrs`] is what [`TcpListener::bind`] and [`TcpStream::connect`] take: an
//!   address, a pair, or a string. [`lookup_host`] resolves one without a socket.
//! - [`TcpStream::connect`] races the addresses of a name. A [`Connector`] connects in the
//!   same way with a resolver of the caller's ([`Resolve`]), or from a certain local address.
//!
//! Every socket belongs to the loop of the thread that created it, and is `!Send`. Reads and
//! writes borrow their buffer, try the system call first, and wait on the loop only if the
//! system call would block. So a socket that is always ready is never registered with the
//! poller.
//!
//! A socket may outlive its loop. Dropping it is always safe; an operation that would have to
//! wait then fails with an [error](std::io::Error).
//!
//! [`io`](crate::io) has functions and types that move bytes between sockets.
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

#[doc(inline)]
pub use coreloop_net::{
    Accept, ConnectionLimit, ConnectionPermit, Connector, Incoming, Limited, Resolve, Resolving,
    SystemResolver, TcpListener, TcpSocket, TcpStream, ToSocketAddrs, UdpSocket, UnixDatagram,
    UnixListener, UnixStream, lookup_host, tcp, unix,
};

#[doc(hidden)]
pub use coreloop_net::AcceptBackoff;
#[doc(hidden)]
#[expect(deprecated, reason = "the old name remains for one release")]
pub use coreloop_net::AcceptPause;
