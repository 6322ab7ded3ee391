//! The sockets of tokio.

#[expect(clippy::duplicate_mod, reason = "the same work with either library")]
#[path = "work.rs"]
pub(crate) mod work;

use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use tokio::task::spawn_local as spawn;
