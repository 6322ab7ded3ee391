//! [`Link`], the pool's record of one worker: its process and its page.

use std::cell::{Cell, RefCell};
use std::io;
use std::process::ExitStatus;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use coreloop_process::__pool::{Exit, adopt};
use coreloop_runtime::time::Instant;

use crate::dispatch::Words;
use crate::frame::Ticket;
use crate::page::Page;
use crate::process::Registered;

/// The pool's record of one worker. Dropping it kills the process.
pub(crate) struct Link {
    pub(crate) pid: u32,
    pub(crate) number: u64,
    pub(crate) page: Page,
    /// The entry in the list of children, until the end of the process is noticed.
    active: Cell<Option<Registered>>,
    /// Taken only by the destructor.
    exit: RefCell<Option<Exit>>,
    /// The task of the worker.
    waker: Cell<Option<Waker>>,
    /// When the worker became ready.
    pub(crate) ready_at: Cell<Option<Instant>>,
    /// Why the pool has killed the worker, or the failure of the initializer that the worker has
    /// reported.
    pub(crate) failure: RefCell<Option<String>>,
    /// Whether the worker was asked to end.
    pub(crate) is_ending: Cell<bool>,
    /// Whether the pool has killed the worker.
    pub(crate) is_killed: Cell<bool>,
    /// How many jobs the worker has finished.
    pub(crate) done: Cell<u64>,
}

impl Link {
    pub(crate) fn new(number: u64, name: &str, exit: Exit, page: Page) -> Rc<Self> {
        let pid = exit.id().unwrap_or(0);
        Rc::new(Self {
            pid,
            active: Cell::new(Some(Registered::new(pid, name.to_owned()))),
            number,
            page,
            exit: RefCell::new(Some(exit)),
            waker: Cell::new(None),
            ready_at: Cell::new(None),
            failure: RefCell::new(None),
            is_ending: Cell::new(false),
            is_killed: Cell::new(false),
            done: Cell::new(0),
        })
    }

    /// Wakes the task of the worker, which takes jobs for it and carries out requests.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake_by_ref();
            self.waker.set(Some(waker));
        }
    }

    /// Keeps the waker of the worker's task, which is always the same.
    pub(super) fn keep_waker(&self, cx: &Context<'_>) {
        let waker = self.waker.take();
        let is_kept = waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()));
        let waker = if is_kept {
            waker
        } else {
            Some(cx.waker().clone())
        };
        self.waker.set(waker);
    }

    /// Asks the worker to end once it has finished its jobs.
    pub(crate) fn end(&self) {
        if !self.is_ending.replace(true) {
            self.wake();
        }
    }

    pub(crate) fn kill(&self) {
        self.is_killed.set(true);
        // This fails only if the process has ended already.
        if let Some(exit) = &*self.exit.borrow() {
            let _ = exit.kill();
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) -> io::Result<()> {
        match &*self.exit.borrow() {
            Some(exit) if !exit.is_collected() => exit.signal(signal),
            _ => Ok(()),
        }
    }

    pub(super) fn poll_exit(&self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        match &mut *self.exit.borrow_mut() {
            Some(exit) => {
                let status = ready!(exit.poll_wait(cx));
                drop(self.active.take());
                Poll::Ready(status)
            }
            None => Poll::Pending,
        }
    }

    /// Collects the status of the process if it has ended. This is for a process whose runtime
    /// has ended, so that no task waits for it.
    pub(crate) fn try_collect(&self) -> Option<ExitStatus> {
        let status = self.exit.borrow_mut().as_mut()?.try_wait().ok()??;
        drop(self.active.take());
        Some(status)
    }

    pub(crate) fn is_collected(&self) -> bool {
        self.exit.borrow().as_ref().is_none_or(Exit::is_collected)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(exit) = self.exit.take()
            && !exit.is_collected()
        {
            let _ = exit.kill();
            adopt(exit);
        }
    }
}

impl Words for Rc<Link> {
    fn queue(&self, ticket: Ticket) {
        // Before the word: a worker that reads QUEUED must find this position.
        self.page
            .position(ticket.slot())
            .store(0, Ordering::Relaxed);
        self.page.word(ticket.slot()).queue(ticket.sequence());
    }

    fn revoke(&self, ticket: Ticket) -> bool {
        self.page.word(ticket.slot()).revoke(ticket.sequence())
    }

    fn ask_cancel(&self, ticket: Ticket) -> bool {
        self.page.word(ticket.slot()).ask_cancel(ticket.sequence())
    }

    fn has_started(&self, ticket: Ticket) -> bool {
        self.page.word(ticket.slot()).has_started(ticket.sequence())
    }
}
