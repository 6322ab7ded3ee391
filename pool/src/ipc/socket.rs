//! [`Socket`], a socket that is put on the loop when a task first waits for it.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use coreloop_runtime::io::Async;

/// A socket that the loop watches once a task has waited for it. If the task of another loop of
/// this thread uses it, it moves to that loop.
///
/// The socket itself stays blocking, so that code without a loop can wait for it in the
/// kernel: operations on the loop have to say that they do not wait, by `MSG_DONTWAIT`. That
/// also leaves it as it is for a process that has a duplicate.
pub(crate) struct Socket {
    descriptor: Rc<OwnedFd>,
    /// Never borrowed while user code runs: the registration is cloned out.
    registered: RefCell<Option<Rc<Async<Rc<OwnedFd>>>>>,
}

impl Socket {
    pub(crate) fn new(descriptor: OwnedFd) -> Self {
        Self {
            descriptor: Rc::new(descriptor),
            registered: RefCell::new(None),
        }
    }

    /// Returns the socket on the current loop.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no current runtime.
    pub(crate) fn on_loop(&self) -> io::Result<Rc<Async<Rc<OwnedFd>>>> {
        if let Some(registered) = &*self.registered.borrow()
            && registered.is_on_current_loop()
        {
            return Ok(Rc::clone(registered));
        }
        let new = Rc::new(Async::from_nonblocking(Rc::clone(&self.descriptor))?);
        let old = self.registered.replace(Some(Rc::clone(&new)));
        drop(old);
        Ok(new)
    }

    /// Takes the socket off its loop.
    pub(crate) fn into_descriptor(self) -> io::Result<OwnedFd> {
        let Self {
            descriptor,
            registered,
        } = self;
        drop(registered);
        Rc::try_unwrap(descriptor).or_else(|shared| shared.try_clone())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.descriptor.fmt(f)
    }
}
