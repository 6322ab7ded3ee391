//! [`Payload`], an item as the queue keeps it, and [`Memory`], what it shares with a client.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;

use super::state::Size;
use crate::ipc::Cells;
use crate::ipc::broker::state::{Call, Violation};
use crate::ipc::wire::rights::{Descriptors, Lost};

/// What each item takes apart from its bytes, about.
const OVERHEAD: usize = 128;

/// An item. Copies share the bytes and the descriptors.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    bytes: Rc<[u8]>,
    /// `None` if it has no descriptors.
    descriptors: Option<Rc<Descriptors>>,
}

impl Payload {
    pub(super) fn new(bytes: &[u8], descriptors: Descriptors) -> Self {
        let has_some = !matches!(&descriptors, Ok(none) if none.is_empty());
        Self {
            bytes: Rc::from(bytes),
            descriptors: has_some.then(|| Rc::new(descriptors)),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns duplicates of the descriptors, because the item may come back. They are lost if
    /// the process has too many.
    pub(super) fn duplicates(&self) -> Descriptors {
        let Some(descriptors) = &self.descriptors else {
            return Ok(Vec::new());
        };
        let descriptors = descriptors.as_ref().as_ref().map_err(|Lost| Lost)?;
        let duplicates = descriptors.iter().map(OwnedFd::try_clone).collect();
        let duplicates: std::io::Result<_> = duplicates;
        duplicates.map_err(|_| Lost)
    }
}

impl Size for Payload {
    fn size(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }

    fn has_descriptors(&self) -> bool {
        self.descriptors.is_some()
    }
}

/// Words that a queue and a client share.
#[derive(Debug)]
pub(super) struct Memory(Cells<AtomicU64>);

impl Memory {
    /// Creates words for a client. The descriptor is for the queue.
    pub(super) fn create(words: usize) -> std::io::Result<(Self, OwnedFd)> {
        let (cells, file) = Cells::create(words)?;
        Ok((Self(cells), file))
    }

    /// Maps the words that came with a request. Returns `None` if there is no memory for it, or if
    /// the descriptor was lost.
    ///
    /// # Errors
    ///
    /// Returns an error if the request has another number of descriptors.
    pub(super) fn of(call: &mut Call<'_>, words: usize) -> Result<Option<Self>, Violation> {
        let descriptors = std::mem::replace(&mut call.descriptors, Ok(Vec::new()));
        let Ok(descriptors) = descriptors else {
            return Ok(None);
        };
        let [file] = &descriptors[..] else {
            return Err(Violation("the words of a client are missing"));
        };
        Ok(Cells::open(file, words as u64).ok().map(Self))
    }
}

impl AsRef<[AtomicU64]> for Memory {
    fn as_ref(&self) -> &[AtomicU64] {
        self.0.as_slice()
    }
}
