//! [`Source`]: what the reactor knows of one registered descriptor.

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
use crate::engine::waker_cell::WakerCell;

/// A descriptor that is registered with the kernel: its readiness, and the tasks that
/// wait for it.
#[derive(Debug)]
pub(crate) struct Source {
    readiness: Cell<Readiness>,
    /// What [`Source::ready`] returns in addition to `readiness`.
    reported: Cell<Ready>,
    pub(super) fd: RawFd,
    pub(super) interest: Cell<mio::Interest>,
    pub(super) index: u32,
    pub(super) generation: u32,
    /// Whether the registration is exclusive: an event wakes this loop or another one,
    /// not both.
    pub(super) exclusive: bool,
    reader: DirectionWaiter,
    writer: DirectionWaiter,
    /// All waiters other than `reader` and `writer`. Created when there is the first of
    /// them, which is seldom, and in a box, so that the other fields fit in one or two
    /// cache lines.
    waker_waiters: OnceCell<Box<WakerWaiters>>,
}

impl Source {
    /// Creates a source. An operation in `direction` would have blocked; the other
    /// direction is assumed to be ready.
    pub(super) fn new(
        fd: RawFd,
        direction: Direction,
        interest: mio::Interest,
        index: u32,
        generation: u32,
        exclusive: bool,
    ) -> Self {
        Self {
            readiness: Cell::new(direction.other().ready()),
            reported: Cell::new(Ready::EMPTY),
            fd,
            interest: Cell::new(interest),
            index,
            generation,
            exclusive,
            reader: DirectionWaiter::default(),
            writer: DirectionWaiter::default(),
            waker_waiters: OnceCell::new(),
        }
    }

    /// Returns whether an operation should be tried: it may succeed, or the loop has ended.
    #[inline]
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.readiness
            .get()
            .intersects(direction.ready().union(Readiness::LOOP_GONE))
    }

    /// Returns whether the kernel reports when `direction` becomes ready.
    #[inline]
    pub(crate) fn watches(&self, direction: Direction) -> bool {
        let interest = self.interest.get();
        match direction {
            Direction::Read => interest.is_readable(),
            Direction::Write => interest.is_writable(),
        }
    }

    /// Returns whether the kernel reports everything that `interest` includes.
    pub(crate) fn watches_for(&self, interest: Interest) -> bool {
        let reads = interest.is_readable() || interest.is_priority();
        (!reads || self.watches(Direction::Read))
            && (!interest.is_writable() || self.watches(Direction::Write))
    }

    /// Returns whether a wait for `interest` may end.
    pub(crate) fn satisfies(&self, interest: Interest) -> bool {
        let ends = Readiness::from(interest).union(Readiness::LOOP_GONE);
        self.readiness.get().intersects(ends)
    }

    /// Returns what is ready of `interest`.
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

    /// Clears the readiness for `interest`, after an operation that would block although
    /// something of `interest` seemed to be ready. A direction that is closed stays
    /// closed.
    pub(crate) fn clear_interest(&self, interest: Interest) {
        let cleared = Readiness::from(interest);
        self.readiness.set(self.readiness.get().without(cleared));
        let kept = Ready::READ_CLOSED | Ready::WRITE_CLOSED;
        self.reported
            .set(self.reported.get() - (interest.reported() - kept));
    }

    /// Returns whether the loop has ended.
    #[inline]
    pub(crate) fn is_orphaned(&self) -> bool {
        self.readiness.get().intersects(Readiness::LOOP_GONE)
    }

    /// Clears the readiness of `direction`, after an operation that would block.
    #[inline]
    pub(crate) fn clear(&self, direction: Direction) {
        let readiness = self.readiness.get();
        self.readiness.set(readiness.without(direction.ready()));
    }

    /// Clears the readiness of `direction`, after a short transfer on a stream.
    ///
    /// A short transfer shows that the next one would block: see the answer to question 9
    /// in epoll(7). The kernel reports a new edge when that changes.
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

    /// Makes the task of `cx` wait for `direction` again, if it was the last task that was
    /// registered there. Returns false if it was not.
    #[inline]
    pub(crate) fn wait_again(&self, direction: Direction, cx: &Context<'_>) -> bool {
        let waiter = self.waiter(direction);
        let is_registered = waiter.task.is(cx.waker());
        if is_registered {
            waiter.is_waiting.set(true);
        }
        is_registered
    }

    /// Registers the task of `cx` to be woken when `direction` becomes ready, in place of
    /// the task that was registered there before.
    #[inline]
    pub(crate) fn register(&self, direction: Direction, cx: &Context<'_>) {
        let waiter = self.waiter(direction);
        if waiter.task.register(cx.waker()) {
            waiter.is_waiting.set(true);
        } else {
            self.register_foreign(direction, cx);
        }
    }

    #[cold]
    fn register_foreign(&self, direction: Direction, cx: &Context<'_>) {
        self.waiter(direction).is_waiting.set(false);
        self.waker_waiters().waiter(direction).keep(cx);
        if self.is_ready(direction) {
            // Cloning the waker may have run user code, and in it a turn that recorded the
            // event.
            cx.waker().wake_by_ref();
        }
    }

    /// Adds a waiter for `interest`, beside any others. Returns its key.
    pub(crate) fn add_waiter(&self, interest: Interest) -> usize {
        self.waker_waiters()
            .list
            .borrow_mut()
            .insert(InterestWaiter {
                awaits: Readiness::from(interest).union(Readiness::LOOP_GONE),
                waker: None,
            })
    }

    /// Registers the task of `cx` to be woken when `direction` becomes ready, beside any
    /// others. `now` reads the clock of the loop.
    pub(crate) fn register_shared(
        &self,
        direction: Direction,
        cx: &Context<'_>,
        now: impl FnOnce() -> u64,
    ) {
        let shared_pollers = self.waker_waiters().shared_pollers(direction);
        if shared_pollers.borrow().contains(cx.waker()) {
            return;
        }
        let waker = cx.waker().clone();
        let removed = shared_pollers.borrow_mut().insert(waker, now);
        for waker in removed {
            panics::caught(|| waker.wake());
        }
        if self.is_ready(direction) {
            // Cloning this waker and waking the removed ones may have run user code, and in it
            // a turn that recorded the event.
            cx.waker().wake_by_ref();
        }
    }

    fn waker_waiters(&self) -> &WakerWaiters {
        self.waker_waiters.get_or_init(Box::default)
    }

    /// Returns `Ready` if a wait for the interest of the waiter `key` may end. Otherwise
    /// the task of `cx` is woken when it may.
    pub(crate) fn poll_waiter(&self, key: usize, cx: &Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let before = {
            let mut list = self.waker_waiters().list.borrow_mut();
            let waiter = &mut list[key];
            if self.readiness.get().intersects(waiter.awaits) {
                return Poll::Ready(());
            }
            waiter.waker.replace(waker)
        };
        drop(before);
        Poll::Pending
    }

    /// Returns whether a task may be waiting to read. A task that has polled may no
    /// longer be waiting, which the source cannot know.
    #[cold]
    pub(super) fn has_readers(&self) -> bool {
        self.reader.is_waiting.get()
            || self
                .waker_waiters
                .get()
                .is_some_and(|waiters| waiters.has_readers())
    }

    /// Removes the waiter `key`.
    pub(crate) fn remove_waiter(&self, key: usize) {
        let waiter = self.waker_waiters().list.borrow_mut().remove(key);
        drop(waiter);
    }

    fn waiter(&self, direction: Direction) -> &DirectionWaiter {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }

    /// Records an event, and wakes the tasks in `reader` and `writer` that wait for it.
    /// Returns true if the caller has to wake the other waiters, by
    /// [`wake_waker_waiters`](Source::wake_waker_waiters).
    #[inline]
    #[must_use]
    pub(super) fn record_event(&self, event: &mio::event::Event, tasks: &Scheduler) -> bool {
        if is_unusual(event) {
            self.reported.set(self.reported.get() | reported_by(event));
            return self.record_readiness(Readiness::of(event), tasks);
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
        self.waker_waiters.get().is_some()
    }

    /// Like [`record_event`](Source::record_event), for any flags.
    #[cold]
    fn record_readiness(&self, added: Readiness, tasks: &Scheduler) -> bool {
        self.readiness.set(self.readiness.get().union(added));
        if added.intersects(Readiness::READABLE) {
            self.reader.wake_task(tasks);
        }
        if added.intersects(Readiness::WRITABLE) {
            self.writer.wake_task(tasks);
        }
        self.waker_waiters.get().is_some()
    }

    /// Wakes the waiters that are kept as wakers and wait for a flag of `added`. Wakers
    /// may be user code, so the reactor must not be borrowed.
    #[cold]
    pub(super) fn wake_waker_waiters(&self, added: Readiness) {
        if let Some(waiters) = self.waker_waiters.get() {
            waiters.wake(added);
        }
    }

    /// Marks the source as orphaned, because the loop has ended, and wakes all waiters.
    pub(super) fn orphan(&self, tasks: &Scheduler) {
        let added = Readiness::LOOP_GONE
            .union(Readiness::READABLE)
            .union(Readiness::WRITABLE);
        if self.record_readiness(added, tasks) {
            self.wake_waker_waiters(added);
        }
    }
}

/// The task that waits in one direction: the one that polled last by a `poll_*` method.
///
/// The task stays in its slot after a wake, so that a task that waits for the same socket
/// again and again does not count a reference each time.
#[derive(Debug, Default)]
struct DirectionWaiter {
    task: TaskSlot,
    /// Whether `task` has to be woken when the direction becomes ready.
    is_waiting: Cell<bool>,
}

impl DirectionWaiter {
    #[inline]
    fn wake_task(&self, tasks: &Scheduler) {
        if self.is_waiting.replace(false) {
            self.task.wake(tasks);
        }
    }
}

/// The waiters of a source that are kept as wakers, not in a task slot: foreign wakers, and
/// wakers of tasks of which several may wait at once.
#[derive(Default)]
struct WakerWaiters {
    /// The foreign waker that polled last by a `poll_*` method, in place of a task in
    /// [`Source::reader`]. If a task has polled since, this waker is woken once,
    /// needlessly.
    reader: WakerCell,
    /// Likewise, for [`Source::writer`].
    writer: WakerCell,
    /// The futures that wait through a shared reference, for instance of several tasks that
    /// accept.
    list: RefCell<Slab<InterestWaiter>>,
    /// The shared pollers that have polled a read since the last event.
    readers: RefCell<SharedPollers>,
    /// Likewise, for writes.
    writers: RefCell<SharedPollers>,
}

/// A future that waits for an interest.
#[derive(Debug)]
struct InterestWaiter {
    /// The flags that end the wait.
    awaits: Readiness,
    /// `None` before the first poll, and after a wake.
    waker: Option<Waker>,
}

impl WakerWaiters {
    fn has_readers(&self) -> bool {
        let list = self.list.borrow();
        let mut waiters = list.iter().map(|(_, waiter)| waiter);
        !self.reader.is_empty()
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

    fn waiter(&self, direction: Direction) -> &WakerCell {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }

    /// Wakes the waiters that wait for a flag of `added`. If a waker panics, the others
    /// are woken all the same: the kernel reports an edge once.
    fn wake(&self, added: Readiness) {
        let mut wakers: Vec<Waker> = self
            .list
            .borrow_mut()
            .iter_mut()
            .filter(|(_, waiter)| added.intersects(waiter.awaits))
            .filter_map(|(_, waiter)| waiter.waker.take())
            .collect();
        for direction in [Direction::Read, Direction::Write] {
            if added.intersects(direction.ready()) {
                wakers.extend(self.waiter(direction).take().into_inner());
                wakers.extend(self.shared_pollers(direction).borrow_mut().take());
            }
        }
        for waker in wakers {
            panics::caught(|| waker.wake());
        }
    }
}

impl fmt::Debug for WakerWaiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakerWaiters")
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}
