//! [`Group`]: the sockets of one `bind` that a worker accepts from: its own, and
//! those of siblings that are down.
//!
//! 1. The own socket is the first, and is there until the group is closed.
//! 2. Whoever waits has polled every socket, and has its waker in `waiting`. What
//!    changes the sockets wakes all of them.
//! 3. The kernel tells of a connection to a shared socket to one of those who wait,
//!    and nobody else. So who closes it takes what it may have been told of: its
//!    callers get what is queued then, before they hear of the end.
//! 4. Nothing is borrowed while a socket is polled or dropped, or a waker is woken,
//!    cloned or dropped.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use coreloop_net::AcceptPause;

use super::socket::Socket;

/// More tasks than wait at one listener, as a rule. Of more, those that have waited
/// longest poll again.
const MOST_WAITING: usize = 64;

/// More than a worker was told of and did not look at yet, as a rule.
const MOST_REMAINING: u32 = 128;

pub(super) struct Group<L: Socket> {
    /// The slot of each, and the socket.
    sockets: RefCell<Vec<(u32, Rc<Held<L>>)>>,
    /// The one to ask first.
    next: Cell<usize>,
    stage: Cell<Stage>,
    /// How often there were sockets that nobody has polled, or none any more.
    changes: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
    address: L::Address,
    /// Whether siblings have the same socket, so that there is none to adopt.
    shared: bool,
    /// What is left of a shared one after it was closed.
    remains: RefCell<Option<Remains<L>>>,
}

/// A shared socket off the loop, and how many connections may be taken from it.
/// There is an end to it, though the siblings may never let the queue be empty.
struct Remains<L: Socket> {
    socket: L::OffLoop,
    most: u32,
}

/// How far a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nobody has waited yet.
    New,
    /// It accepts.
    Open,
    /// It accepts no more.
    Closed,
}

/// What a poll of a group comes to.
pub(super) type Accepted<L> = io::Result<Option<(<L as Socket>::Stream, <L as Socket>::Address)>>;

/// A socket that leaves the loop when it is dropped.
struct Held<L: Socket>(Option<L>);

impl<L: Socket> Group<L> {
    pub(super) fn new(slot: u32, socket: OwnedFd, shared: bool) -> io::Result<Group<L>> {
        let own = L::on_loop(socket, shared)?;
        Ok(Group {
            address: own.address()?,
            sockets: RefCell::new(vec![(slot, Rc::new(Held(Some(own))))]),
            next: Cell::new(0),
            stage: Cell::new(Stage::New),
            changes: Cell::new(0),
            waiting: RefCell::default(),
            shared,
            remains: RefCell::default(),
        })
    }

    pub(super) fn address(&self) -> &L::Address {
        &self.address
    }

    #[inline]
    pub(super) fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// From now on it is open, unless it is closed.
    pub(super) fn open(&self) {
        if self.stage.get() == Stage::New {
            self.stage.set(Stage::Open);
        }
    }

    /// The next connection; `None` when it is closed.
    #[inline]
    pub(super) fn poll_accept(
        &self,
        pause: &mut AcceptPause,
        cx: &mut Context<'_>,
    ) -> Poll<Accepted<L>> {
        let changes = self.changes.get();
        let (count, own) = {
            let sockets = self.sockets.borrow();
            match sockets.first() {
                Some((_, own)) => (sockets.len(), Rc::clone(own)),
                None => return Poll::Ready(Ok(self.take_remaining())),
            }
        };
        let accepted = match count {
            1 => own.poll(pause, cx).map_ok(Some),
            _ => self.poll_each(pause, cx),
        };
        if accepted.is_pending() {
            self.wait(cx, changes);
        }
        accepted
    }

    /// Asks one socket after another, beginning with the one after that which had a
    /// connection last.
    #[cold]
    fn poll_each(&self, pause: &mut AcceptPause, cx: &mut Context<'_>) -> Poll<Accepted<L>> {
        let sockets = self.sockets.borrow().clone();
        let (count, first) = (sockets.len(), self.next.get());
        for step in 0..count {
            let index = (first + step) % count;
            let (slot, socket) = &sockets[index];
            match socket.poll(pause, cx) {
                Poll::Ready(Ok(accepted)) => {
                    self.next.set(index + 1);
                    return Poll::Ready(Ok(Some(accepted)));
                }
                // What is wrong with a sibling's is for the sibling.
                Poll::Ready(Err(_)) if index > 0 => self.release(*slot),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    /// A connection that was queued when the group was closed.
    #[cold]
    fn take_remaining(&self) -> Option<(L::Stream, L::Address)> {
        let mut remains = self.remains.borrow_mut();
        let socket = remains.as_mut().filter(|remains| remains.most > 0)?;
        socket.most -= 1;
        let accepted = L::accept_queued(&socket.socket).ok();
        if accepted.is_none() {
            *remains = None;
        }
        accepted
    }

    /// Notes whom to wake when the sockets change, of which there have been so many
    /// changes before they were polled.
    #[inline]
    fn wait(&self, cx: &Context<'_>, changes: u64) {
        let noted = |waker: &Waker| waker.will_wake(cx.waker());
        if !self.waiting.borrow().iter().any(noted) {
            self.note(cx);
        }
        if self.changes.get() != changes {
            // A waker is others' code, which may have told the worker to end.
            cx.waker().wake_by_ref();
        }
    }

    #[cold]
    fn note(&self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let before = {
            let mut waiting = self.waiting.borrow_mut();
            let is_full = waiting.len() >= MOST_WAITING;
            let before = if is_full {
                mem::take(&mut *waiting)
            } else {
                Vec::new()
            };
            waiting.push(waker);
            before
        };
        wake(before);
    }

    /// Accepts from the socket of another slot too.
    pub(super) fn adopt(&self, slot: u32, socket: OwnedFd) -> io::Result<()> {
        if self.shared || self.stage.get() == Stage::Closed {
            return Ok(());
        }
        let socket = Rc::new(Held(Some(L::on_loop(socket, false)?)));
        self.release(slot);
        self.sockets.borrow_mut().push((slot, socket));
        self.changed();
        Ok(())
    }

    /// No longer accepts from the socket of another slot.
    pub(super) fn release(&self, slot: u32) {
        let released = {
            let mut sockets = self.sockets.borrow_mut();
            let mut others = sockets.iter().skip(1);
            let found = others.position(|(of, _)| *of == slot);
            found.map(|index| sockets.remove(index + 1))
        };
        drop(released);
    }

    /// Accepts no more: takes all sockets off the loop, and tells who waits.
    pub(super) fn close(&self) {
        self.stage.set(Stage::Closed);
        let mut sockets = mem::take(&mut *self.sockets.borrow_mut());
        if self.shared
            && let Some((_, own)) = sockets.pop()
        {
            let socket = Rc::into_inner(own).and_then(Held::off_loop);
            let remains = socket.map(|socket| Remains {
                socket,
                most: MOST_REMAINING,
            });
            *self.remains.borrow_mut() = remains;
        }
        drop(sockets);
        self.changed();
    }

    /// Has everybody who waits look again.
    fn changed(&self) {
        self.changes.set(self.changes.get() + 1);
        let waiting = mem::take(&mut *self.waiting.borrow_mut());
        wake(waiting);
    }
}

/// None is forgotten for the panic of another.
fn wake(wakers: Vec<Waker>) {
    for waker in wakers {
        drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
    }
}

impl<L: Socket> Held<L> {
    fn off_loop(mut self) -> Option<L::OffLoop> {
        self.take_off_loop()
    }

    /// The socket is closed if it cannot be taken off.
    fn take_off_loop(&mut self) -> Option<L::OffLoop> {
        self.0.take().and_then(|socket| socket.off_loop().ok())
    }

    #[inline]
    fn poll(
        &self,
        pause: &mut AcceptPause,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(L::Stream, L::Address)>> {
        match &self.0 {
            Some(socket) => socket.poll(pause, cx),
            // Only while it is dropped.
            None => Poll::Pending,
        }
    }
}

impl<L: Socket> Drop for Held<L> {
    fn drop(&mut self) {
        self.take_off_loop();
    }
}
