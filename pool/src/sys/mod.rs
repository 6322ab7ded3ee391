//! The differences between the systems that this crate runs on, behind one contract.
//!
//! Each system has a module that provides the items listed here. No other file of the crate
//! depends on the system that it is compiled for, except tests.
//!
//! | item | what it does |
//! |---|---|
//! | [`blank_memory`] | makes a file in memory that has no name, is closed on `exec`, and is zero |
//! | [`fix_size`] | makes the size of such a file constant for ever |
//! | [`exclude_writers`] | makes the size of such a file constant, and lets only the mappings that exist write to it, where the system can |
//! | [`fix_contents`] | makes the size and the contents of such a file constant for ever |
//! | [`HAS_FIXED_CONTENTS`] | whether the system has `fix_contents` |
//! | [`inspect`] | returns what is constant about the file of a descriptor, and its size |
//! | [`NOT_IN_COPIES`] | the advice that keeps a mapping out of copies made by `fork`, if there is one |
//! | [`WIPED_IN_COPIES`] | the advice that fills a private mapping with zeros in such copies, if there is one |
//! | [`READS_STOP_AFTER_DESCRIPTORS`] | whether a read of a stream ends only after bytes with descriptors, or for lack of more bytes |
//! | [`send_flags`] | makes a send neither wait nor raise `SIGPIPE` |
//! | [`stream_pair`] | makes two connected Unix stream sockets that are closed on `exec` |
//! | [`packet_pair`] | makes two connected Unix sockets that send whole packets and are closed on `exec` |
//! | [`is_full`] | whether the error of a send means that the socket has no room now |
//! | [`message_file`] | makes an empty file that has no name and is closed on `exec`, for a long message |
//! | [`random`] | returns a number that no other process can guess |
//! | [`raise_oom_score`] | asks the kernel to kill this process before its parent when memory runs out |

use std::hash::{BuildHasher, RandomState};
use std::process;
use std::time::Instant;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
#[cfg(any(target_os = "linux", target_os = "android"))]
use linux as system;

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
mod memfd;
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
use memfd as memory;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod other;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use other as system;

pub(crate) mod broker;

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
mod shm;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
use shm as memory;

pub(crate) use memory::{
    HAS_FIXED_CONTENTS, blank_memory, exclude_writers, fix_contents, fix_size, inspect,
    message_file,
};
pub(crate) use system::{
    NOT_IN_COPIES, READS_STOP_AFTER_DESCRIPTORS, WIPED_IN_COPIES, is_full, packet_pair,
    raise_oom_score, send_flags, stream_pair,
};

/// Returns a random number that no other program can guess, and that a copy of this process, made
/// by `fork`, cannot either.
pub(crate) fn random() -> u64 {
    system::random_bytes().map_or_else(
        // The keys of the hasher are random bytes of the system. A copy has the same keys, but
        // another number, or another time.
        || RandomState::new().hash_one((process::id(), Instant::now())),
        u64::from_ne_bytes,
    )
}

/// What [`inspect`] has found out about a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryFile {
    /// No process can change the size any more.
    pub(crate) has_fixed_size: bool,
    /// No process can change the size or the contents any more.
    pub(crate) has_fixed_contents: bool,
    /// The size in bytes, which was read after the above.
    pub(crate) size: u64,
    /// Whether the system may have rounded the size up.
    pub(crate) is_rounded: bool,
    /// How many bytes of a file have memory, if its contents are constant. If they are fewer than
    /// the size, reading the file allocates memory. It is the largest number on systems that do
    /// not say.
    pub(crate) allocated: u64,
}
