//! What the loop knows of one descriptor: its readiness, and who waits for it.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::os::fd::RawFd;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::engine::panics;
use crate::engine::reactor::interest::Interest;
use crate::engine::reactor::readiness::{Direction, Readiness, is_unusual, reported_by};
use crate::engine::reactor::ready::Ready;
use crate::engine::reactor::shared_pollers::SharedPollers;
use crate::engine::task::scheduler::Scheduler;
use crate::engine::task::task_slot::TaskSlot;

/// A descriptor that is registered with the kernel.
#[derive(Debug)]
pub(crate) struct Source {
    readiness: Cell<Readiness>,
    /// What [`Source::ready`] tells beyond that.
    reported: Cell<Ready>,
    pub(crate) fd: RawFd,
    pub(crate) interest: Cell<mio::Interest>,
    pub(crate) index: u32,
    pub(crate) generation: u32,
    /// Whether the kernel wakes this loop or another one, not both.
    pub(crate) exclusive: bool,
    reader: DirectionWaiter,
    writer: DirectionWaiter,
    /// Made when somebody waits who is not a task in a waiter. Seldom needed, and
    /// apart, so that the rest is in one or two cache lines.
    foreign: OnceCell<Box<ForeignWaiters>>,
}

impl Source {
    /// A source of which one direction would have blocked. The other one may
    /// succeed, as far as is known.
    pub(crate) fn new(
        fd: RawFd,
        direction: Direction,
        interest: mio::Interest,
        index: u32,
        generation: u32,
        exclusive: bool,
    ) -> Source {
        Source {
            readiness: Cell::new(direction.other().ready()),
            reported: Cell::new(Ready::EMPTY),
            fd,
            interest: Cell::new(interest),
            index,
            generation,
            exclusive,
            reader: DirectionWaiter::default(),
            writer: DirectionWaiter::default(),
            foreign: OnceCell::new(),
        }
    }

    /// Whether an operation is worth a system call.
    #[inline]
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.readiness
            .get()
            .intersects(direction.ready().union(Readiness::LOOP_GONE))
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

    /// Whether the kernel tells of all of `interest`.
    pub(crate) fn watches_for(&self, interest: Interest) -> bool {
        let reads = interest.is_readable() || interest.is_priority();
        (!reads || self.watches(Direction::Read))
            && (!interest.is_writable() || self.watches(Direction::Write))
    }

    /// Whether what ends a wait for `interest` is there.
    pub(crate) fn satisfies(&self, interest: Interest) -> bool {
        let ends = Readiness::from(interest).union(Readiness::LOOP_GONE);
        self.readiness.get().intersects(ends)
    }

    /// What is ready of `interest`.
    pub(crate) fn ready(&self, interest: Interest) -> Ready {
        let mut ready = self.reported.get();
        if self.is_ready(Direction::Read) {
            ready |= Ready::READABLE;
        }
        if self.is_ready(Direction::Write) {
            ready |= Ready::WRITABLE;
        }
        ready & interest.reported()
    }

    /// After an operation that would block, though something of `interest` seemed
    /// to be ready. A side that is closed stays so.
    pub(crate) fn clear_interest(&self, interest: Interest) {
        let cleared = Readiness::from(interest);
        self.readiness.set(self.readiness.get().without(cleared));
        let kept = Ready::READ_CLOSED | Ready::WRITE_CLOSED;
        self.reported
            .set(self.reported.get() - (interest.reported() - kept));
    }

    /// Whether the loop is gone.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.readiness.get().intersects(Readiness::LOOP_GONE)
    }

    /// After an operation that would block.
    #[inline]
    pub(crate) fn clear(&self, direction: Direction) {
        let readiness = self.readiness.get();
        self.readiness.set(readiness.without(direction.ready()));
    }

    /// After a transfer on a stream that was shorter than it might have been,
    /// which says that the kernel has no more: see the answer to question 9 in
    /// epoll(7). What comes later makes a new edge.
    #[inline]
    pub(crate) fn clear_after_short(&self, direction: Direction) {
        if !self
            .readiness
            .get()
            .intersects(direction.short_unreliable())
        {
            self.clear(direction);
        }
    }

    /// Has the task that polls woken when `direction` becomes ready, if it is the one that
    /// was noted there before. Returns false if it is not.
    #[inline]
    pub(crate) fn is_registered(&self, direction: Direction, cx: &Context<'_>) -> bool {
        let waiter = self.waiter(direction);
        let is_noted = waiter.task.is(cx.waker());
        if is_noted {
            waiter.waits.set(true);
        }
        is_noted
    }

    /// Notes whom to wake when `direction` becomes ready, instead of whoever
    /// was noted there before.
    #[inline]
    pub(crate) fn register(&self, direction: Direction, cx: &Context<'_>) {
        let waiter = self.waiter(direction);
        if waiter.task.register(cx.waker()) {
            waiter.waits.set(true);
        } else {
            self.register_foreign(direction, cx);
        }
    }

    #[cold]
    fn register_foreign(&self, direction: Direction, cx: &Context<'_>) {
        self.waiter(direction).waits.set(false);
        self.foreign().register(direction, cx.waker());
        if self.is_ready(direction) {
            // A waker is foreign' code, which may have turned the loop.
            cx.waker().wake_by_ref();
        }
    }

    /// Adds somebody who waits beside the one in the waiter.
    pub(crate) fn join(&self, interest: Interest) -> usize {
        self.foreign().list.borrow_mut().insert(InterestWaiter {
            awaits: Readiness::from(interest).union(Readiness::LOOP_GONE),
            waker: None,
        })
    }

    /// Notes one more task to wake when `direction` becomes ready. `now` reads the
    /// clock of the loop.
    pub(crate) fn register_shared(
        &self,
        direction: Direction,
        cx: &Context<'_>,
        now: impl FnOnce() -> u64,
    ) {
        let shared_pollers = self.foreign().shared_pollers(direction);
        if shared_pollers.borrow().contains(cx.waker()) {
            return;
        }
        let waker = cx.waker().clone();
        let removed = shared_pollers.borrow_mut().insert(waker, now);
        for waker in removed {
            panics::caught(|| waker.wake());
        }
        if self.is_ready(direction) {
            // A waker is foreign' code, which may have turned the loop.
            cx.waker().wake_by_ref();
        }
    }

    fn foreign(&self) -> &ForeignWaiters {
        self.foreign.get_or_init(Box::default)
    }

    /// Ready if what it awaits is there; else the waiter `key` is woken when it is.
    pub(crate) fn poll_joined(&self, key: usize, cx: &Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let before = {
            let mut list = self.foreign().list.borrow_mut();
            let waiter = &mut list[key];
            if self.readiness.get().intersects(waiter.awaits) {
                return Poll::Ready(());
            }
            waiter.waker.replace(waker)
        };
        drop(before);
        Poll::Pending
    }

    /// Whether anybody waits to read, as far as is known: one that polled may have
    /// lost interest since.
    #[cold]
    pub(crate) fn has_readers(&self) -> bool {
        self.reader.waits.get()
            || self
                .foreign
                .get()
                .is_some_and(|foreign| foreign.has_readers())
    }

    /// Takes a waiter out.
    pub(crate) fn leave(&self, key: usize) {
        let waiter = self.foreign().list.borrow_mut().remove(key);
        drop(waiter);
    }

    fn waiter(&self, direction: Direction) -> &DirectionWaiter {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }

    /// Takes in what an event tells, and wakes the tasks that it concerns. True
    /// if there may be [foreign](Source::wake_foreign) to wake.
    #[inline]
    #[must_use]
    pub(crate) fn take_event(&self, event: &mio::event::Event, tasks: &Scheduler) -> bool {
        if is_unusual(event) {
            self.reported.set(self.reported.get() | reported_by(event));
            return self.set_ready(Readiness::of(event), tasks);
        }
        if event.is_readable() {
            self.readiness
                .set(self.readiness.get().union(Readiness::READABLE));
            self.reader.wake_task(tasks);
        }
        if event.is_writable() {
            self.readiness
                .set(self.readiness.get().union(Readiness::WRITABLE));
            self.writer.wake_task(tasks);
        }
        self.foreign.get().is_some()
    }

    /// As [`take_event`](Source::take_event), for any news.
    #[cold]
    fn set_ready(&self, news: Readiness, tasks: &Scheduler) -> bool {
        self.readiness.set(self.readiness.get().union(news));
        if news.intersects(Readiness::READABLE) {
            self.reader.wake_task(tasks);
        }
        if news.intersects(Readiness::WRITABLE) {
            self.writer.wake_task(tasks);
        }
        self.foreign.get().is_some()
    }

    /// Wakes by wakers, which may be anybody's code: nothing may be borrowed.
    #[cold]
    pub(crate) fn wake_foreign(&self, news: Readiness) {
        if let Some(foreign) = self.foreign.get() {
            foreign.wake(news);
        }
    }

    /// Marks the loop as gone, and wakes everybody to find out.
    pub(crate) fn close(&self, tasks: &Scheduler) {
        let news = Readiness::LOOP_GONE
            .union(Readiness::READABLE)
            .union(Readiness::WRITABLE);
        if self.set_ready(news, tasks) {
            self.wake_foreign(news);
        }
    }
}

/// The task that waits by an exclusive reference, or polls.
///
/// It stays noted after a wake, so that one that waits for the same socket again
/// and again pays for no reference.
#[derive(Debug, Default)]
struct DirectionWaiter {
    task: TaskSlot,
    waits: Cell<bool>,
}

impl DirectionWaiter {
    #[inline]
    fn wake_task(&self, tasks: &Scheduler) {
        if self.waits.replace(false) {
            self.task.wake(tasks);
        }
    }
}

/// Who waits by a waker.
#[derive(Default)]
struct ForeignWaiters {
    /// Who polls, in place of the task in the waiter: another executor, or a
    /// future that makes its own wakers. If a task waits since, this is woken
    /// for nothing, once.
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
    /// Those who wait by a shared reference: several acceptors, say.
    list: RefCell<Slab<InterestWaiter>>,
    /// The tasks that poll by a shared reference, until the next event.
    readers: RefCell<SharedPollers>,
    writers: RefCell<SharedPollers>,
}

#[derive(Debug)]
struct InterestWaiter {
    awaits: Readiness,
    waker: Option<Waker>,
}

impl ForeignWaiters {
    fn has_readers(&self) -> bool {
        let reader = self.reader.take();
        let polls = reader.is_some();
        self.reader.set(reader);
        let list = self.list.borrow();
        let mut waiters = list.iter().map(|(_, waiter)| waiter);
        polls
            || waiters.any(|waiter| {
                waiter.waker.is_some() && waiter.awaits.intersects(Readiness::READABLE)
            })
            || !self.readers.borrow().is_empty()
    }

    fn shared_pollers(&self, direction: Direction) -> &RefCell<SharedPollers> {
        match direction {
            Direction::Read => &self.readers,
            Direction::Write => &self.writers,
        }
    }

    fn waiter(&self, direction: Direction) -> &Cell<Option<Waker>> {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }

    fn register(&self, direction: Direction, waker: &Waker) {
        let waiter = self.waiter(direction);
        let waker = match waiter.take() {
            Some(same) if same.will_wake(waker) => same,
            _ => waker.clone(),
        };
        let before = waiter.replace(Some(waker));
        drop(before);
    }

    /// Wakes those whom the news concern. One that panics does not cost the
    /// foreign their edge.
    fn wake(&self, news: Readiness) {
        let mut wakers: Vec<Waker> = self
            .list
            .borrow_mut()
            .iter_mut()
            .filter(|(_, waiter)| news.intersects(waiter.awaits))
            .filter_map(|(_, waiter)| waiter.waker.take())
            .collect();
        for direction in [Direction::Read, Direction::Write] {
            if news.intersects(direction.ready()) {
                wakers.extend(self.waiter(direction).take());
                wakers.extend(self.shared_pollers(direction).borrow_mut().take());
            }
        }
        for waker in wakers {
            panics::caught(|| waker.wake());
        }
    }
}

impl fmt::Debug for ForeignWaiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeignWaiters")
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}
