//! [`AcceptGroup`], the sockets of one `bind` call that a worker accepts from: its own, one
//! for each address, and the adopted sockets of workers that are down.
//!
//! # Invariants
//!
//! 1. The worker's own sockets are the first, at least one, and stay until the group is closed.
//! 2. A task that waits has polled every socket, and has its waker in `waiting`. Every
//!    change of the sockets wakes all of these tasks.
//! 3. The kernel reports a connection to a shared socket to only one of the workers that
//!    wait for it. So a worker that closes the socket accepts the connections that may have
//!    been reported to it: its callers get the connections queued at that moment, and `None`
//!    only after them.
//! 4. Nothing is borrowed while a socket is polled or dropped, or a waker is woken,
//!    cloned or dropped.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use coreloop_net::AcceptBackoff;
use coreloop_runtime::__panics::caught;

use super::socket::Socket;

/// The maximum number of registered wakers, which is more than usually wait at one
/// listener. A further one wakes all the registered tasks, which then poll again.
const MAX_WAITING: usize = 64;

/// The maximum number of connections accepted from a shared socket after it was closed.
/// It is more than the kernel has usually reported to one worker.
const MAX_QUEUED: u32 = 128;

pub(super) struct AcceptGroup<L: Socket> {
    /// The sockets, with the slot of each.
    sockets: RefCell<Vec<(u32, Rc<LoopSocket<L>>)>>,
    /// How many of the sockets are the worker's own.
    own: usize,
    /// The index of the socket to poll first.
    next: Cell<usize>,
    stage: Cell<GroupStage>,
    /// How often sockets were added that no waiting task has polled, or were removed.
    changes: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
    address: L::Address,
    /// Whether all workers have the same sockets, so that there is none to adopt.
    shared: bool,
    /// The connections still to be accepted from shared sockets after they were closed.
    queued: RefCell<Vec<QueuedConnections<L>>>,
}

/// A shared socket off the loop, and how many more connections may be accepted from it. The
/// number is limited because clients may keep the queue filled.
struct QueuedConnections<L: Socket> {
    socket: L::OffLoop,
    left: u32,
}

/// The stage of an [`AcceptGroup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupStage {
    /// No task has polled it yet.
    New,
    /// It accepts.
    Open,
    /// It accepts no more.
    Closed,
}

/// The output of accepting from a group: a connection, or `None` once it is closed.
pub(super) type Accepted<L> = io::Result<Option<(<L as Socket>::Stream, <L as Socket>::Address)>>;

/// A socket that leaves the loop when it is dropped.
struct LoopSocket<L: Socket>(Option<L>);

impl<L: Socket> AcceptGroup<L> {
    pub(super) fn new(slot: u32, sockets: Vec<OwnedFd>, shared: bool) -> io::Result<Self> {
        let sockets = on_loop::<L>(slot, sockets, shared)?;
        let first = sockets.first().and_then(|(_, socket)| socket.0.as_ref());
        let address = first.map(L::address).transpose()?;
        Ok(Self {
            address: address.ok_or(io::ErrorKind::InvalidData)?,
            own: sockets.len(),
            sockets: RefCell::new(sockets),
            next: Cell::new(0),
            stage: Cell::new(GroupStage::New),
            changes: Cell::new(0),
            waiting: RefCell::default(),
            shared,
            queued: RefCell::default(),
        })
    }

    /// Returns the address of the first of the worker's own sockets.
    pub(super) fn address(&self) -> &L::Address {
        &self.address
    }

    /// Returns how many sockets a worker has of its own.
    pub(super) fn own(&self) -> usize {
        self.own
    }

    #[inline]
    pub(super) fn stage(&self) -> GroupStage {
        self.stage.get()
    }

    /// Opens the group, unless it is closed.
    pub(super) fn open(&self) {
        if self.stage.get() == GroupStage::New {
            self.stage.set(GroupStage::Open);
        }
    }

    /// Accepts the next connection; `None` once the group is closed.
    #[inline]
    pub(super) fn poll_accept(
        &self,
        pause: &mut AcceptBackoff,
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

    /// Polls one socket after another, beginning after the one that had a connection last.
    // Not inlined, so that the usual case of one socket stays short.
    #[inline(never)]
    fn poll_each(&self, pause: &mut AcceptBackoff, cx: &mut Context<'_>) -> Poll<Accepted<L>> {
        let (count, first) = (self.sockets.borrow().len(), self.next.get());
        for step in 0..count {
            let index = (first + step) % count;
            // A waker may have removed sockets meanwhile. Then the task polls again.
            let found = self.sockets.borrow().get(index).cloned();
            let Some((_, socket)) = found else {
                break;
            };
            match socket.poll(pause, cx) {
                Poll::Ready(Ok(accepted)) => {
                    self.next.set(index + 1);
                    return Poll::Ready(Ok(Some(accepted)));
                }
                // An error of an adopted socket is for its own worker to handle.
                Poll::Ready(Err(_)) if index >= self.own => {
                    self.remove(|_, other| Rc::ptr_eq(other, &socket));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    }

    /// Accepts a connection that was queued when the group was closed.
    #[cold]
    fn take_remaining(&self) -> Option<(L::Stream, L::Address)> {
        let mut remains = self.queued.borrow_mut();
        while let Some(socket) = remains.last_mut() {
            if socket.left > 0 {
                socket.left -= 1;
                if let Ok(accepted) = L::accept_queued(&socket.socket) {
                    return Some(accepted);
                }
            }
            remains.pop();
        }
        None
    }

    /// Registers the task for changes of the sockets. `changes` is the count from before the
    /// sockets were polled.
    #[inline]
    fn wait(&self, cx: &Context<'_>, changes: u64) {
        let is_own = |waker: &Waker| waker.will_wake(cx.waker());
        if !self.waiting.borrow().iter().any(is_own) {
            self.register(cx);
        }
        if self.changes.get() != changes {
            // Cloning a waker runs user code, which may have changed the sockets.
            cx.waker().wake_by_ref();
        }
    }

    #[cold]
    fn register(&self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let before = {
            let mut waiting = self.waiting.borrow_mut();
            let is_full = waiting.len() >= MAX_WAITING;
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

    /// Adopts the sockets of another slot.
    pub(super) fn adopt(&self, slot: u32, sockets: Vec<OwnedFd>) -> io::Result<()> {
        if self.shared || self.stage.get() == GroupStage::Closed {
            return Ok(());
        }
        let adopted = on_loop(slot, sockets, false)?;
        self.release(slot);
        self.sockets.borrow_mut().extend(adopted);
        self.changed();
        Ok(())
    }

    /// Stops accepting from the sockets of another slot.
    pub(super) fn release(&self, slot: u32) {
        self.remove(|of, _| of == slot);
    }

    /// Removes the adopted sockets for which `is_gone` returns `true`.
    fn remove(&self, is_gone: impl Fn(u32, &Rc<LoopSocket<L>>) -> bool) {
        let removed: Vec<_> = {
            let mut sockets = self.sockets.borrow_mut();
            let adopted = self.own.min(sockets.len())..;
            let gone = sockets.extract_if(adopted, |(slot, socket)| is_gone(*slot, socket));
            gone.collect()
        };
        if !removed.is_empty() {
            // A task that is polling may miss the sockets that have moved.
            self.changes.set(self.changes.get() + 1);
        }
        drop(removed);
    }

    /// Closes the group: takes all sockets off the loop, and wakes the waiting tasks.
    pub(super) fn close(&self) {
        self.stage.set(GroupStage::Closed);
        let sockets = mem::take(&mut *self.sockets.borrow_mut());
        if self.shared {
            let off_loop = sockets.into_iter().filter_map(|(_, own)| {
                let socket = Rc::into_inner(own).and_then(LoopSocket::off_loop)?;
                Some(QueuedConnections {
                    socket,
                    left: MAX_QUEUED,
                })
            });
            let remains = off_loop.collect();
            *self.queued.borrow_mut() = remains;
        } else {
            drop(sockets);
        }
        self.changed();
    }

    /// Wakes all waiting tasks, so that they poll again.
    fn changed(&self) {
        self.changes.set(self.changes.get() + 1);
        let waiting = mem::take(&mut *self.waiting.borrow_mut());
        wake(waiting);
    }
}

/// Puts the sockets of a slot on this thread's loop.
fn on_loop<L: Socket>(
    slot: u32,
    sockets: Vec<OwnedFd>,
    shared: bool,
) -> io::Result<Vec<(u32, Rc<LoopSocket<L>>)>> {
    let on_loop = sockets.into_iter().map(|socket| {
        let socket = LoopSocket(Some(L::on_loop(socket, shared)?));
        Ok((slot, Rc::new(socket)))
    });
    on_loop.collect()
}

/// Wakes all, even if a waker panics.
fn wake(wakers: Vec<Waker>) {
    for waker in wakers {
        caught(|| waker.wake());
    }
}

impl<L: Socket> LoopSocket<L> {
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
        pause: &mut AcceptBackoff,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(L::Stream, L::Address)>> {
        match &self.0 {
            Some(socket) => socket.poll(pause, cx),
            // Only while the socket is dropped.
            None => Poll::Pending,
        }
    }
}

impl<L: Socket> Drop for LoopSocket<L> {
    fn drop(&mut self) {
        self.take_off_loop();
    }
}
