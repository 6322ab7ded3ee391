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
use crate::io::nonblocking::Nonblocking;

/// The registration of a descriptor with its loop.
pub(super) struct Registration {
    pub(super) event_loop: Rc<EventLoop>,
    /// Set when an operation would block for the first time.
    pub(super) source: OnceCell<Rc<Source>>,
    /// Whether a short read, or a short write, was seen before there was a source.
    short: [Cell<bool>; 2],
    mode: DeregisterMode,
    /// Present if the descriptor was blocking before. Dropped before the descriptor,
    /// whose destructor may rely on really closing it, which the duplicate would delay.
    pub(super) nonblocking: Option<Nonblocking>,
}

/// What a loop may assume about a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeregisterMode {
    /// Nothing.
    Own,
    /// The descriptor is closed right after its registration is dropped.
    UntilClosed,
    /// Other loops wait for the descriptor too, and waking one of them is enough.
    Exclusive,
}

impl Registration {
    #[inline]
    pub(super) fn new(mode: DeregisterMode) -> io::Result<Registration> {
        let event_loop = context::with_current(Rc::clone).ok_or_else(|| {
            io::Error::other(
                "an I/O source made outside a coreloop runtime; make it in a task, in \
                 `block_on`, or while a guard of `Runtime::enter` is held",
            )
        })?;
        Ok(Registration {
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

    #[cold]
    fn register(&self, fd: BorrowedFd<'_>, direction: Direction) -> io::Result<&Rc<Source>> {
        let reactor = &self.event_loop.reactor;
        let source = match self.mode {
            DeregisterMode::Exclusive => reactor.register_exclusive(fd, direction)?,
            DeregisterMode::Own | DeregisterMode::UntilClosed => reactor.register(fd, direction)?,
        };
        Ok(self.source.get_or_init(|| source))
    }

    /// Records a short transfer while there is no source.
    #[cold]
    pub(super) fn note_short(&self, direction: Direction) {
        self.short[direction as usize].set(true);
    }

    /// Returns whether there was a short transfer, and no source since.
    ///
    /// If so, the next operation waits without a system call. No event can have been
    /// reported meanwhile. But a reader usually reads again immediately, and would get
    /// `WouldBlock`; and if data did arrive, registering reports it.
    #[cold]
    pub(super) fn was_short(&self, direction: Direction) -> bool {
        self.short[direction as usize].get() && !self.event_loop.reactor.is_closed()
    }

    /// Forgets a short transfer. Returns false if there was none.
    #[cold]
    pub(super) fn forget_short(&self, direction: Direction) -> bool {
        self.short[direction as usize].take()
    }

    /// Registers the task to be woken when `direction` becomes ready. If that fails and
    /// the operation was not tried yet, wakes the task at once to try it.
    #[inline]
    pub(super) fn register_waker(
        &self,
        fd: BorrowedFd<'_>,
        direction: Direction,
        cx: &Context<'_>,
    ) -> Option<io::Error> {
        match self.watched(fd, direction) {
            Ok(source) => {
                if !source.is_registered(direction, cx) {
                    return self.register_anew(source, direction, cx);
                }
                None
            }
            Err(error) => self.not_watched(error, direction, cx),
        }
    }

    #[cold]
    fn register_anew(
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
            Err(error) => self.not_watched(error, direction, cx),
        }
    }

    /// Returns an error if an operation must not wait for the loop.
    ///
    /// It must not if another loop of the thread is driven until something is finished:
    /// the operation would keep that loop from finishing, and this loop is not driven
    /// before.
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

    #[cold]
    fn not_watched(
        &self,
        error: io::Error,
        direction: Direction,
        cx: &Context<'_>,
    ) -> Option<io::Error> {
        if !self.forget_short(direction) {
            return Some(error);
        }
        // The operation was not tried yet.
        cx.waker().wake_by_ref();
        None
    }

    /// Returns what to do about the error of an operation in one direction.
    #[cold]
    pub(super) fn failed(&self, error: io::Error, direction: Direction) -> Failure {
        let failure = self.failure(error, |source| source.clear(direction));
        if let Failure::Wait = failure {
            // The operation was tried, which need not be repeated.
            self.forget_short(direction);
        }
        failure
    }

    /// Returns what to do about the error of an operation. `clear` records that it
    /// would block.
    pub(super) fn failure(&self, error: io::Error, clear: impl FnOnce(&Source)) -> Failure {
        match error.kind() {
            io::ErrorKind::WouldBlock => match self.source.get() {
                Some(source) if source.is_closed() => Failure::Error(gone()),
                Some(source) => {
                    clear(source);
                    Failure::Wait
                }
                None => Failure::Wait,
            },
            io::ErrorKind::Interrupted => Failure::Again,
            _ => {
                self.event_loop.tasks.budget.spend();
                Failure::Error(error)
            }
        }
    }

    /// Ends a wait: spends the budget, and returns an error if the loop has ended.
    pub(super) fn finish_wait(&self, source: &Source) -> Poll<io::Result<()>> {
        self.event_loop.tasks.budget.spend();
        Poll::Ready(if source.is_closed() {
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
        self.forget(true)
    }

    fn forget(&mut self, stays_open: bool) -> io::Result<()> {
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
        let _ = self.forget(self.mode != DeregisterMode::UntilClosed);
    }
}

/// The registration of a future that waits through a shared reference.
pub(super) struct Waiter {
    interest: Interest,
    place: Option<(Rc<Source>, usize)>,
}

impl Waiter {
    pub(super) fn new(interest: Interest) -> Waiter {
        Waiter {
            interest,
            place: None,
        }
    }

    pub(super) fn poll(&mut self, source: &Rc<Source>, cx: &Context<'_>) -> Poll<()> {
        if source.satisfies(self.interest) {
            return Poll::Ready(());
        }
        let interest = self.interest;
        let (source, key) = self
            .place
            .get_or_insert_with(|| (Rc::clone(source), source.join(interest)));
        source.poll_joined(*key, cx)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some((source, key)) = self.place.take() {
            source.leave(key);
        }
    }
}

/// Why an operation returned no value.
pub(super) enum Failure {
    /// It returned `WouldBlock`, or is known to do so if it is tried.
    Wait,
    /// It was interrupted.
    Again,
    /// It was not tried: the budget is spent, and the task is woken.
    Yield,
    Error(io::Error),
}
