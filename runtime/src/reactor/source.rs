//! What the loop knows of one descriptor: its readiness, and who waits for it.

use std::cell::{Cell, OnceCell, RefCell};
use std::os::fd::RawFd;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::panics;
use crate::task::{Parked, TaskSet};

/// One of the two ways that bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// Whether the kernel's events are epoll's.
const EPOLL: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// What is known of a descriptor's readiness, as a set of flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Readiness(u8);

impl Readiness {
    /// A read may succeed: cleared when one would block, or came up short.
    const READABLE: Readiness = Readiness(1 << 0);
    /// A write may succeed: cleared likewise.
    const WRITABLE: Readiness = Readiness(1 << 1);
    /// A short read proves nothing any more: the peer has shut its side down,
    /// there is an error to fetch, or out-of-band data, at whose mark a read
    /// ends early. No further edge would tell of what is left. Never cleared.
    const READ_DOUBTFUL: Readiness = Readiness(1 << 2);
    /// The same for writes.
    const WRITE_DOUBTFUL: Readiness = Readiness(1 << 3);
    /// The loop is gone. Never cleared.
    const CLOSED: Readiness = Readiness(1 << 4);

    fn any(self, other: Readiness) -> bool {
        self.0 & other.0 != 0
    }

    fn and(self, other: Readiness) -> Readiness {
        Readiness(self.0 | other.0)
    }

    /// What an event tells.
    #[inline]
    pub(super) fn of(event: &mio::event::Event) -> Readiness {
        let mut readiness = Readiness(0);
        if event.is_readable() {
            readiness = readiness.and(Readiness::READABLE);
        }
        if event.is_writable() {
            readiness = readiness.and(Readiness::WRITABLE);
        }
        // Where there is epoll, a side that is closed for writing is either
        // closed for reading too, or has an error.
        let closed_for_writing = !EPOLL && event.is_write_closed();
        if event.is_priority() | event.is_error() | event.is_read_closed() | closed_for_writing {
            readiness = readiness.and(Readiness::unusual(event));
        }
        readiness
    }

    #[cold]
    fn unusual(event: &mio::event::Event) -> Readiness {
        let mut readiness = Readiness(0);
        if event.is_read_closed() || event.is_priority() || event.is_error() {
            readiness = readiness
                .and(Readiness::READABLE)
                .and(Readiness::READ_DOUBTFUL);
        }
        if event.is_write_closed() || event.is_error() {
            readiness = readiness
                .and(Readiness::WRITABLE)
                .and(Readiness::WRITE_DOUBTFUL);
        }
        readiness
    }
}

impl Direction {
    fn other(self) -> Direction {
        match self {
            Direction::Read => Direction::Write,
            Direction::Write => Direction::Read,
        }
    }

    fn ready(self) -> Readiness {
        match self {
            Direction::Read => Readiness::READABLE,
            Direction::Write => Readiness::WRITABLE,
        }
    }

    fn doubtful(self) -> Readiness {
        match self {
            Direction::Read => Readiness::READ_DOUBTFUL,
            Direction::Write => Readiness::WRITE_DOUBTFUL,
        }
    }
}

/// A descriptor that is registered with the kernel.
#[derive(Debug)]
pub(crate) struct Source {
    readiness: Cell<Readiness>,
    pub(super) fd: RawFd,
    pub(super) interest: Cell<mio::Interest>,
    pub(super) index: u32,
    pub(super) generation: u32,
    reader: Slot,
    writer: Slot,
    /// Made when somebody waits by a shared reference.
    waiters: OnceCell<Box<Waiters>>,
    /// Whether anybody but a task in a slot has ever waited.
    others: Cell<bool>,
}

impl Source {
    /// A source of which one direction would have blocked. The other one may
    /// succeed, as far as is known.
    pub(super) fn new(
        fd: RawFd,
        direction: Direction,
        interest: mio::Interest,
        index: u32,
        generation: u32,
    ) -> Source {
        Source {
            readiness: Cell::new(direction.other().ready()),
            fd,
            interest: Cell::new(interest),
            index,
            generation,
            reader: Slot::default(),
            writer: Slot::default(),
            waiters: OnceCell::new(),
            others: Cell::new(false),
        }
    }

    /// Whether an operation is worth a system call.
    #[inline]
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.readiness
            .get()
            .any(direction.ready().and(Readiness::CLOSED))
    }

    /// Whether the kernel tells when `direction` becomes ready.
    #[inline]
    pub(crate) fn watches(&self, direction: Direction) -> bool {
        let interest = self.interest.get();
        match direction {
            Direction::Read => interest.is_readable(),
            Direction::Write => interest.is_writable(),
        }
    }

    /// Whether the loop is gone.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.readiness.get().any(Readiness::CLOSED)
    }

    /// After an operation that would block.
    #[inline]
    pub(crate) fn clear(&self, direction: Direction) {
        let readiness = self.readiness.get();
        self.readiness
            .set(Readiness(readiness.0 & !direction.ready().0));
    }

    /// After a transfer on a stream that was shorter than it might have been,
    /// which says that the kernel has no more: see the answer to question 9 in
    /// epoll(7). What comes later makes a new edge.
    #[inline]
    pub(crate) fn clear_after_short(&self, direction: Direction) {
        if !self.readiness.get().any(direction.doubtful()) {
            self.clear(direction);
        }
    }

    /// Notes whom to wake when `direction` becomes ready, instead of whoever
    /// was noted there before.
    #[inline]
    pub(crate) fn park(&self, direction: Direction, context: &Context<'_>) {
        let slot = self.slot(direction);
        if slot.task.park(context.waker()) {
            slot.task_waits.set(true);
        } else {
            self.park_other(direction, context);
        }
    }

    #[cold]
    fn park_other(&self, direction: Direction, context: &Context<'_>) {
        self.others.set(true);
        self.slot(direction).park_other(context.waker());
        if self.is_ready(direction) {
            // A waker is others' code, which may have turned the loop.
            context.waker().wake_by_ref();
        }
    }

    /// Adds somebody who waits beside the one in the slot.
    pub(crate) fn join(&self, direction: Direction) -> usize {
        self.others.set(true);
        self.waiters
            .get_or_init(Box::default)
            .list
            .borrow_mut()
            .insert(Waiter {
                direction,
                waker: None,
            })
    }

    /// Ready if `direction` is; else the waiter `key` is woken when it is.
    pub(crate) fn poll_joined(&self, key: usize, context: &Context<'_>) -> Poll<()> {
        let waker = context.waker().clone();
        let Some(waiters) = self.waiters.get() else {
            return Poll::Ready(());
        };
        let before = {
            let mut list = waiters.list.borrow_mut();
            let waiter = &mut list[key];
            if self.is_ready(waiter.direction) {
                return Poll::Ready(());
            }
            waiter.waker.replace(waker)
        };
        drop(before);
        Poll::Pending
    }

    /// Takes a waiter out.
    pub(crate) fn leave(&self, key: usize) {
        let waiter = self
            .waiters
            .get()
            .map(|waiters| waiters.list.borrow_mut().remove(key));
        drop(waiter);
    }

    fn slot(&self, direction: Direction) -> &Slot {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }

    /// Takes in what an event told, and wakes the tasks that it concerns. True
    /// if there may be [others](Source::wake_others) to wake.
    #[inline]
    #[must_use]
    pub(super) fn set_ready(&self, news: Readiness, tasks: &TaskSet) -> bool {
        self.readiness.set(self.readiness.get().and(news));
        if news.any(Readiness::READABLE) {
            self.reader.wake_task(tasks);
        }
        if news.any(Readiness::WRITABLE) {
            self.writer.wake_task(tasks);
        }
        self.others.get()
    }

    /// Wakes by wakers, which may be anybody's code: nothing may be borrowed.
    #[cold]
    pub(super) fn wake_others(&self, news: Readiness) {
        if news.any(Readiness::READABLE) {
            self.reader.wake_other();
        }
        if news.any(Readiness::WRITABLE) {
            self.writer.wake_other();
        }
        if let Some(waiters) = self.waiters.get() {
            waiters.wake(news);
        }
    }

    /// Marks the loop as gone, and wakes everybody to find out.
    pub(super) fn close(&self, tasks: &TaskSet) {
        let news = Readiness::CLOSED
            .and(Readiness::READABLE)
            .and(Readiness::WRITABLE);
        if self.set_ready(news, tasks) {
            self.wake_others(news);
        }
    }
}

/// The one who waits by an exclusive reference, or polls.
///
/// A task stays noted after a wake, so that one that waits for the same socket
/// again and again pays for no reference.
#[derive(Default)]
struct Slot {
    task: Parked,
    task_waits: Cell<bool>,
    /// A waker of another executor, or of a future that makes its own. If a task
    /// waits since, it is woken for nothing, once.
    other: Cell<Option<Waker>>,
}

impl Slot {
    #[inline]
    fn wake_task(&self, tasks: &TaskSet) {
        if self.task_waits.replace(false) {
            self.task.wake(tasks);
        }
    }

    /// Notes the waker of somebody who is not a task, instead of the one who is.
    fn park_other(&self, waker: &Waker) {
        self.task_waits.set(false);
        let waker = match self.other.take() {
            Some(same) if same.will_wake(waker) => same,
            _ => waker.clone(),
        };
        let before = self.other.replace(Some(waker));
        drop(before);
    }

    fn wake_other(&self) {
        if let Some(waker) = self.other.take() {
            panics::caught(|| waker.wake());
        }
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot")
            .field("task_waits", &self.task_waits)
            .finish_non_exhaustive()
    }
}

/// Those who wait by a shared reference: several acceptors, say.
#[derive(Debug, Default)]
struct Waiters {
    list: RefCell<Slab<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    direction: Direction,
    waker: Option<Waker>,
}

impl Waiters {
    fn wake(&self, news: Readiness) {
        let wakers: Vec<Waker> = self
            .list
            .borrow_mut()
            .iter_mut()
            .filter(|(_, waiter)| news.any(waiter.direction.ready()))
            .filter_map(|(_, waiter)| waiter.waker.take())
            .collect();
        for waker in wakers {
            panics::caught(|| waker.wake());
        }
    }
}
