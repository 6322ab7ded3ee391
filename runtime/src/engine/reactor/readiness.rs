//! What an event reports, and what a source remembers of it.

use crate::engine::reactor::interest::Interest;
use crate::engine::reactor::ready::{PRIORITY, Ready};
use crate::engine::sys::IS_EPOLL;

/// Reading or writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// What a source knows of its descriptor's readiness: a set of flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Readiness(u8);

impl Readiness {
    /// A read may succeed. Cleared when a read would block, or was short and so drained the
    /// descriptor.
    pub(super) const READABLE: Self = Self(1 << 0);
    /// A write may succeed. Cleared likewise.
    pub(super) const WRITABLE: Self = Self(1 << 1);
    /// A short read does not show that the descriptor is drained. Set when the peer has
    /// shut its side down, when there is an error to fetch, or when there is urgent data,
    /// at whose mark a read ends early. The kernel reports no further edge for what is
    /// left to read then. Never cleared.
    pub(super) const SHORT_READ_UNRELIABLE: Self = Self(1 << 2);
    /// A short write does not show that the next one would block: the descriptor is
    /// closed for writing, or there is an error to fetch. Never cleared.
    pub(super) const SHORT_WRITE_UNRELIABLE: Self = Self(1 << 3);
    /// The loop has ended, and the source is orphaned. Never cleared.
    pub(super) const LOOP_GONE: Self = Self(1 << 4);
    /// A wait for urgent data ends: there is some, or the peer will send no more.
    pub(super) const URGENT: Self = Self(1 << 5);
    /// A wait for an error ends: there is one to fetch.
    pub(super) const ERROR: Self = Self(1 << 6);

    /// Returns whether the two sets have a flag in common.
    pub(super) fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns the flags that an event sets.
    #[cold]
    pub(super) fn of(event: &mio::event::Event) -> Self {
        let mut readiness = Self(0);
        if event.is_readable() {
            readiness = readiness.union(Self::READABLE);
        }
        if event.is_writable() {
            readiness = readiness.union(Self::WRITABLE);
        }
        if event.is_read_closed() || event.is_priority() || event.is_error() {
            readiness = readiness
                .union(Self::READABLE)
                .union(Self::SHORT_READ_UNRELIABLE);
        }
        if event.is_read_closed() || event.is_priority() {
            readiness = readiness.union(Self::URGENT);
        }
        if event.is_error() {
            readiness = readiness.union(Self::ERROR);
        }
        if event.is_write_closed() || event.is_error() {
            readiness = readiness
                .union(Self::WRITABLE)
                .union(Self::SHORT_WRITE_UNRELIABLE);
        }
        readiness
    }
}

/// Returns what an event reports besides that a direction is ready.
pub(super) fn reported_by(event: &mio::event::Event) -> Ready {
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

/// Returns whether an event reports more than that a direction is ready.
#[inline]
pub(super) fn is_unusual(event: &mio::event::Event) -> bool {
    // With epoll, a descriptor that is closed for writing is also closed for reading, or
    // has an error.
    let closed_for_writing = !IS_EPOLL && event.is_write_closed();
    event.is_priority() | event.is_error() | event.is_read_closed() | closed_for_writing
}

impl From<Interest> for Readiness {
    /// Returns the flags that end a wait for `interest`.
    ///
    /// `SHORT_READ_UNRELIABLE` and `SHORT_WRITE_UNRELIABLE`, which a closed direction
    /// sets, are not among them: they are never cleared, and would end a wait after an
    /// operation that would block at once.
    fn from(interest: Interest) -> Self {
        let flags = [
            (interest.is_readable(), Self::READABLE),
            (interest.is_writable(), Self::WRITABLE),
            (interest.is_priority(), Self::URGENT),
            (interest.is_error(), Self::ERROR),
        ];
        let set = flags.iter().filter(|(is_set, _)| *is_set);
        set.fold(Self(0), |all, (_, flag)| all.union(*flag))
    }
}

impl Direction {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Read => Self::Write,
            Self::Write => Self::Read,
        }
    }

    /// Returns the flag for an operation that may succeed in this direction.
    pub(super) fn ready(self) -> Readiness {
        match self {
            Self::Read => Readiness::READABLE,
            Self::Write => Readiness::WRITABLE,
        }
    }

    /// Returns the flag for short transfers that do not show that the next one would block.
    pub(super) fn short_unreliable(self) -> Readiness {
        match self {
            Self::Read => Readiness::SHORT_READ_UNRELIABLE,
            Self::Write => Readiness::SHORT_WRITE_UNRELIABLE,
        }
    }
}
