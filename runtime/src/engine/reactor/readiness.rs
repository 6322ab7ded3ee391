//! What an event tells, and what a source remembers of it.

use crate::engine::reactor::interest::Interest;
use crate::engine::reactor::ready::{PRIORITY, Ready};
use crate::engine::sys::IS_EPOLL;

/// One of the two ways that bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// What is known of a descriptor's readiness, as a set of flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Readiness(u8);

impl Readiness {
    /// A read may succeed: cleared when one would block, or came up short.
    pub(crate) const READABLE: Readiness = Readiness(1 << 0);
    /// A write may succeed: cleared likewise.
    pub(crate) const WRITABLE: Readiness = Readiness(1 << 1);
    /// A short read proves nothing any more: the peer has shut its side down,
    /// there is an error to fetch, or out-of-band data, at whose mark a read
    /// ends early. No further edge would tell of what is left. Never cleared.
    pub(crate) const SHORT_READ_UNRELIABLE: Readiness = Readiness(1 << 2);
    /// The same for writes.
    pub(crate) const SHORT_WRITE_UNRELIABLE: Readiness = Readiness(1 << 3);
    /// The loop is gone. Never cleared.
    pub(crate) const LOOP_GONE: Readiness = Readiness(1 << 4);
    /// Who waits for urgent data has something to see: some, or the end.
    pub(crate) const URGENT: Readiness = Readiness(1 << 5);
    /// Who waits for an error has one to fetch.
    pub(crate) const ERROR: Readiness = Readiness(1 << 6);

    pub(crate) fn intersects(self, other: Readiness) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn union(self, other: Readiness) -> Readiness {
        Readiness(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Readiness) -> Readiness {
        Readiness(self.0 & !other.0)
    }

    /// What an event tells.
    #[cold]
    pub(crate) fn of(event: &mio::event::Event) -> Readiness {
        let mut readiness = Readiness(0);
        if event.is_readable() {
            readiness = readiness.union(Readiness::READABLE);
        }
        if event.is_writable() {
            readiness = readiness.union(Readiness::WRITABLE);
        }
        if event.is_read_closed() || event.is_priority() || event.is_error() {
            readiness = readiness
                .union(Readiness::READABLE)
                .union(Readiness::SHORT_READ_UNRELIABLE);
        }
        if event.is_read_closed() || event.is_priority() {
            readiness = readiness.union(Readiness::URGENT);
        }
        if event.is_error() {
            readiness = readiness.union(Readiness::ERROR);
        }
        if event.is_write_closed() || event.is_error() {
            readiness = readiness
                .union(Readiness::WRITABLE)
                .union(Readiness::SHORT_WRITE_UNRELIABLE);
        }
        readiness
    }
}

/// What an event tells that goes beyond a side being ready.
pub(crate) fn reported_by(event: &mio::event::Event) -> Ready {
    let mut ready = Ready::EMPTY;
    if event.is_read_closed() {
        ready |= Ready::READ_CLOSED;
    }
    if event.is_write_closed() {
        ready |= Ready::WRITE_CLOSED;
    }
    if event.is_priority() {
        ready |= PRIORITY;
    }
    if event.is_error() {
        ready |= Ready::ERROR;
    }
    ready
}

/// Whether an event tells more than that a side is ready.
#[inline]
pub(crate) fn is_unusual(event: &mio::event::Event) -> bool {
    // Where there is epoll, a side that is closed for writing is either closed
    // for reading too, or has an error.
    let closed_for_writing = !IS_EPOLL && event.is_write_closed();
    event.is_priority() | event.is_error() | event.is_read_closed() | closed_for_writing
}

impl From<Interest> for Readiness {
    /// What ends a wait for `interest`. A side that is closed is no part of it: that
    /// stays, and a wait after an operation that would block must last.
    fn from(interest: Interest) -> Readiness {
        let flags = [
            (interest.is_readable(), Readiness::READABLE),
            (interest.is_writable(), Readiness::WRITABLE),
            (interest.is_priority(), Readiness::URGENT),
            (interest.is_error(), Readiness::ERROR),
        ];
        let set = flags.iter().filter(|(is_set, _)| *is_set);
        set.fold(Readiness(0), |all, (_, flag)| all.union(*flag))
    }
}

impl Direction {
    pub(crate) fn other(self) -> Direction {
        match self {
            Direction::Read => Direction::Write,
            Direction::Write => Direction::Read,
        }
    }

    pub(crate) fn ready(self) -> Readiness {
        match self {
            Direction::Read => Readiness::READABLE,
            Direction::Write => Readiness::WRITABLE,
        }
    }

    pub(crate) fn short_unreliable(self) -> Readiness {
        match self {
            Direction::Read => Readiness::SHORT_READ_UNRELIABLE,
            Direction::Write => Readiness::SHORT_WRITE_UNRELIABLE,
        }
    }
}
