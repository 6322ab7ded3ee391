//! Task ids, which are unique in the process.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// An id of a task, unique among all tasks that this process has ever spawned.
///
/// Use ids to distinguish tasks in logs and maps; their order means nothing.
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
    /// Returns a new id, for a task that another thread spawns, or for blocking work. It is
    /// greater than all ids that this function returned before.
    pub(crate) fn fresh() -> Self {
        Self(FREE.fetch_add(1, Ordering::Relaxed))
    }
}

/// The first unused id. A process cannot use up 2^64 ids.
static FREE: AtomicU64 = AtomicU64::new(1);

/// The number of ids that a loop takes at a time, so that a spawn needs no atomic.
const BLOCK: u64 = 1 << 16;

/// The source of ids of one loop.
#[derive(Debug)]
pub(super) struct Ids {
    next: Cell<u64>,
    end: Cell<u64>,
}

impl Ids {
    pub(super) fn new() -> Self {
        Self {
            next: Cell::new(0),
            end: Cell::new(0),
        }
    }

    /// Returns a new id.
    #[inline]
    pub(super) fn next(&self) -> Id {
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
