//! [`Deadlines`], the time limits of the jobs of a pool, and the task that waits for them.
//!
//! One task waits for the earliest limit, on the loop of the pool. So a job can be submitted
//! outside this loop, and the end of another loop ends no time limit.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};

use coreloop_runtime::task::spawn_hidden;
use coreloop_runtime::time::{Instant, Sleep, sleep_until};

use super::core::Core;
use crate::dispatch::JobKey;
use crate::error::ErrorKind;

/// The time limits of the jobs of a pool. When this is dropped, its task ends.
#[derive(Default)]
pub(crate) struct Deadlines(Rc<List>);

/// A time limit, and the number of its job.
type Key = (Instant, u64);

#[derive(Default)]
struct List {
    /// It is borrowed only to change or read it.
    jobs: RefCell<BTreeMap<Key, JobKey>>,
    /// The task.
    waker: Cell<Option<Waker>>,
    has_ended: Cell<bool>,
}

/// The time limit of a job, which ends when this is dropped.
pub(crate) struct Timer {
    list: Rc<List>,
    key: Key,
}

impl Deadlines {
    /// Starts the task, which does not keep the pool alive.
    pub(crate) fn start(&self, core: Weak<Core>) {
        let list = Rc::clone(&self.0);
        let mut sleep = None;
        spawn_hidden(poll_fn(move |cx| list.poll(cx, &core, &mut sleep)));
    }

    /// Sets the time limit of a job.
    pub(crate) fn add(&self, deadline: Instant, job: JobKey) -> Timer {
        let key = (deadline, job.number());
        let mut jobs = self.0.jobs.borrow_mut();
        let is_first = jobs.first_key_value().is_none_or(|(first, _)| key < *first);
        jobs.insert(key, job);
        drop(jobs);
        if is_first {
            self.0.wake();
        }
        Timer {
            list: Rc::clone(&self.0),
            key,
        }
    }
}

impl List {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Ends the jobs whose limit has passed, and waits for the next limit.
    fn poll(
        &self,
        cx: &mut Context<'_>,
        core: &Weak<Core>,
        sleep: &mut Option<(Instant, Pin<Box<Sleep>>)>,
    ) -> Poll<()> {
        loop {
            if self.has_ended.get() {
                return Poll::Ready(());
            }
            self.waker.set(Some(cx.waker().clone()));
            let first = self.jobs.borrow().keys().next().copied();
            let Some((deadline, _)) = first else {
                *sleep = None;
                return Poll::Pending;
            };
            if deadline <= Instant::now() {
                let job = self.jobs.borrow_mut().pop_first();
                if let Some(((_, job), core)) = job.zip(core.upgrade()) {
                    core.cancel(job, ErrorKind::Timeout);
                }
                continue;
            }
            let (_, waiting) = match sleep.take_if(|(at, _)| *at == deadline) {
                Some(kept) => sleep.insert(kept),
                None => sleep.insert((deadline, Box::pin(sleep_until(deadline)))),
            };
            ready!(waiting.as_mut().poll(cx));
            *sleep = None;
        }
    }
}

impl Drop for Deadlines {
    fn drop(&mut self) {
        self.0.has_ended.set(true);
        self.0.wake();
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.list.jobs.borrow_mut().remove(&self.key);
    }
}
