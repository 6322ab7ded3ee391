//! Linux, and Android.

mod credentials;
mod names;

#[path = "../shared/descriptors_with_flag.rs"]
mod descriptors;
#[path = "../shared/sockets_with_flags.rs"]
mod sockets;

#[cfg(target_os = "linux")]
#[path = "sendmmsg.rs"]
mod datagrams;
#[cfg(target_os = "android")]
#[path = "../shared/datagram_by_datagram.rs"]
mod datagrams;

#[cfg(not(miri))]
mod splice;
#[cfg(miri)]
#[path = "../shared/no_splice.rs"]
mod splice;

use rustix::io::Errno;
use rustix::net::SendFlags;

pub(crate) use self::credentials::peer_credentials;
pub(crate) use self::datagrams::send_many;
pub(crate) use self::descriptors::{RECEIVE_DESCRIPTORS, close_on_exec};
pub(crate) use self::names::{
    HAS_ABSTRACT_NAMES, abstract_address, abstract_name, abstract_sender, abstract_target,
};
pub(crate) use self::sockets::{accept, pair, socket};
pub(crate) use self::splice::{KernelPipe, sendfile};

pub(crate) const NO_SIGPIPE: SendFlags = SendFlags::NOSIGNAL;

/// One call may transfer any number of bytes.
#[inline]
pub(crate) fn limit_transfer(length: usize) -> usize {
    length
}

/// accept(2) lists `ENONET`, which only Linux has, with the errors after which to try again.
pub(crate) fn loses_one_connection(error: Errno) -> bool {
    error == Errno::NONET
}

/// The bytes come at once, with the flag `MSG_CTRUNC`.
pub(crate) fn keeps_bytes_without_descriptors(_: Errno) -> bool {
    false
}
