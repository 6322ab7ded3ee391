//! The checks of a receiver, for the fuzz target `shared`.

use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU32;

use super::{SharedAtomics, SharedSlice, check};
use crate::ipc::decode;
use crate::sys::MemoryFile;

/// What the kernel might say about a file.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Whether the size can never change.
    pub has_fixed_size: bool,
    /// Whether neither the size nor the contents can ever change.
    pub has_fixed_contents: bool,
    /// The size.
    pub size: u64,
    /// How many bytes of the contents have memory.
    pub allocated: u64,
}

impl File {
    fn found(self) -> MemoryFile {
        MemoryFile {
            has_fixed_size: self.has_fixed_size,
            has_fixed_contents: self.has_fixed_contents,
            size: self.size,
            is_rounded: false,
            allocated: self.allocated,
        }
    }

    /// Returns the length of the slice of the file, if the file is accepted as one.
    #[must_use]
    pub fn as_slice(self, length: u64, element: usize) -> Option<usize> {
        check::contents(&self.found(), length, element).ok()
    }

    /// Returns how many atomic numbers the file has, if it is accepted as such.
    #[must_use]
    pub fn as_atomics(self, length: u64, element: usize) -> Option<usize> {
        check::size(&self.found(), length, element).ok()
    }
}

/// Decodes a slice.
///
/// # Errors
///
/// Returns the reason if the message is no slice.
pub fn receive_slice(
    message: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<SharedSlice<u32>, String> {
    decode(message, descriptors)
}

/// Decodes atomic numbers.
///
/// # Errors
///
/// Returns the reason if the message has no atomic numbers.
pub fn receive_atomics(
    message: &[u8],
    descriptors: Vec<OwnedFd>,
) -> Result<SharedAtomics<AtomicU32>, String> {
    decode(message, descriptors)
}
