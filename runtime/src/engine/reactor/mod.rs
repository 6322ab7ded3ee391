//! The readiness of descriptors, which the kernel reports through `mio`.
//!
//! A source is registered when an operation on it would block for the first time. The
//! registration is edge-triggered, and only for the direction that would block; so a
//! connection that never waits costs no `epoll_ctl`. From then on its [`Source`]
//! remembers what the kernel reported, and an operation is tried only when it may
//! succeed.
//!
//! When a registration is added, or widened by a direction, the kernel at once reports what
//! is ready already. So nothing is lost that becomes ready between an operation that would
//! block and its registration.
//!
//! **Invariant:** the sources are not borrowed while a foreign waker is woken or dropped.
//! Waking a task of coreloop runs no user code.

pub(crate) mod descriptor;
mod exclusive;
pub(crate) mod interest;
pub(crate) mod readiness;
pub(crate) mod ready;
mod shared_pollers;
pub(crate) mod source;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::engine::reactor::readiness::{Direction, Readiness};
use crate::engine::reactor::source::Source;
use crate::engine::task::scheduler::Scheduler;
use crate::engine::{panics, sys};

/// The maximum number of events that one poll of the kernel returns.
const MAX_EVENTS: usize = 1024;

/// The token of the doorbell, an eventfd on Linux.
///
/// Nothing reads its descriptor. The event only has to end the wait, and mio registers
/// the descriptor edge-triggered: it is not reported again until another thread writes to
/// it. No source has the index of this token.
const DOORBELL: Token = Token(usize::MAX);
/// The token of the alarm, a timerfd.
///
/// Nothing reads its descriptor either: each expiry is a new edge, and `timerfd_settime`
/// clears the old one. The loop only learns that the timer has expired: see
/// [`Reactor::timer_went_off`].
const TIMER: Token = Token(usize::MAX - 1);

/// The bits of half a token. The low half is the index of a source. The high half is the
/// source's generation, which differs between the sources that have had the same index.
const HALF_BITS: u32 = usize::BITS / 2;
const INDEX_MASK: usize = usize::MAX >> HALF_BITS;

/// The descriptors that the loop has registered with the kernel, and their events.
pub(crate) struct Reactor {
    poll: RefCell<Poll>,
    /// The descriptor of `poll`. It is not closed or replaced before `poll` is dropped.
    raw_fd: RawFd,
    /// The buffer for events, kept for its memory. `None` before the first poll and
    /// during a poll.
    events: Cell<Option<Events>>,
    /// Whether the last poll may have left events in the kernel, because the buffer was
    /// full.
    has_more: Cell<bool>,
    /// Whether a poll has reported the alarm since the last call of `timer_went_off`.
    timer_went_off: Cell<bool>,
    sources: RefCell<Slab<Rc<Source>>>,
    /// The generation of the source that was registered last.
    generation: Cell<u32>,
    /// The number of sources that were ever registered.
    registered: Cell<u64>,
    /// The number of events that the kernel has reported.
    reported: Cell<u64>,
    /// Whether the loop has ended.
    closed: Cell<bool>,
}

impl Reactor {
    /// Creates a reactor without sources, and the doorbell that ends its waits.
    pub(crate) fn new() -> io::Result<(Self, mio::Waker)> {
        let poll = Poll::new()?;
        let doorbell = mio::Waker::new(poll.registry(), DOORBELL)?;
        let reactor = Self {
            raw_fd: poll.as_raw_fd(),
            poll: RefCell::new(poll),
            events: Cell::new(None),
            has_more: Cell::new(false),
            timer_went_off: Cell::new(false),
            sources: RefCell::new(Slab::new()),
            generation: Cell::new(0),
            registered: Cell::new(0),
            reported: Cell::new(0),
            closed: Cell::new(false),
        };
        Ok((reactor, doorbell))
    }

    /// Registers the timerfd of the loop's alarm.
    pub(crate) fn register_timer(&self, timer: BorrowedFd<'_>) -> io::Result<()> {
        let fd = timer.as_raw_fd();
        self.poll
            .borrow()
            .registry()
            .register(&mut SourceFd(&fd), TIMER, Interest::READABLE)
    }

    /// Registers a descriptor for one direction.
    pub(crate) fn register(
        &self,
        fd: BorrowedFd<'_>,
        direction: Direction,
    ) -> io::Result<Rc<Source>> {
        let interest = interest(direction);
        self.register_with(fd, direction, interest, false, |token| {
            let fd = fd.as_raw_fd();
            let poll = self.poll.borrow();
            poll.registry()
                .register(&mut SourceFd(&fd), token, interest)
        })
    }

    /// Registers a descriptor for `interest`, by calling `add` with its token.
    fn register_with(
        &self,
        fd: BorrowedFd<'_>,
        direction: Direction,
        interest: Interest,
        exclusive: bool,
        add: impl FnOnce(Token) -> io::Result<()>,
    ) -> io::Result<Rc<Source>> {
        if self.closed.get() {
            return Err(gone());
        }
        let mut sources = self.sources.borrow_mut();
        let entry = sources.vacant_entry();
        let index = u32::try_from(entry.key())
            .ok()
            .filter(|&index| (index as usize) < TIMER.0 & INDEX_MASK)
            .ok_or_else(|| io::Error::other("too many I/O sources for one loop"))?;
        let generation = self.generation.get().wrapping_add(1) & generation_mask();
        add(token(index, generation))?;
        self.generation.set(generation);
        self.registered.set(self.registered.get() + 1);
        let source = Source::new(
            fd.as_raw_fd(),
            direction,
            interest,
            index,
            generation,
            exclusive,
        );
        let source = Rc::new(source);
        entry.insert(Rc::clone(&source));
        Ok(source)
    }

    /// Adds a direction to a registration.
    ///
    /// `fd` must be the descriptor that was registered. The user's type may return
    /// another one, which may be registered for another source, and would lose that
    /// registration.
    #[cold]
    fn widen(&self, fd: BorrowedFd<'_>, source: &Source, direction: Direction) -> io::Result<()> {
        if self.closed.get() {
            return Err(gone());
        }
        if fd.as_raw_fd() != source.fd {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the descriptor is not the one that was registered with the loop",
            ));
        }
        if source.exclusive {
            return self.resume_exclusive(fd, source, direction);
        }
        let interest = source.interest.get() | interest(direction);
        self.poll.borrow().registry().reregister(
            &mut SourceFd(&fd.as_raw_fd()),
            token(source.index, source.generation),
            interest,
        )?;
        source.interest.set(interest);
        // The direction was only assumed to be ready. Now the kernel reports it if it is.
        source.clear(direction);
        Ok(())
    }

    /// Makes sure that the kernel reports when `direction` becomes ready.
    #[inline]
    pub(crate) fn watch(
        &self,
        fd: BorrowedFd<'_>,
        source: &Source,
        direction: Direction,
    ) -> io::Result<()> {
        if source.watches(direction) {
            return Ok(());
        }
        self.widen(fd, source, direction)
    }

    /// Removes a source, and its registration with the kernel if the descriptor
    /// `stays_open`. Otherwise the caller is about to close the descriptor, which removes
    /// the registration.
    pub(crate) fn deregister(&self, source: &Source, stays_open: bool) -> io::Result<()> {
        let index = source.index as usize;
        let removed = {
            let mut sources = self.sources.borrow_mut();
            let is_present = sources
                .get(index)
                .is_some_and(|there| std::ptr::eq(&raw const **there, source));
            is_present.then(|| sources.remove(index))
        };
        drop(removed);
        let is_suspended = source.exclusive && !source.watches(Direction::Read);
        if stays_open && !is_suspended {
            let registry = self.poll.borrow();
            return registry.registry().deregister(&mut SourceFd(&source.fd));
        }
        Ok(())
    }

    /// Polls the kernel, waiting up to `timeout`, and wakes the tasks that wait for what
    /// has become ready. `tasks` is the scheduler of the reactor's own loop.
    pub(crate) fn poll(&self, timeout: Option<Duration>, tasks: &Scheduler) -> io::Result<()> {
        let mut events = match self.events.take() {
            Some(events) => events,
            None => Events::with_capacity(MAX_EVENTS),
        };
        let polled = self
            .poll
            .borrow_mut()
            .poll(&mut events, sys::limit_wait(timeout));
        match polled {
            Ok(()) => {}
            // A signal ended the wait early. The next round waits again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            Err(error) => {
                self.events.set(Some(events));
                return Err(error);
            }
        }
        let count = self.dispatch(&events, tasks);
        self.has_more.set(count == MAX_EVENTS);
        self.reported.set(self.reported.get() + count as u64);
        self.events.set(Some(events));
        Ok(())
    }

    /// Returns how many descriptors were ever registered, and how many are registered now.
    pub(crate) fn registered(&self) -> (u64, u64) {
        let present = self.sources.borrow().len() as u64;
        (self.registered.get(), present)
    }

    /// Returns how many events the kernel has reported, including the events of the
    /// doorbell and of the alarm.
    pub(crate) fn reported(&self) -> u64 {
        self.reported.get()
    }

    /// Returns whether the alarm has expired since the last call of this function.
    #[inline]
    pub(crate) fn timer_went_off(&self) -> bool {
        let went_off = self.timer_went_off.get();
        if went_off {
            self.timer_went_off.set(false);
        }
        went_off
    }

    /// Returns whether the last poll may have left events in the kernel.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more.get()
    }

    /// Passes each event to its source, which wakes the tasks that wait for it. Returns
    /// the number of events.
    fn dispatch(&self, events: &Events, tasks: &Scheduler) -> usize {
        let mut count = 0;
        let mut sources = self.sources.borrow();
        for event in events {
            count += 1;
            let token = event.token();
            // The source may have been removed since the event. The doorbell and the
            // alarm have no source: their events only had to end the wait.
            let Some(source) = sources.get(token.0 & INDEX_MASK) else {
                if token == TIMER {
                    self.timer_went_off.set(true);
                }
                continue;
            };
            if source.generation as usize != token.0 >> HALF_BITS {
                continue;
            }
            if source.record_event(event, tasks) {
                let source = Rc::clone(source);
                drop(sources);
                source.wake_waker_waiters(Readiness::of(event));
                // If the source was removed meanwhile, this drops the wakers in it. Their
                // destructors are user code, and a panic must not lose the other events,
                // which the kernel does not report again.
                panics::caught(|| drop(source));
                sources = self.sources.borrow();
            }
        }
        count
    }

    /// Returns whether the loop has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Orphans every source when the loop ends, and wakes all tasks that wait for one.
    pub(crate) fn close(&self, tasks: &Scheduler) {
        self.closed.set(true);
        let sources: Vec<Rc<Source>> = self
            .sources
            .borrow()
            .iter()
            .map(|(_, source)| Rc::clone(source))
            .collect();
        for source in sources {
            source.orphan(tasks);
            panics::caught(|| drop(source));
        }
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("poll", &self.poll)
            .field("sources", &self.sources.borrow().len())
            .finish_non_exhaustive()
    }
}

/// Returns the error of an operation that would have to wait for a loop that has ended.
pub(crate) fn gone() -> io::Error {
    io::Error::other("the coreloop runtime of this I/O source is gone")
}

/// Returns what a task that waits in `direction` is registered for.
fn interest(direction: Direction) -> Interest {
    match direction {
        Direction::Read => sys::READ_INTEREST,
        Direction::Write => Interest::WRITABLE,
    }
}

fn generation_mask() -> u32 {
    u32::try_from(INDEX_MASK).unwrap_or(u32::MAX)
}

fn token(index: u32, generation: u32) -> Token {
    Token(index as usize | (generation as usize) << HALF_BITS)
}
