//! The name of a task among all of the process.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies a task among all that this process ever spawned.
///
/// Ids are for telling tasks apart in logs and maps; their order means nothing.
///
/// # Examples
///
/// ```
/// # coreloop::block_on(async {
/// let handle = coreloop::spawn(async { coreloop::task::id() });
/// let id = handle.id();
/// assert_eq!(handle.await.unwrap(), id);
/// # })
/// ```
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Id {
    /// An id for a task that another thread may ask for, or for blocking work.
    /// These ascend.
    pub(crate) fn fresh() -> Id {
        Id(FREE.fetch_add(1, Ordering::Relaxed))
    }
}

/// The first id that is not given out. 2^64 ids outlast the process.
static FREE: AtomicU64 = AtomicU64::new(1);

/// Ids are handed to loops by the block, so that a spawn needs no atomic.
const BLOCK: u64 = 1 << 16;

/// Gives out ids for one loop.
#[derive(Debug)]
pub(crate) struct Ids {
    next: Cell<u64>,
    end: Cell<u64>,
}

impl Ids {
    pub(crate) fn new() -> Ids {
        Ids {
            next: Cell::new(0),
            end: Cell::new(0),
        }
    }

    #[inline]
    pub(crate) fn next(&self) -> Id {
        if self.next.get() == self.end.get() {
            self.refill();
        }
        let id = self.next.get();
        self.next.set(id + 1);
        Id(id)
    }

    #[cold]
    fn refill(&self) {
        let start = FREE.fetch_add(BLOCK, Ordering::Relaxed);
        self.next.set(start);
        self.end.set(start + BLOCK);
    }
}
