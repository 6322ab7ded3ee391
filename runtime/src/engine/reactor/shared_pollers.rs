//! The wakers of tasks that poll a source by a shared reference, until its next event.
//!
//! A task that does not wait any more leaves its waker here, and does not report that.
//! The memory is bounded all the same, and no waker is woken again and again while no
//! event comes:
//!
//! 1. Each waker is in the list once, and an event takes all of them.
//! 2. There are no more wakers of tasks than there are tasks. Before their list grows,
//!    the wakers of finished tasks are removed.
//! 3. Whether a foreign waker is still of use cannot be known. When the list of foreign
//!    wakers is full, all of them are removed and woken, and a future that still waits
//!    polls again and adds its waker again. For a second after that the list grows with
//!    each waker, so that all of them fit, however many there are. So it has room for
//!    256 wakers, or for twice as many as were added in such a second.

use std::collections::BTreeSet;
use std::mem;
use std::ptr;
use std::task::Waker;

use crate::engine::task::waker::has_finished;

/// How many wakers of tasks there may be before finished tasks are looked for, at least.
const LEAST_TASKS: usize = 16;

/// How many foreign wakers there may be before they are removed, at least.
const LEAST_FOREIGN: usize = 256;

/// How long futures whose wakers were removed have to poll again, in nanoseconds.
const RETURN: u64 = 1_000_000_000;

/// The longest list that is searched from its start, without a set.
const SHORT: usize = 16;

/// The wakers for one direction.
#[derive(Debug)]
pub(crate) struct SharedPollers {
    tasks: Wakers,
    foreign: Wakers,
    /// Until when foreign wakers that were removed may be added again.
    returning: Option<u64>,
}

impl Default for SharedPollers {
    fn default() -> SharedPollers {
        SharedPollers {
            tasks: Wakers::new(LEAST_TASKS),
            foreign: Wakers::new(LEAST_FOREIGN),
            returning: None,
        }
    }
}

impl SharedPollers {
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.list.is_empty() && self.foreign.list.is_empty()
    }

    pub(crate) fn contains(&self, waker: &Waker) -> bool {
        match has_finished(waker) {
            Some(_) => self.tasks.contains(waker),
            None => self.foreign.contains(waker),
        }
    }

    /// Adds a waker, and returns the wakers that were removed for it, which the caller
    /// wakes. `now` reads the clock of the loop.
    #[must_use]
    pub(crate) fn insert(&mut self, waker: Waker, now: impl FnOnce() -> u64) -> Vec<Waker> {
        if has_finished(&waker).is_some() {
            self.insert_task(waker);
            return Vec::new();
        }
        self.insert_foreign(waker, now)
    }

    fn insert_task(&mut self, waker: Waker) {
        if self.tasks.is_full() {
            // Dropping the waker of a task runs no user code.
            self.tasks.remove_finished();
            self.tasks.make_room();
        }
        self.tasks.push(waker);
    }

    fn insert_foreign(&mut self, waker: Waker, now: impl FnOnce() -> u64) -> Vec<Waker> {
        let mut removed = Vec::new();
        if self.returning.is_some() || self.foreign.is_full() {
            let now = now();
            if self.returning.is_some_and(|until| now < until) {
                self.foreign.make_room();
            } else if self.foreign.is_full() {
                removed = mem::replace(&mut self.foreign, Wakers::new(LEAST_FOREIGN)).list;
                self.returning = Some(now.saturating_add(RETURN));
            } else {
                self.returning = None;
            }
        }
        self.foreign.push(waker);
        removed
    }

    /// Removes all wakers, and leaves as much room as there was for them.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Waker> {
        self.tasks.take().chain(self.foreign.take())
    }
}

/// Wakers in the order in which they were added.
#[derive(Debug)]
struct Wakers {
    list: Vec<Waker>,
    /// What identifies each waker of the list, unless that is short.
    set: BTreeSet<Identity>,
    /// How many there may be before some are removed, and at least.
    room: usize,
    least: usize,
}

/// The data and the functions of a waker: what [`Waker::will_wake`] compares.
type Identity = (usize, usize);

fn identity(waker: &Waker) -> Identity {
    (waker.data().addr(), ptr::from_ref(waker.vtable()).addr())
}

impl Wakers {
    fn new(least: usize) -> Wakers {
        Wakers {
            list: Vec::new(),
            set: BTreeSet::new(),
            room: least,
            least,
        }
    }

    fn contains(&self, waker: &Waker) -> bool {
        if self.set.is_empty() {
            self.list.iter().any(|noted| noted.will_wake(waker))
        } else {
            self.set.contains(&identity(waker))
        }
    }

    fn push(&mut self, waker: Waker) {
        if !self.set.is_empty() {
            self.set.insert(identity(&waker));
        }
        self.list.push(waker);
        if self.set.is_empty() && self.list.len() > SHORT {
            self.set = self.list.iter().map(identity).collect();
        }
    }

    fn is_full(&self) -> bool {
        self.list.len() >= self.room
    }

    fn make_room(&mut self) {
        self.room = self.least.max(2 * self.list.len());
    }

    fn remove_finished(&mut self) {
        self.set.clear();
        let mut list = mem::take(&mut self.list);
        list.retain(|waker| has_finished(waker) == Some(false));
        list.into_iter().for_each(|waker| self.push(waker));
    }

    fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.set.clear();
        mem::take(&mut self.list).into_iter()
    }
}
