//! Shared memory in one process, encoded and decoded as a message would be.

mod array;
mod atomics;
mod impostor;
mod random;
mod refused;
mod sealed;
mod slice;

use std::os::fd::OwnedFd;

use bytemuck::{AnyBitPattern, NoUninit};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Atomic, SharedAtomics, SharedSlice};
use crate::ipc::{decode, encode};

/// The seals of a slice.
const ALL: SealFlags = SealFlags::WRITE
    .union(SealFlags::SHRINK)
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// Sends a value to this process.
fn pass<T: Serialize + DeserializeOwned>(value: &T) -> Result<T, String> {
    let mut bytes = Vec::new();
    let descriptors = encode(value, &mut bytes)?;
    decode(&bytes, descriptors)
}

/// Receives a slice of `length` values in this file, as a hostile process might send it.
fn receive_slice<T: AnyBitPattern + NoUninit>(
    file: OwnedFd,
    length: u64,
) -> Result<SharedSlice<T>, String> {
    let bytes = postcard::to_stdvec(&(0_u32, 0_u32, length)).unwrap();
    decode(&bytes, vec![file])
}

/// Receives atomic numbers in this file, as a hostile process might send them.
fn receive_atomics<A: Atomic>(file: OwnedFd, length: u64) -> Result<SharedAtomics<A>, String> {
    let bytes = postcard::to_stdvec(&Some((0_u32, length))).unwrap();
    decode(&bytes, vec![file])
}

/// Makes a file in memory with these seals. It has memory for `allocated` bytes.
fn file(size: u64, allocated: u64, seals: SealFlags) -> OwnedFd {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create(c"test", flags).unwrap();
    if allocated > 0 {
        rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, allocated).unwrap();
    }
    rustix::fs::ftruncate(&file, size).unwrap();
    rustix::fs::fcntl_add_seals(&file, seals).unwrap();
    file
}
