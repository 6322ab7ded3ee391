//! Open file descriptions that were made non-blocking, and are made blocking again.
//!
//! `O_NONBLOCK` belongs to the open file description. Duplicates of the descriptor
//! share it, in this process and in others: the three standard streams on a terminal
//! usually share one description with the shell that has started the program. So the
//! flag is set for as long as an [`Async`](super::Async) needs it, and the last of
//! several clears it.
//!
//! Each description that was blocking is recorded with a duplicate of its descriptor.
//! The duplicate identifies the description when another descriptor of it arrives, and
//! makes it blocking in the end.
//!
//! # Invariants
//!
//! 1. A description is recorded while there is a [`Nonblocking`] with its number, and
//!    its count is the number of these.
//! 2. No user code runs while the list is locked.

use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FileType, OFlags, Stat, fcntl_getfl, fcntl_setfl};
use rustix::io::Result;
use slab::Slab;

use crate::engine::sys::{file_status, set_nonblocking};

/// The descriptions that this process has made non-blocking. The loops of several threads
/// may share a description.
static MADE_NONBLOCKING: Mutex<Slab<Description>> = Mutex::new(Slab::new());

/// An open file description that was blocking before.
struct Description {
    /// A descriptor of this module's own.
    duplicate: OwnedFd,
    /// Identifies the file, if its status is known.
    status: Option<Stat>,
    /// The number of [`Nonblocking`]s that have it.
    count: u32,
}

/// Keeps a description non-blocking that was blocking before.
#[derive(Debug)]
pub(super) struct Nonblocking {
    /// One more than the index of the description in the list.
    number: NonZeroU32,
}

impl Nonblocking {
    /// Makes a description non-blocking. Returns `None` if it was non-blocking before,
    /// unless this function had made it so.
    pub(super) fn make(descriptor: BorrowedFd<'_>) -> Result<Option<Self>> {
        let mut list = lock();
        let flags = fcntl_getfl(descriptor)?;
        let index = if flags.contains(OFlags::NONBLOCK) {
            let index = find(&list, descriptor, flags);
            if let Some(found) = index.and_then(|index| list.get_mut(index)) {
                found.count += 1;
            }
            index
        } else {
            set_nonblocking(descriptor, true)?;
            // If the system has no descriptor left for the duplicate, the description
            // stays non-blocking.
            let description = Description::new(descriptor);
            description.map(|description| list.insert(description))
        };
        let number = index.and_then(|index| u32::try_from(index + 1).ok());
        Ok(number
            .and_then(NonZeroU32::new)
            .map(|number| Self { number }))
    }
}

impl Drop for Nonblocking {
    fn drop(&mut self) {
        let index = self.number.get() as usize - 1;
        let mut list = lock();
        let Some(description) = list.get_mut(index) else {
            return;
        };
        description.count -= 1;
        if description.count == 0 {
            let description = list.remove(index);
            // This does not fail, because setting the mode before did not.
            let _ = set_nonblocking(description.duplicate.as_fd(), false);
        }
    }
}

impl Description {
    fn new(descriptor: BorrowedFd<'_>) -> Option<Self> {
        Some(Self {
            duplicate: descriptor.try_clone_to_owned().ok()?,
            status: file_status(descriptor),
            count: 1,
        })
    }

    fn is_same_file(&self, file: &Stat) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|own| own.st_dev == file.st_dev && own.st_ino == file.st_ino)
    }

    fn has_flags(&self, flags: OFlags) -> bool {
        fcntl_getfl(&self.duplicate).is_ok_and(|own| own == flags)
    }
}

/// Finds the index of the description that `descriptor` refers to, and that has
/// `flags`.
///
/// Few systems can compare descriptions. But a change of a description's flags is
/// visible through all its descriptors, and `O_APPEND` means nothing to a pipe, a
/// socket, a terminal or anything else that can be polled.
fn find(list: &Slab<Description>, descriptor: BorrowedFd<'_>, flags: OFlags) -> Option<usize> {
    if list.is_empty() {
        return None;
    }
    let file = file_status(descriptor)?;
    let alike = list
        .iter()
        .filter(|(_, other)| other.is_same_file(&file) && other.has_flags(flags));
    let alike: Vec<_> = alike.collect();
    let kind = FileType::from_raw_mode(file.st_mode);
    if alike.is_empty() || matches!(kind, FileType::RegularFile | FileType::BlockDevice) {
        return None;
    }
    let changed = flags ^ OFlags::APPEND;
    fcntl_setfl(descriptor, changed).ok()?;
    let same = alike
        .into_iter()
        .find(|(_, other)| other.has_flags(changed));
    // This does not fail, because the change did not.
    let _ = fcntl_setfl(descriptor, flags);
    same.map(|(index, _)| index)
}

fn lock() -> MutexGuard<'static, Slab<Description>> {
    MADE_NONBLOCKING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}
