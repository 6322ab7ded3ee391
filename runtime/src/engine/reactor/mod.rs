//! Readiness of descriptors, by way of `mio`.
//!
//! A source is registered when an operation on it would block for the first
//! time, edge-triggered, and only for the direction that would block; so a
//! connection that never waits costs no `epoll_ctl`. From then on its
//! [`Source`] remembers what the kernel reported, and an operation is tried only
//! when it may succeed.
//!
//! **Invariant:** no borrow of the sources is held while a waker of foreign runs,
//! or is dropped. Waking a task of ours runs nobody's code.

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

/// So many events are fetched from the kernel at once.
const EVENTS: usize = 1024;

/// The doorbell: it only has to end the wait. No source has its place.
const DOORBELL: Token = Token(usize::MAX);
/// The timer's descriptor: likewise, and the loop is reported.
const TIMER: Token = Token(usize::MAX - 1);

/// Half of a token is the place of the source, half tells who had the place.
const HALF: u32 = usize::BITS / 2;
const MASK: usize = usize::MAX >> HALF;

/// The kernel's queue of events and the sources it speaks of.
pub(crate) struct Reactor {
    poll: RefCell<Poll>,
    /// Never closed or replaced before `poll` is dropped.
    raw_fd: RawFd,
    /// Not there while they are handed out.
    events: Cell<Option<Events>>,
    /// Whether the last poll left events behind.
    has_more: Cell<bool>,
    /// Whether the timer went off in a poll, and the loop has not asked yet.
    timer_went_off: Cell<bool>,
    sources: RefCell<Slab<Rc<Source>>>,
    generation: Cell<u32>,
    /// How many registrations and events there were.
    registered: Cell<u64>,
    reported: Cell<u64>,
    closed: Cell<bool>,
}

impl Reactor {
    /// A reactor without sources, and the doorbell that ends its waits.
    pub(crate) fn new() -> io::Result<(Reactor, mio::Waker)> {
        let poll = Poll::new()?;
        let doorbell = mio::Waker::new(poll.registry(), DOORBELL)?;
        let reactor = Reactor {
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

    /// Registers the descriptor of the loop's timer.
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
        self.register_by(fd, direction, interest, false, |token| {
            let fd = fd.as_raw_fd();
            let poll = self.poll.borrow();
            poll.registry()
                .register(&mut SourceFd(&fd), token, interest)
        })
    }

    /// Registers a descriptor by `add`, for what `interest` says.
    fn register_by(
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
        let place = sources.vacant_entry();
        let index = u32::try_from(place.key())
            .ok()
            .filter(|&index| (index as usize) < TIMER.0 & MASK)
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
        place.insert(Rc::clone(&source));
        Ok(source)
    }

    /// Widens a registration to one more direction.
    ///
    /// The type of the user may give another descriptor than it gave before. That may
    /// be registered for another source, which would lose its registration to this one.
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
        // What was assumed is now known: the kernel reports what is ready.
        source.clear(direction);
        Ok(())
    }

    /// Makes sure that the kernel tells when `direction` becomes ready.
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

    /// Forgets a source. If its descriptor is about to be closed, that will take
    /// it out of the kernel's list by itself.
    pub(crate) fn deregister(&self, source: &Source, stays_open: bool) -> io::Result<()> {
        let place = source.index as usize;
        let removed = {
            let mut sources = self.sources.borrow_mut();
            let ours = sources
                .get(place)
                .is_some_and(|there| std::ptr::eq(&raw const **there, source));
            ours.then(|| sources.remove(place))
        };
        drop(removed);
        let is_suspended = source.exclusive && !source.watches(Direction::Read);
        if stays_open && !is_suspended {
            let registry = self.poll.borrow();
            return registry.registry().deregister(&mut SourceFd(&source.fd));
        }
        Ok(())
    }

    /// Asks the kernel what is ready, waiting up to `timeout`, and wakes those
    /// concerned. `tasks` are those of the reactor's own loop.
    pub(crate) fn poll(&self, timeout: Option<Duration>, tasks: &Scheduler) -> io::Result<()> {
        let mut events = match self.events.take() {
            Some(events) => events,
            None => Events::with_capacity(EVENTS),
        };
        let polled = self
            .poll
            .borrow_mut()
            .poll(&mut events, sys::limit_wait(timeout));
        match polled {
            Ok(()) => {}
            // A signal came: the turn is over early, and the next one waits.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            Err(error) => {
                self.events.set(Some(events));
                return Err(error);
            }
        }
        let count = self.dispatch(&events, tasks);
        self.has_more.set(count == EVENTS);
        self.reported.set(self.reported.get() + count as u64);
        self.events.set(Some(events));
        Ok(())
    }

    /// How many descriptors were ever registered, and how many are.
    pub(crate) fn registered(&self) -> (u64, u64) {
        let present = self.sources.borrow().len() as u64;
        (self.registered.get(), present)
    }

    /// How many events the kernel has reported, the doorbell's and the timer's
    /// too.
    pub(crate) fn reported(&self) -> u64 {
        self.reported.get()
    }

    /// Whether the timer has gone off since this was asked the last time.
    #[inline]
    pub(crate) fn timer_went_off(&self) -> bool {
        let went_off = self.timer_went_off.get();
        if went_off {
            self.timer_went_off.set(false);
        }
        went_off
    }

    /// Whether the last poll may have left events behind.
    pub(crate) fn has_more(&self) -> bool {
        self.has_more.get()
    }

    /// Hands out every event, and counts them.
    fn dispatch(&self, events: &Events, tasks: &Scheduler) -> usize {
        let mut count = 0;
        let mut sources = self.sources.borrow();
        for event in events {
            count += 1;
            let token = event.token();
            // There is none if it has gone since the event; nor for the doorbell
            // and the timer, which only had to end the wait.
            let Some(source) = sources.get(token.0 & MASK) else {
                if token == TIMER {
                    self.timer_went_off.set(true);
                }
                continue;
            };
            if source.generation as usize != token.0 >> HALF {
                continue;
            }
            if source.take_event(event, tasks) {
                let source = Rc::clone(source);
                drop(sources);
                source.wake_foreign(Readiness::of(event));
                // If it has gone, with the wakers in it: their destructors are
                // foreign' code, and must not cost the rest their edge.
                panics::caught(|| drop(source));
                sources = self.sources.borrow();
            }
        }
        count
    }

    /// Whether the loop is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Marks every source as orphaned, and wakes who waits for it.
    pub(crate) fn close(&self, tasks: &Scheduler) {
        self.closed.set(true);
        let sources: Vec<Rc<Source>> = self
            .sources
            .borrow()
            .iter()
            .map(|(_, source)| Rc::clone(source))
            .collect();
        for source in sources {
            source.close(tasks);
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

/// The error of an operation that would have to wait for a loop that is gone.
pub(crate) fn gone() -> io::Error {
    io::Error::other("the coreloop runtime of this I/O source is gone")
}

fn interest(direction: Direction) -> Interest {
    match direction {
        Direction::Read => sys::READ_INTEREST,
        Direction::Write => Interest::WRITABLE,
    }
}

fn generation_mask() -> u32 {
    u32::try_from(MASK).unwrap_or(u32::MAX)
}

fn token(index: u32, generation: u32) -> Token {
    Token(index as usize | (generation as usize) << HALF)
}
