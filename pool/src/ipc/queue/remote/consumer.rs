//! [`Consumer`], the items of this thread that came from a queue elsewhere.
//!
//! # Invariants
//!
//! 1. Tasks get items in the order in which they began to wait. Only the first one in the line is
//!    woken by the connection, and it wakes the next one when it leaves the line.
//! 2. No user code runs while anything is borrowed.
//! 3. Whenever tasks or threads wait, the queue knows how many, apart from the items that have come.
//! 4. The queue learns of a confirmed item at once if it asks for it, if the item has descriptors,
//!    which the queue keeps open, or if no other item is here that it has not taken back; and
//!    otherwise when there are many.
//! 5. The queue may take back each offer that has come, for another consumer, unless a task or a
//!    thread waits here for it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::home::Home;
use crate::ipc::broker::protocol::{Answer, Operation, Status};
use crate::ipc::broker::state::ObjectNumber;
use crate::ipc::broker::table::wake_all;
use crate::ipc::broker::{BrokerError, Pending, error::garbled};
use crate::ipc::queue::error::QueueError;
use crate::ipc::queue::message::{self, Head};
use crate::ipc::queue::payload::Memory;
use crate::ipc::queue::state::words::Offers;
use crate::ipc::queue::taken::{Holding, Taken};

/// The consumer of this thread in one queue.
pub(crate) struct Consumer {
    /// A copy of this process by `fork` shares the words, and must not change them.
    home: Home,
    pending: Pending,
    queue: ObjectNumber,
    words: Offers<Memory>,
    /// A notice is sent when this many items are confirmed.
    batch: usize,
    /// The offers that have come. The queue may have taken some of them back.
    buffer: RefCell<VecDeque<(Head, Answer)>>,
    /// The last offer that has come.
    seen: Cell<u64>,
    /// The last offer, and how many waited, according to the last notice.
    noticed: Cell<(u64, u64)>,
    /// How many items were confirmed or given back since the last notice.
    unreported: Cell<usize>,
    /// The tasks that wait.
    line: RefCell<BTreeMap<u64, Option<Waker>>>,
    next_place: Cell<u64>,
    /// How many items are asked for without a place in the line.
    blocked: Cell<u64>,
    /// Whether the first in the line takes an item now, and so waits no more if it gets one.
    is_taking: Cell<bool>,
    end: RefCell<Option<End>>,
    /// The queue or the connection does not exist any more.
    is_gone: Cell<bool>,
}

/// Why no more items come.
#[derive(Debug, Clone)]
pub(crate) enum End {
    /// The queue is closed, and all its items are confirmed.
    Ended,
    /// The process of the queue could not map the words.
    NoWords,
    Failed(QueueError),
}

/// What becomes of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It is confirmed at once.
    Take,
    /// It is confirmed later.
    Lease,
}

impl Consumer {
    pub(super) fn new(
        pending: Pending,
        queue: ObjectNumber,
        words: Offers<Memory>,
        batch: usize,
    ) -> Self {
        Self {
            home: pending.link().home(),
            pending,
            queue,
            words,
            batch,
            buffer: RefCell::default(),
            seen: Cell::new(0),
            noticed: Cell::new((0, 0)),
            unreported: Cell::new(0),
            line: RefCell::default(),
            next_place: Cell::new(0),
            blocked: Cell::new(0),
            is_taking: Cell::new(false),
            end: RefCell::new(None),
            is_gone: Cell::new(false),
        }
    }

    /// Polls for an item.
    pub(crate) fn poll_begin(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        waiting: &mut Option<Waiting>,
        how: How,
    ) -> Poll<Result<Taken, End>> {
        if self.is_first(waiting.as_ref()) {
            loop {
                self.is_taking.set(waiting.is_some());
                let begun = self.try_begin(how);
                self.is_taking.set(false);
                if let Some(result) = begun {
                    *waiting = None;
                    return Poll::Ready(result);
                }
                match self.pending.poll_answer(cx) {
                    Poll::Ready(answer) => self.accept(answer),
                    Poll::Pending => break,
                }
            }
        }
        let place = waiting.get_or_insert_with(|| Waiting::new(self)).place;
        let waker = cx.waker().clone();
        let old = self.line.borrow_mut().insert(place, Some(waker));
        drop(old);
        self.report_waiting();
        Poll::Pending
    }

    /// Returns whether a task is the first in the line, or may be.
    fn is_first(&self, waiting: Option<&Waiting>) -> bool {
        let line = self.line.borrow();
        let first = line.keys().next();
        first.is_none_or(|first| waiting.is_some_and(|own| own.place == *first))
    }

    /// Takes an item, and blocks this thread until there is one, or until the deadline.
    pub(crate) fn block(
        self: &Rc<Self>,
        how: How,
        deadline: Option<Instant>,
    ) -> Result<Taken, End> {
        let mut begun = self.try_begin(how);
        loop {
            if let Some(result) = begun {
                return result;
            }
            let asking = self.ask();
            let answer = self.pending.block(deadline);
            if let Err(error) = &answer
                && error.is_timeout()
            {
                return Err(End::Failed(error.clone().into()));
            }
            self.accept(answer);
            begun = asking.try_begin(how);
        }
    }

    /// Asks the queue for an item, until the value is dropped.
    pub(crate) fn ask(self: &Rc<Self>) -> Asking {
        self.blocked.set(self.blocked.get() + 1);
        self.report_waiting();
        Asking(Some(Rc::clone(self)))
    }

    /// Returns whether the queue has to be asked for each item.
    pub(crate) fn has_no_words(&self) -> bool {
        matches!(&*self.end.borrow(), Some(End::NoWords))
    }

    /// Takes an item that has come, or the end.
    pub(crate) fn try_begin(self: &Rc<Self>, how: How) -> Option<Result<Taken, End>> {
        self.read_answers();
        match self.begin(how) {
            Some(taken) => Some(Ok(taken)),
            None => self.end.borrow().clone().map(Err),
        }
    }

    /// Handles the answers that have come.
    fn read_answers(&self) {
        // An error of the connection comes again and again.
        while !self.is_gone.get()
            && let Some(answer) = self.pending.take_read()
        {
            self.accept(answer);
        }
    }

    /// Begins with the first offer that the queue has not taken back.
    fn begin(self: &Rc<Self>, how: How) -> Option<Taken> {
        loop {
            let (head, answer) = self.buffer.borrow_mut().pop_front()?;
            let Head { slot, sequence, .. } = head;
            let has_descriptors = head.has_lost_descriptors
                || !matches!(&answer.descriptors, Ok(none) if none.is_empty());
            match how {
                How::Take if self.words.take(slot, sequence) => {
                    self.done(has_descriptors);
                    return Taken::new(answer, None);
                }
                How::Lease if self.words.lease(slot, sequence) => {
                    let consumer = Rc::clone(self);
                    let holding = Holding::offered(consumer, slot, sequence, has_descriptors);
                    return Taken::new(answer, Some(holding));
                }
                _ => {}
            }
        }
    }

    pub(crate) fn confirm(&self, slot: usize, sequence: u64, has_descriptors: bool) {
        if self.home.is_here() {
            self.words.confirm(slot, sequence);
            self.done(has_descriptors);
        }
    }

    pub(crate) fn give_back(&self, slot: usize, sequence: u64) {
        if self.home.is_here() {
            self.words.give_back(slot, sequence);
            self.notice();
        }
    }

    /// Counts an item that is confirmed. Invariant 4.
    fn done(&self, has_descriptors: bool) {
        self.unreported.set(self.unreported.get() + 1);
        if self.unreported.get() >= self.batch
            || has_descriptors
            || self.words.take_request_for_report()
            || !self.has_offer()
        {
            self.notice();
        }
    }

    /// Returns whether the queue has not taken back all offers that have come. Drops the oldest ones
    /// if it has.
    fn has_offer(&self) -> bool {
        let mut buffer = self.buffer.borrow_mut();
        while let Some((head, _)) = buffer.front() {
            if self.words.is_offered(head.slot, head.sequence) {
                return true;
            }
            drop(buffer.pop_front());
        }
        false
    }

    /// Handles an answer of the queue.
    fn accept(&self, answer: Result<Answer, BrokerError>) {
        let end = match answer {
            Ok(answer) if answer.status == Status::DONE => match Head::read(&answer.body) {
                Some(head) => {
                    self.seen.set(head.sequence);
                    self.buffer.borrow_mut().push_back((head, answer));
                    return;
                }
                None => {
                    self.is_gone.set(true);
                    End::Failed(garbled().into())
                }
            },
            Ok(answer) => match answer.status {
                Status::ENDED => End::Ended,
                Status::UNAVAILABLE => End::NoWords,
                _ => {
                    self.is_gone.set(true);
                    End::Failed(QueueError::of(&answer))
                }
            },
            Err(error) => {
                self.is_gone.set(true);
                End::Failed(error.into())
            }
        };
        let mut known = self.end.borrow_mut();
        // The end is the end, even if the connection fails after it.
        if !matches!(*known, Some(End::Ended)) {
            *known = Some(end);
        }
    }

    /// How many tasks and threads wait.
    fn waiting(&self) -> u64 {
        let line = self.line.borrow().len() as u64;
        line.saturating_sub(self.is_taking.get().into()) + self.blocked.get()
    }

    /// How many tasks and threads wait for items that have not come.
    fn wanted(&self) -> u64 {
        let has = self.buffer.borrow().len() as u64;
        self.waiting().saturating_sub(has)
    }

    /// Sends a notice if the queue expects that another number waits. Invariants 3 and 5.
    fn report_waiting(&self) {
        let (seen, waiting) = self.noticed.get();
        let expected = waiting.saturating_sub(self.seen.get() - seen);
        if expected != self.wanted() || self.kept() > self.waiting() {
            self.notice();
        }
    }

    /// How many of the offers that have come the queue does not take back, because they came for
    /// something that waited at the last notice.
    fn kept(&self) -> u64 {
        let (seen, waiting) = self.noticed.get();
        let last = seen.saturating_add(waiting);
        let buffer = self.buffer.borrow();
        buffer.partition_point(|(head, _)| head.sequence <= last) as u64
    }

    fn notice(&self) {
        if self.end.borrow().is_some() {
            return;
        }
        let (seen, wanted) = (self.seen.get(), self.wanted());
        self.noticed.set((seen, wanted));
        self.unreported.set(0);
        let body = message::notice(seen, wanted);
        // An error of the connection is the next answer.
        let link = self.pending.link();
        let _ = link.notify_later(Operation::NOTICE, self.queue, &body, Vec::new());
        // A put may wait for it, and this thread may not use the connection again.
        link.write();
    }

    /// Takes a task out of the line. Invariant 1.
    fn leave(&self, place: u64) {
        let (left, next) = {
            let mut line = self.line.borrow_mut();
            let was_first = line.keys().next() == Some(&place);
            let left = line.remove(&place);
            let next = line.values_mut().next().filter(|_| was_first);
            let next = next.and_then(Option::take);
            (left, next)
        };
        drop(left);
        wake_all(next.into_iter().collect());
        self.report_waiting();
    }

    /// Returns whether the queue or the connection does not exist any more.
    pub(super) fn is_gone(&self) -> bool {
        self.read_answers();
        self.is_gone.get()
    }

    /// Returns whether the queue was closed and has ended before it was gone.
    pub(super) fn has_ended(&self) -> bool {
        matches!(&*self.end.borrow(), Some(End::Ended))
    }
}

/// A request for an item, without a place in the line.
#[derive(Debug)]
pub(crate) struct Asking(Option<Rc<Consumer>>);

impl Asking {
    /// Takes an item that has come, or the end, and asks no more.
    pub(crate) fn try_begin(mut self, how: How) -> Option<Result<Taken, End>> {
        let consumer = self.0.take()?;
        consumer.blocked.set(consumer.blocked.get() - 1);
        let begun = consumer.try_begin(how);
        consumer.report_waiting();
        begun
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(consumer) = self.0.take() {
            consumer.blocked.set(consumer.blocked.get() - 1);
            consumer.read_answers();
            consumer.report_waiting();
        }
    }
}

/// A task that waits in the line.
#[derive(Debug)]
pub(crate) struct Waiting {
    consumer: Rc<Consumer>,
    place: u64,
}

impl Waiting {
    fn new(consumer: &Rc<Consumer>) -> Self {
        let place = consumer.next_place.get();
        consumer.next_place.set(place + 1);
        Self {
            consumer: Rc::clone(consumer),
            place,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.consumer.leave(self.place);
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").finish_non_exhaustive()
    }
}
