//! [`Home`], the process in which a value was made.
//!
//! A copy of the process, made by `fork`, has a copy of the value, and must not use what the value
//! stands for: a mapping that the copy does not have, or a lock that the original holds. The number
//! of a process does not tell the two apart. A copy in another PID namespace may have the same
//! one, and so may a copy of a copy, once the process between them has ended.
//!
//! So a process has a random number in a page that the kernel fills with zeros in each copy. Where
//! the system cannot do that, the number of the process has to do. It does not do for what would
//! make an access to memory undefined: that fails there, see [`Home::of_mapping`].

use std::io;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;

use crate::ipc::shared::missing_in_copies;
use crate::sys;

/// The process in which this value was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Home(Mark);

#[derive(Debug, Clone, Copy)]
enum Mark {
    /// Where the number of a process is, and the number of this one.
    Random(&'static AtomicU64, u64),
    Pid(u32),
}

impl Home {
    /// Returns the process that calls this.
    ///
    /// # Errors
    ///
    /// Returns an error if the system has no memory for a page now. Then nothing may be made that
    /// has a home: its copy might not be recognized.
    pub(crate) fn here() -> io::Result<Self> {
        match missing_in_copies() {
            Ok(page) => Ok(Self(Mark::Random(page, number(page)))),
            Err(error) if is_momentary(&error) => Err(error),
            Err(_) => Ok(Self(Mark::Pid(process::id()))),
        }
    }

    /// Returns the process that calls this, for a mapping that is not in copies.
    ///
    /// # Errors
    ///
    /// Returns an error if a copy cannot be recognized with certainty. It would use an address at
    /// which it has something else.
    pub(crate) fn of_mapping() -> io::Result<Self> {
        let page = missing_in_copies().map_err(|error| match is_momentary(&error) {
            true => error,
            false => io::Error::new(io::ErrorKind::Unsupported, error),
        })?;
        Ok(Self(Mark::Random(page, number(page))))
    }

    /// Returns whether this process is the one in which the value was made, and no copy.
    #[inline]
    pub(crate) fn is_here(self) -> bool {
        match self.0 {
            // The number of a process does not change, so a thread that has it has seen it stored.
            Mark::Random(page, number) => page.load(Ordering::Relaxed) == number,
            Mark::Pid(pid) => pid == process::id(),
        }
    }
}

/// Returns whether the system may have what is needed later. Otherwise it has no such pages.
fn is_momentary(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| matches!(errno, Errno::NOMEM | Errno::AGAIN))
}

/// Returns the number of this process, and makes one up if it has none yet.
fn number(page: &AtomicU64) -> u64 {
    match page.load(Ordering::Relaxed) {
        0 => {
            // The original has another number, because a copy does not repeat its random numbers.
            let new = sys::random().max(1);
            let stored = page.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
            stored.map_or_else(|number| number, |_zero| new)
        }
        number => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no advice for mappings")]
    fn all_threads_of_a_process_have_one_home() {
        let homes: Vec<_> = (0..4).map(|_| std::thread::spawn(Home::here)).collect();
        for home in homes {
            let home = home.join().unwrap().unwrap();
            assert!(home.is_here());
            if let (Mark::Random(_, one), Mark::Random(_, other)) =
                (home.0, Home::here().unwrap().0)
            {
                assert_eq!(one, other);
            }
        }
    }

    #[test]
    fn a_copy_has_a_number_of_its_own() {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let page = &NUMBER;
        let original = number(page);
        let home = Home(Mark::Random(page, original));
        assert!(home.is_here() && original != 0);
        // As the kernel does it.
        page.store(0, Ordering::Relaxed);
        assert!(!home.is_here());
        let copy = Home(Mark::Random(page, number(page)));
        assert!(copy.is_here() && !home.is_here());
        // A copy of the copy.
        page.store(0, Ordering::Relaxed);
        let _ = number(page);
        assert!(!copy.is_here() && !home.is_here());
    }

    #[test]
    fn a_pid_has_to_do_where_there_is_no_page() {
        assert!(Home(Mark::Pid(process::id())).is_here());
        assert!(!Home(Mark::Pid(process::id() + 1)).is_here());
    }
}
