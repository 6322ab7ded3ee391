//! [`Page`], the memory that a master and a worker share.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;

use crate::frame::Slot;
use crate::word::Word;

/// One word and one position for each slot of a worker.
#[derive(Debug)]
pub(crate) struct Page {}

impl Page {
    pub(crate) fn create() -> io::Result<(Self, OwnedFd)> {
        unimplemented!()
    }

    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        drop(descriptor);
        unimplemented!()
    }

    pub(crate) fn word(&self, slot: Slot) -> &Word {
        let _ = (self, slot);
        unimplemented!()
    }

    /// For a chunk: how many of its items have been started.
    pub(crate) fn position(&self, slot: Slot) -> &AtomicU64 {
        let _ = (self, slot);
        unimplemented!()
    }
}
