//! [`Page`], the memory that a master and one of its workers share.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;

use crate::frame::{SLOTS, Slot};
use crate::ipc::Cells;
use crate::word::Word;

/// One word and one position for each slot of a worker.
#[derive(Debug)]
pub(crate) struct Page {
    cells: Cells<[[AtomicU64; SLOTS]; 2]>,
}

const WORDS: usize = 0;
const POSITIONS: usize = 1;

impl Page {
    /// Creates a page for a new worker: all its slots are free. The descriptor is for the
    /// worker, and can be closed when the worker has it.
    ///
    /// # Errors
    ///
    /// Returns an error if there are too many descriptors or too little memory.
    pub(crate) fn create() -> io::Result<(Self, OwnedFd)> {
        let (cells, descriptor) = Cells::create(1)?;
        Ok((Self { cells }, descriptor))
    }

    /// Maps the page that the master has created, and closes its descriptor.
    ///
    /// # Errors
    ///
    /// Returns an error if the descriptor is no such page: a file that could shrink, or one
    /// that is too short.
    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        let cells = Cells::open(&descriptor, 1)?;
        // The mapping does not need it.
        drop(descriptor);
        Ok(Self { cells })
    }

    /// Returns the word of a slot.
    ///
    /// # Panics
    ///
    /// Panics if `slot` is not below [`SLOTS`].
    #[inline]
    pub(crate) fn word(&self, slot: Slot) -> Word<&AtomicU64> {
        Word::of(&self.cells.first()[WORDS][slot])
    }

    /// Returns the position of a slot: for a chunk, how many of its items have been started.
    /// The value is input from another process, and has to be checked before it is used as an
    /// index.
    ///
    /// # Panics
    ///
    /// Panics if `slot` is not below [`SLOTS`].
    #[inline]
    pub(crate) fn position(&self, slot: Slot) -> &AtomicU64 {
        &self.cells.first()[POSITIONS][slot]
    }
}

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
