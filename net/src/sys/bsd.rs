//! The BSDs except Apple's systems, and illumos, whose socket calls are like theirs.

#[cfg(not(target_os = "illumos"))]
#[path = "shared/peereid.rs"]
mod credentials;
#[cfg(target_os = "illumos")]
#[path = "shared/no_credentials.rs"]
mod credentials;
#[path = "shared/datagram_by_datagram.rs"]
mod datagrams;
#[cfg(not(target_os = "illumos"))]
#[path = "shared/descriptors_with_flag.rs"]
mod descriptors;
#[cfg(target_os = "illumos")]
#[path = "shared/descriptors_in_steps.rs"]
mod descriptors;
#[path = "shared/no_abstract_names.rs"]
mod names;
#[path = "shared/sockets_with_flags.rs"]
mod sockets;
#[path = "shared/no_splice.rs"]
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

/// This platform has no further errors.
pub(crate) fn loses_one_connection(_: Errno) -> bool {
    false
}

/// The system closes descriptors for which there is no room, and leaves the bytes that came
/// with them in the stream.
pub(crate) fn keeps_bytes_without_descriptors(error: Errno) -> bool {
    matches!(error, Errno::MSGSIZE | Errno::MFILE)
}
