//! [`Page`], the memory that a master and one of its workers share.
//!
//! # Invariants
//!
//! 1. `contents` is the start of a shared, readable and writable mapping of `length` bytes,
//!    which is page aligned and at least as long as [`Contents`]. Only the drop of the
//!    `Page` unmaps it, and references into it borrow the `Page`.
//! 2. Every byte of the mapping is backed by the file for as long as the mapping exists: its
//!    size is checked, and it cannot shrink. On Linux the seals say so, and they are
//!    checked before the size. Elsewhere the file has no name, and only this program, which
//!    never shrinks it, has had its descriptor.
//! 3. The memory is only accessed as atomic numbers, by this process and by others. Every
//!    value of it is a valid `AtomicU64`, so another process can write nothing that makes an
//!    access undefined.
//! 4. A copy of this process, made by `fork`, has the same mapping. That breaks none of the
//!    above: it may write values, as any process that has the file may.
#![expect(
    unsafe_code,
    reason = "memory that two processes share is mapped and unmapped by hand"
)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::frame::{SLOTS, Slot};
use crate::sys;
use crate::word::Word;

/// One word and one position for each slot of a worker.
#[derive(Debug)]
pub(crate) struct Page {
    contents: NonNull<Contents>,
}

#[repr(C)]
struct Contents {
    words: [Word; SLOTS],
    positions: [AtomicU64; SLOTS],
}

/// The length of the file and of the mapping. No system has smaller pages. Where they are
/// larger, the kernel rounds the length of the mapping up.
const LENGTH: usize = 4096;

const _: () = assert!(size_of::<Contents>() <= LENGTH && align_of::<Contents>() <= LENGTH);

impl Page {
    /// Creates a page for a new worker: all its slots are free. The descriptor is for the
    /// worker, and can be closed when the worker has it.
    ///
    /// # Errors
    ///
    /// Returns an error if there are too many descriptors or too little memory.
    pub(crate) fn create() -> io::Result<(Self, OwnedFd)> {
        let descriptor = sys::shared_memory(LENGTH)?;
        Ok((Self::map(descriptor.as_fd())?, descriptor))
    }

    /// Maps the page that the master has created, and closes its descriptor.
    ///
    /// # Errors
    ///
    /// Returns an error if the descriptor is no such page: a file that could shrink, or one
    /// that is too short.
    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        sys::check_shared_memory(&descriptor, LENGTH)?;
        let page = Self::map(descriptor.as_fd());
        // The mapping does not need it.
        drop(descriptor);
        page
    }

    /// Maps a file that is as invariant 2 demands.
    fn map(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: this creates a new mapping at an address of the kernel's choice, so it
        // changes no memory that is in use.
        let start = unsafe {
            mmap(
                null_mut(),
                LENGTH,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                descriptor,
                0,
            )
        }?;
        let contents = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { contents })
    }

    fn contents(&self) -> &Contents {
        // SAFETY: invariants 1 and 2: the memory is mapped and backed while `self` is
        // borrowed, and aligned. Invariant 3: it is valid, and shared references to atomics
        // allow that others write to it.
        unsafe { self.contents.as_ref() }
    }

    /// Returns the word of a slot.
    ///
    /// # Panics
    ///
    /// Panics if `slot` is not below [`SLOTS`].
    pub(crate) fn word(&self, slot: Slot) -> &Word {
        &self.contents().words[slot]
    }

    /// Returns the position of a slot: for a chunk, how many of its items have been started.
    /// The value is input from another process, and has to be checked before it is used as an
    /// index.
    ///
    /// # Panics
    ///
    /// Panics if `slot` is not below [`SLOTS`].
    pub(crate) fn position(&self, slot: Slot) -> &AtomicU64 {
        &self.contents().positions[slot]
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: invariant 1: the mapping is this long, belongs to this value, and nothing
        // borrows from it any more.
        let unmapped = unsafe { munmap(self.contents.as_ptr().cast(), LENGTH) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

// SAFETY: the mapping belongs to the process and not to a thread, so any thread may unmap it
// or use its atomics.
unsafe impl Send for Page {}

// SAFETY: a shared `Page` only gives out shared references to atomics.
unsafe impl Sync for Page {}

#[cfg(all(test, not(miri)))] // Miri has no shared mappings.
mod tests {
    use std::fs::File;
    use std::rc::Rc;
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn both_sides_see_one_memory() {
        let (master, descriptor) = Page::create().unwrap();
        let worker = Page::from_descriptor(descriptor).unwrap();
        for slot in 0..SLOTS {
            assert!(!worker.word(slot).start(7));
            master.word(slot).queue(7);
            assert!(worker.word(slot).start(7));
            assert!(master.word(slot).has_started(7));
            worker
                .position(slot)
                .store(slot as u64 + 1, Ordering::Relaxed);
        }
        for slot in 0..SLOTS {
            let position = master.position(slot).load(Ordering::Relaxed);
            assert_eq!(position, slot as u64 + 1);
        }
    }

    #[test]
    fn the_page_outlives_its_descriptor_and_the_other_side() {
        let (master, descriptor) = Page::create().unwrap();
        let worker = Page::from_descriptor(descriptor).unwrap();
        master.word(3).queue(1);
        let shared = Rc::new(worker);
        let other = Rc::clone(&shared);
        drop((master, shared));
        assert!(other.word(3).start(1));
    }

    #[test]
    fn a_file_that_is_no_page_is_refused() {
        let ordinary = File::open(std::env::current_exe().unwrap()).unwrap();
        assert!(Page::from_descriptor(ordinary.into()).is_err());
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(Page::from_descriptor(socket.into()).is_err());
    }
}
