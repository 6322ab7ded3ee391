//! [`Ready`]: what the kernel has reported.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Sub};

/// The readiness of a descriptor, as a set of flags.
///
/// # Examples
///
/// ```
/// use coreloop::io::Ready;
///
/// let ready = Ready::READABLE | Ready::READ_CLOSED;
/// assert!(ready.is_readable() && ready.is_read_closed() && !ready.is_writable());
/// assert!((ready - Ready::ALL).is_empty());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ready(u8);

impl Ready {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// A read may succeed.
    pub const READABLE: Self = Self(1 << 0);

    /// A write may succeed.
    pub const WRITABLE: Self = Self(1 << 1);

    /// The peer will send no more.
    pub const READ_CLOSED: Self = Self(1 << 2);

    /// No more can be written.
    pub const WRITE_CLOSED: Self = Self(1 << 3);

    /// There is urgent data.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub const PRIORITY: Self = PRIORITY;

    /// There is an error to fetch.
    pub const ERROR: Self = Self(1 << 5);

    /// All flags.
    pub const ALL: Self = Self(0b11_1111);

    /// Returns whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether a read may succeed, even if only to report the end of stream.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.intersects(Self::READABLE) || self.is_read_closed()
    }

    /// Returns whether a write may succeed, or would fail at once.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.intersects(Self::WRITABLE) || self.is_write_closed()
    }

    /// Returns whether the peer will send no more.
    #[must_use]
    pub const fn is_read_closed(self) -> bool {
        self.intersects(Self::READ_CLOSED)
    }

    /// Returns whether no more can be written.
    #[must_use]
    pub const fn is_write_closed(self) -> bool {
        self.intersects(Self::WRITE_CLOSED)
    }

    /// Returns whether there is urgent data.
    #[must_use]
    pub const fn is_priority(self) -> bool {
        self.intersects(PRIORITY)
    }

    /// Returns whether there is an error to fetch.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.intersects(Self::ERROR)
    }

    #[inline]
    pub(super) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    #[inline]
    pub(super) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The flag exists on all platforms, but is public only where the kernel reports it.
pub(super) const PRIORITY: Ready = Ready(1 << 4);

impl BitOr for Ready {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.union(other);
    }
}

impl BitAnd for Ready {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Ready {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.intersects(Self::READABLE), "READABLE"),
            (self.intersects(Self::WRITABLE), "WRITABLE"),
            (self.is_read_closed(), "READ_CLOSED"),
            (self.is_write_closed(), "WRITE_CLOSED"),
            (self.is_priority(), "PRIORITY"),
            (self.is_error(), "ERROR"),
        ];
        write_names(f, &names)
    }
}

/// Writes the names of the flags that are set, joined by `|`.
pub(super) fn write_names(
    f: &mut fmt::Formatter<'_>,
    names: &[(bool, &'static str)],
) -> fmt::Result {
    let mut set = names.iter().filter(|(is_set, _)| *is_set);
    let Some((_, first)) = set.next() else {
        return f.write_str("EMPTY");
    };
    f.write_str(first)?;
    set.try_for_each(|(_, name)| write!(f, " | {name}"))
}
