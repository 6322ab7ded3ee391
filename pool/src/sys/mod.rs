//! The differences between the systems that this crate runs on, behind one contract.
//!
//! Each system has a module that provides the items listed here. No other file of the crate
//! depends on the system that it is compiled for, except tests.
//!
//! | item | what it does |
//! |---|---|
//! | [`shared_memory`] | makes a file in memory that has no name, is closed on `exec`, and never shrinks |
//! | [`check_shared_memory`] | returns an error unless a descriptor is such a file, of at least some length |
//! | [`raise_oom_score`] | asks the kernel to kill this process before its parent when memory runs out |

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
#[cfg(any(target_os = "linux", target_os = "android"))]
use linux as system;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod other;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
use other as system;

pub(crate) use system::{check_shared_memory, raise_oom_score, shared_memory};

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
