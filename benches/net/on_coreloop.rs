//! The sockets of coreloop.

#[expect(clippy::duplicate_mod, reason = "the same work with either library")]
#[path = "work.rs"]
pub(crate) mod work;

use coreloop::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use coreloop::spawn;
