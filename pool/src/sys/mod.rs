//! The differences between the systems that this crate runs on, behind one contract.
//!
//! Each system has a module that provides the items listed here. No other file of the crate
//! depends on the system that it is compiled for, except tests.
//!
//! | item | what it does |
//! |---|---|
//! | [`shared_memory`] | makes a file in memory that has no name, is closed on `exec`, and never shrinks |
//! | [`check_shared_memory`] | returns an error unless a descriptor is such a file, of at least some length |
//! | [`receive_flags`], [`close_on_exec`] | together have a received descriptor closed on `exec` |
//! | [`is_lack_of_room`] | whether the error of a read means that descriptors were lost, and that the bytes are still there |
//! | [`READS_STOP_AFTER_DESCRIPTORS`] | whether a read of a stream ends only after bytes with descriptors, or for lack of more bytes |
//! | [`send_flags`] | makes a send neither wait nor raise `SIGPIPE` |
//! | [`stream_pair`] | makes two connected Unix stream sockets that are closed on `exec` |
//! | [`raise_oom_score`] | asks the kernel to kill this process before its parent when memory runs out |

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
#[cfg(any(target_os = "linux", target_os = "android"))]
use linux as system;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod other;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use other as system;

pub(crate) use system::{
    READS_STOP_AFTER_DESCRIPTORS, check_shared_memory, close_on_exec, is_lack_of_room,
    raise_oom_score, receive_flags, send_flags, shared_memory, stream_pair,
};

use std::io;
use std::os::fd::OwnedFd;

/// Returns an error unless a file has at least this length.
fn check_length(file: &OwnedFd, length: usize) -> io::Result<()> {
    let has = rustix::fs::fstat(file)?.st_size;
    if u64::try_from(has).is_ok_and(|has| has >= length as u64) {
        Ok(())
    } else {
        Err(invalid(&format!("it has {has} bytes, not {length}")))
    }
}

fn invalid(why: &str) -> io::Error {
    let what = format!("the shared page of this worker is not usable: {why}");
    io::Error::new(io::ErrorKind::InvalidData, what)
}
