//! [`Interest`]: what to wait for.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use crate::engine::reactor::ready::{self, Ready};

/// A condition to wait for on a descriptor, or several joined by `|`.
///
/// # Examples
///
/// ```
/// use coreloop::io::Interest;
///
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.is_readable() && both.is_writable());
/// assert_eq!(both.remove(Interest::WRITABLE), Some(Interest::READABLE));
/// assert_eq!(both.remove(both), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(u8);

const READABLE: u8 = 1 << 0;
const WRITABLE: u8 = 1 << 1;
const PRIORITY: u8 = 1 << 2;
const ERROR: u8 = 1 << 3;

impl Interest {
    /// Interest in reading: a read may succeed, or the peer has closed its side.
    pub const READABLE: Self = Self(READABLE);

    /// Interest in writing: a write may succeed, or this side is closed for writing.
    pub const WRITABLE: Self = Self(WRITABLE);

    /// Interest in urgent data. Reported on Linux and Android only.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub const PRIORITY: Self = Self(PRIORITY);

    /// Interest in errors: there is an error to fetch.
    pub const ERROR: Self = Self(ERROR);

    /// Returns whether this includes reads.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.0 & READABLE != 0
    }

    /// Returns whether this includes writes.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }

    /// Returns whether this includes urgent data.
    #[must_use]
    pub const fn is_priority(self) -> bool {
        self.0 & PRIORITY != 0
    }

    /// Returns whether this includes errors.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 & ERROR != 0
    }

    /// Returns this and `other` together, like `|`.
    #[must_use]
    pub const fn add(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns this without `other`, or `None` if nothing is left.
    #[must_use]
    pub const fn remove(self, other: Self) -> Option<Self> {
        match self.0 & !other.0 {
            0 => None,
            left => Some(Self(left)),
        }
    }

    /// Returns the readiness that is reported for this interest, including that a side
    /// is closed.
    pub(super) const fn reported(self) -> Ready {
        let mut ready = Ready::EMPTY;
        if self.is_readable() {
            ready = ready.union(Ready::READABLE).union(Ready::READ_CLOSED);
        }
        if self.is_writable() {
            ready = ready.union(Ready::WRITABLE).union(Ready::WRITE_CLOSED);
        }
        if self.is_priority() {
            ready = ready.union(ready::PRIORITY).union(Ready::READ_CLOSED);
        }
        if self.is_error() {
            ready = ready.union(Ready::ERROR);
        }
        ready
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.add(other)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.add(other);
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.is_readable(), "READABLE"),
            (self.is_writable(), "WRITABLE"),
            (self.is_priority(), "PRIORITY"),
            (self.is_error(), "ERROR"),
        ];
        ready::write_names(f, &names)
    }
}
