//! [`Registration`]: the connection between an [`Async`](super::Async) and its loop.

use std::cell::{Cell, OnceCell};
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::engine::core::context;
use crate::engine::core::event_loop::EventLoop;
use crate::engine::reactor::gone;
use crate::engine::reactor::interest::Interest;
use crate::engine::reactor::readiness::Direction;
use crate::engine::reactor::source::Source;
use crate::io::counted;
use crate::io::nonblocking::Nonblocking;

/// The registration of a descriptor with its loop.
pub(super) struct Registration {
    pub(super) event_loop: Rc<EventLoop>,
    /// Set when an operation would block for the first time.
    pub(super) source: OnceCell<Rc<Source>>,
    /// Whether a read, or a write, was short while there was no source.
    short: [Cell<bool>; 2],
    mode: DeregisterMode,
    /// Present if the descriptor was blocking before. Dropped before the descriptor,
    /// whose destructor may rely on really closing it, which the duplicate would delay.
    pub(super) nonblocking: Option<Nonblocking>,
}

/// How a descriptor is deregistered, and whether other loops wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeregisterMode {
    /// By a system call, because the descriptor may stay open.
    Own,
    /// By closing the descriptor, right after its registration is dropped.
    UntilClosed,
    /// Like `UntilClosed`. The descriptor is counted among the open connections.
    Counted,
    /// By a system call. Other loops wait for the descriptor too, and an event has to
    /// wake only one of them.
    Exclusive,
}

impl Registration {
    /// Creates a registration with the current loop, without a source.
    #[inline]
    pub(super) fn new(mode: DeregisterMode) -> io::Result<Self> {
        let event_loop = context::with_current(Rc::clone).ok_or_else(|| {
            io::Error::other(
                "an I/O source made outside a coreloop runtime; make it in a task, in \
                 `block_on`, or while a guard of `Runtime::enter` is held",
            )
        })?;
        Ok(Self {
            event_loop,
            source: OnceCell::new(),
            short: Default::default(),
            mode,
            nonblocking: None,
        })
    }

    /// Returns the source, with the kernel watching `direction`.
    #[inline]
    pub(super) fn watched(
        &self,
        fd: BorrowedFd<'_>,
        direction: Direction,
    ) -> io::Result<&Rc<Source>> {
        match self.source.get() {
            Some(source) => {
                self.event_loop.reactor.watch(fd, source, direction)?;
                Ok(source)
            }
            None => self.register(fd, direction),
        }
    }

    /// Returns the source, with the kernel watching the directions that `interest`
    /// needs.
    pub(super) fn watched_for(
        &self,
        fd: BorrowedFd<'_>,
        interest: Interest,
    ) -> io::Result<&Rc<Source>> {
        let source = self.source.get();
        if !source.is_some_and(|source| source.satisfies(interest)) {
            self.may_wait()?;
        }
        if interest.is_writable() {
            let source = self.watched(fd, Direction::Write)?;
            // Errors are always reported, and urgent data is reported with reads.
            if interest
                .remove(Interest::WRITABLE | Interest::ERROR)
                .is_none()
            {
                return Ok(source);
            }
        }
        self.watched(fd, Direction::Read)
    }

    /// Registers the descriptor with the kernel, for the first time, so that a task can
    /// wait for `direction`.
    #[cold]
    fn register(&self, fd: BorrowedFd<'_>, direction: Direction) -> io::Result<&Rc<Source>> {
        // A source would record that `direction` is not ready, and this loop is not driven
        // to correct that. So later operations would fail without being tried.
        self.may_wait()?;
        let reactor = &self.event_loop.reactor;
        let source = match self.mode {
            DeregisterMode::Exclusive => reactor.register_exclusive(fd, direction)?,
            DeregisterMode::Own | DeregisterMode::UntilClosed | DeregisterMode::Counted => {
                reactor.register(fd, direction)?
            }
        };
        Ok(self.source.get_or_init(|| source))
    }

    /// Records a short transfer while there is no source.
    #[cold]
    pub(super) fn note_short(&self, direction: Direction) {
        self.short[direction as usize].set(true);
    }

    /// Returns whether a transfer in `direction` was short while there was no source.
    ///
    /// If so, the next operation waits without being tried. A reader usually reads again
    /// immediately and would get `WouldBlock`. If data did arrive meanwhile, the kernel
    /// could not report it without a source, but reports it when the descriptor is
    /// registered.
    #[cold]
    pub(super) fn was_short(&self, direction: Direction) -> bool {
        self.short[direction as usize].get() && !self.event_loop.reactor.is_closed()
    }

    /// Forgets a short transfer. Returns false if none was recorded.
    #[cold]
    pub(super) fn forget_short(&self, direction: Direction) -> bool {
        self.short[direction as usize].take()
    }

    /// Registers the task to be woken when `direction` becomes ready. If that fails without a
    /// source, and the operation was not tried because of [`was_short`](Self::was_short),
    /// wakes the task at once to try it.
    #[inline]
    pub(super) fn register_waker(
        &self,
        fd: BorrowedFd<'_>,
        direction: Direction,
        cx: &Context<'_>,
    ) -> Option<io::Error> {
        match self.watched(fd, direction) {
            Ok(source) => {
                if !source.wait_again(direction, cx) {
                    return self.register_new_waker(source, direction, cx);
                }
                None
            }
            Err(error) => self.registering_failed(error, direction, cx),
        }
    }

    /// Registers a task in place of another one.
    #[cold]
    fn register_new_waker(
        &self,
        source: &Source,
        direction: Direction,
        cx: &Context<'_>,
    ) -> Option<io::Error> {
        match self.may_wait() {
            Ok(()) => {
                source.register(direction, cx);
                None
            }
            Err(error) => self.registering_failed(error, direction, cx),
        }
    }

    /// Returns an error if an operation must not wait for the loop.
    ///
    /// It must not wait while another loop of the thread is driven by `block_on` or
    /// `shutdown`: this loop is not driven before that has finished, and a task of the
    /// other loop that waits for this loop could keep it from finishing.
    pub(super) fn may_wait(&self) -> io::Result<()> {
        if !self.event_loop.is_held_up() {
            return Ok(());
        }
        Err(io::Error::other(
            "this I/O source belongs to another coreloop runtime of this thread, which is not \
             driven while the thread is in `block_on` or `shutdown` of this one; make the \
             source in the runtime that uses it, or drive both by `Runtime::turn`",
        ))
    }

    /// Handles an error of registering. Returns the error, unless the operation was not
    /// tried yet: then wakes the task, so that it tries the operation.
    #[cold]
    fn registering_failed(
        &self,
        error: io::Error,
        direction: Direction,
        cx: &Context<'_>,
    ) -> Option<io::Error> {
        if !self.forget_short(direction) {
            return Some(error);
        }
        cx.waker().wake_by_ref();
        None
    }

    /// Returns what to do about the error of an operation in one direction.
    #[cold]
    pub(super) fn handle_error(&self, error: io::Error, direction: Direction) -> NotDone {
        let not_done = self.handle_error_with(error, |source| source.clear(direction));
        if let NotDone::Wait = not_done {
            // The operation was tried now, and would block.
            self.forget_short(direction);
        }
        not_done
    }

    /// Returns what to do about the error of an operation. `clear` records that it
    /// would block.
    pub(super) fn handle_error_with(
        &self,
        error: io::Error,
        clear: impl FnOnce(&Source),
    ) -> NotDone {
        match error.kind() {
            io::ErrorKind::WouldBlock => match self.source.get() {
                Some(source) if source.is_orphaned() => NotDone::Error(gone()),
                Some(source) => {
                    clear(source);
                    NotDone::Wait
                }
                None => NotDone::Wait,
            },
            io::ErrorKind::Interrupted => NotDone::Again,
            _ => {
                self.event_loop.tasks.budget.spend();
                NotDone::Error(error)
            }
        }
    }

    /// Ends a wait: spends the budget, and returns an error if the loop has ended.
    pub(super) fn finish_wait(&self, source: &Source) -> Poll<io::Result<()>> {
        self.event_loop.tasks.budget.spend();
        Poll::Ready(if source.is_orphaned() {
            Err(gone())
        } else {
            Ok(())
        })
    }

    /// Leaves events to other loops, until a task waits here again.
    #[cold]
    pub(super) fn leave_to_others(&self, fd: BorrowedFd<'_>) {
        if let Some(source) = self.source.get() {
            self.event_loop.reactor.suspend_exclusive(fd, source);
        }
    }

    /// Takes the descriptor off the loop, leaving it open.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.deregister(true)
    }

    /// Removes the source, if there is one.
    fn deregister(&mut self, stays_open: bool) -> io::Result<()> {
        match self.source.take() {
            Some(source) => self.event_loop.reactor.deregister(&source, stays_open),
            None => Ok(()),
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // It fails if the descriptor was closed elsewhere, and then nothing is left to
        // deregister.
        let is_closed_next = matches!(
            self.mode,
            DeregisterMode::UntilClosed | DeregisterMode::Counted
        );
        let _ = self.deregister(!is_closed_next);
        if self.mode == DeregisterMode::Counted {
            counted::closed();
        }
    }
}

/// The entry of a future in the list of a source's waiters. The future waits through a
/// shared reference.
pub(super) struct SharedWaiter {
    interest: Interest,
    /// The source and the key of the entry. `None` until the future has to wait.
    entry: Option<(Rc<Source>, usize)>,
}

impl SharedWaiter {
    pub(super) fn new(interest: Interest) -> Self {
        Self {
            interest,
            entry: None,
        }
    }

    pub(super) fn poll(&mut self, source: &Rc<Source>, cx: &Context<'_>) -> Poll<()> {
        if source.satisfies(self.interest) {
            return Poll::Ready(());
        }
        let interest = self.interest;
        let (source, key) = self
            .entry
            .get_or_insert_with(|| (Rc::clone(source), source.add_waiter(interest)));
        source.poll_waiter(*key, cx)
    }
}

impl Drop for SharedWaiter {
    fn drop(&mut self) {
        if let Some((source, key)) = self.entry.take() {
            source.remove_waiter(key);
        }
    }
}

/// Why an operation returned no value.
pub(super) enum NotDone {
    /// It returned `WouldBlock`, or was not tried because it is expected to.
    Wait,
    /// It was interrupted, and has to be tried again.
    Again,
    /// It was not tried: the budget is spent, and the task has been woken to poll again.
    Yield,
    /// It failed.
    Error(io::Error),
}
