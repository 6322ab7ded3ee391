//! System calls, and everything that depends on the platform.
//!
//! No other file of this crate asks which platform it is compiled for, except for public
//! methods that exist on some platforms only.
//!
//! # Required items
//!
//! Each platform has a file that provides these items. Code that several platforms share is in
//! the folder `shared`, where each file provides some of the items in one way.
//!
//! | item | contract |
//! |---|---|
//! | `socket`, `pair`, `accept` | Return sockets that are non-blocking and closed on `exec`. Writing to them raises no `SIGPIPE` if each call has the flag `NO_SIGPIPE`. |
//! | `NO_SIGPIPE` | The flag for calls that send. It is empty where a socket option has the same effect. |
//! | `limit_transfer` | Reduces the length of a buffer to what one call may be asked to read or write. |
//! | `send_many` | Sends datagrams until the system accepts no more, and returns how many it accepted. |
//! | `loses_one_connection` | Whether an error of `accept` that only this platform has concerns one connection, and not the listener. |
//! | `HAS_ABSTRACT_NAMES`, `abstract_address`, `abstract_target`, `abstract_name`, `abstract_sender` | Unix addresses that are no paths. The functions fail, or return `None`, where there are none. |
//! | `RECEIVE_DESCRIPTORS`, `close_on_exec` | The flags to receive descriptors with, and what is called for each descriptor that was received: together they have it closed on `exec`. |
//! | `keeps_bytes_without_descriptors` | Whether an error of a read from a stream means that descriptors were lost, and that the next read returns their bytes. |
//! | `peer_credentials` | Returns the ids of the process at the other end of a Unix socket, or the error `Unsupported`. |
//! | `KernelPipe`, `sendfile` | Move bytes without copying them. Where the system cannot, no pipe can be opened, and `sendfile` fails with an error that [`is_refusal`] recognizes. |
//!
//! Miri interprets one of these platforms, but lacks `KernelPipe` and `sendfile`, and the
//! system calls of `transfers`, in whose place it has the file `miri`:
//!
//! | item | contract |
//! |---|---|
//! | `receive`, `receive_into`, `send`, `send_list` | Read from or write to a socket, without waiting. |
//! | `REPORTS_END_AFTER_SHORT_READ` | Whether the poller reports the end of a TCP stream that a short read has reached. |

#[cfg(any(target_os = "android", target_os = "linux"))]
#[path = "linux/mod.rs"]
mod platform;

#[cfg(any(
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "illumos",
    target_os = "netbsd",
    target_os = "openbsd",
))]
#[path = "bsd.rs"]
mod platform;

#[cfg(target_vendor = "apple")]
#[path = "apple.rs"]
mod platform;

#[cfg(not(any(
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "illumos",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
    target_vendor = "apple",
)))]
#[path = "other.rs"]
mod platform;

#[cfg(not(miri))]
mod transfers;
#[cfg(miri)]
#[path = "miri.rs"]
mod transfers;

mod bytes;
mod descriptors;
mod internet;
pub(crate) mod tcp;
pub(crate) mod udp;
pub(crate) mod unix;

use std::io;

use rustix::io::Errno;

use self::platform::{abstract_sender, abstract_target};
use self::transfers::send_list;

pub(crate) use self::bytes::{MAX_BUFFERS, receive_vectored, send_vectored};
pub(crate) use self::descriptors::{
    MAX_DESCRIPTORS, Message, check_number, read_with_descriptors, receive_with_descriptors,
    send_with_descriptors,
};
pub(crate) use self::internet::{local_addr, peer_addr};
pub(crate) use self::platform::{
    HAS_ABSTRACT_NAMES, KernelPipe, NO_SIGPIPE, abstract_address, abstract_name, accept,
    limit_transfer, loses_one_connection, pair, peer_credentials, send_many, sendfile, socket,
};
#[cfg(any(feature = "hyper", feature = "tokio-io"))]
pub(crate) use self::transfers::receive_into;
pub(crate) use self::transfers::{REPORTS_END_AFTER_SHORT_READ, receive, send};

/// The ids of a process.
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) pid: Option<i32>,
}

/// Returns whether an error means that the system cannot splice these descriptors, or
/// cannot splice at all, so that the same bytes can be copied instead.
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
    )
}
