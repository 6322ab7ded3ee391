//! Descriptors that other loops wait for too, of which the kernel wakes one
//! (`EPOLLEXCLUSIVE`). mio does not know such registrations, so they are made here, with
//! the token that it would use.
//!
//! **Invariant:** such a registration is for reads only. It cannot be changed, but
//! removed, and made anew.

use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

/// Where there are none, all loops are woken, by registrations as any other. Miri does
/// not know them either.
#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(miri))))]
mod foreign {
    use super::{BorrowedFd, Rc, io};
    use crate::engine::reactor::Reactor;
    use crate::engine::reactor::readiness::Direction;
    use crate::engine::reactor::source::Source;

    impl Reactor {
        pub(crate) fn register_exclusive(
            &self,
            fd: BorrowedFd<'_>,
            direction: Direction,
        ) -> io::Result<Rc<Source>> {
            self.register(fd, direction)
        }

        pub(crate) fn suspend_exclusive(&self, _fd: BorrowedFd<'_>, _source: &Source) {}

        pub(crate) fn resume_exclusive(
            &self,
            _fd: BorrowedFd<'_>,
            _source: &Source,
            _direction: Direction,
        ) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
mod linux {
    use std::os::fd::AsRawFd;

    use mio::{Interest, Token};
    use rustix::event::epoll::{self, EventData, EventFlags};

    use super::{BorrowedFd, Rc, io};
    use crate::engine::reactor::readiness::Direction;
    use crate::engine::reactor::source::Source;
    use crate::engine::reactor::{Reactor, token};

    /// What a source waits for whose registration was removed: no direction.
    const NOTHING: Interest = Interest::PRIORITY;

    impl Reactor {
        pub(crate) fn register_exclusive(
            &self,
            fd: BorrowedFd<'_>,
            direction: Direction,
        ) -> io::Result<Rc<Source>> {
            only_reads(direction)?;
            self.register_by(fd, direction, Interest::READABLE, true, |token| {
                self.add_exclusive(fd, token)
            })
        }

        /// Removes the registration, if it is exclusive, until a task waits again; not
        /// while a task waits, nor if `fd` is not the descriptor that was registered.
        pub(crate) fn suspend_exclusive(&self, fd: BorrowedFd<'_>, source: &Source) {
            if source.exclusive
                && source.fd == fd.as_raw_fd()
                && source.watches(Direction::Read)
                && !source.has_readers()
                && epoll::delete(self, fd).is_ok()
            {
                source.interest.set(NOTHING);
            }
        }

        /// Makes it anew. The kernel reports what has come meanwhile.
        #[cold]
        pub(crate) fn resume_exclusive(
            &self,
            fd: BorrowedFd<'_>,
            source: &Source,
            direction: Direction,
        ) -> io::Result<()> {
            only_reads(direction)?;
            self.add_exclusive(fd, token(source.index, source.generation))?;
            source.interest.set(Interest::READABLE);
            source.clear(direction);
            Ok(())
        }

        fn add_exclusive(&self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
            let flags = EventFlags::IN | EventFlags::ET | EventFlags::EXCLUSIVE;
            let data = EventData::new_u64(token.0 as u64);
            Ok(epoll::add(self, fd, data, flags)?)
        }
    }

    fn only_reads(direction: Direction) -> io::Result<()> {
        match direction {
            Direction::Read => Ok(()),
            Direction::Write => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "who waits for a descriptor that other loops have too can wait to read only",
            )),
        }
    }
}
