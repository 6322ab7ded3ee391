//! Exclusive registrations: several loops wait for one descriptor, and an event wakes one
//! of them (`EPOLLEXCLUSIVE`). On platforms without them the registrations are ordinary,
//! and an event wakes all loops.
//!
//! **Invariant:** an exclusive registration is for reads only. It cannot be changed, only
//! removed and created again.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;

use mio::{Interest, Token};

use crate::engine::reactor::readiness::Direction;
use crate::engine::reactor::source::Source;
use crate::engine::reactor::{Reactor, token};
use crate::engine::sys;

impl Reactor {
    /// Registers a descriptor exclusively, if the platform can. `direction` must be
    /// reading then.
    pub(crate) fn register_exclusive(
        &self,
        fd: BorrowedFd<'_>,
        direction: Direction,
    ) -> io::Result<Rc<Source>> {
        if !sys::IS_EXCLUSIVE {
            return self.register(fd, direction);
        }
        only_reads(direction)?;
        self.register_with(fd, direction, Interest::READABLE, true, |token| {
            self.add_exclusive(fd, token)
        })
    }

    /// Removes the registration of an exclusive source until a task waits for it again.
    /// Does nothing while a task waits, or if `fd` is not the descriptor that was
    /// registered.
    pub(crate) fn suspend_exclusive(&self, fd: BorrowedFd<'_>, source: &Source) {
        if source.exclusive
            && source.fd == fd.as_raw_fd()
            && source.watches(Direction::Read)
            && !source.has_readers()
            && sys::remove(self, fd).is_ok()
        {
            source.interest.set(sys::NO_DIRECTION);
        }
    }

    /// Registers a suspended exclusive source again. The kernel then reports what has
    /// become ready meanwhile.
    #[cold]
    pub(super) fn resume_exclusive(
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
        sys::add_exclusive(self, fd, token)
    }
}

/// Returns an error if `direction` is not reading.
fn only_reads(direction: Direction) -> io::Result<()> {
    match direction {
        Direction::Read => Ok(()),
        Direction::Write => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a descriptor that is shared with other loops can be waited for to read only",
        )),
    }
}
