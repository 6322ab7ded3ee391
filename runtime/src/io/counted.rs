//! Counts of the connections that the listeners of a supervised worker accept.
//!
//! A descriptor stays on the thread whose loop it is on, so the counts need no
//! synchronization. Only putting a descriptor on a loop and taking it off change them, so
//! reads and writes cost nothing.

use std::cell::Cell;

thread_local! {
    static COUNTS: Cell<ConnectionCounts> = const {
        Cell::new(ConnectionCounts {
            accepted: 0,
            open: 0,
        })
    };
}

/// How many descriptors were put on a loop of this thread by
/// [`Async::from_owned_counted`](super::Async::from_owned_counted).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// How many were put on a loop.
    pub accepted: u64,
    /// How many of these are still on it.
    pub open: u64,
}

/// Returns the counts of this thread.
#[must_use]
pub fn connection_counts() -> ConnectionCounts {
    COUNTS.get()
}

pub(super) fn accepted() {
    let ConnectionCounts { accepted, open } = COUNTS.get();
    COUNTS.set(ConnectionCounts {
        accepted: accepted + 1,
        open: open + 1,
    });
}

pub(super) fn closed() {
    let counts = COUNTS.get();
    COUNTS.set(ConnectionCounts {
        open: counts.open - 1,
        ..counts
    });
}
