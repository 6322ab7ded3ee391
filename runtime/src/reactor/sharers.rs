//! The wakers of those that poll a source by a shared reference, until its next event.
//!
//! A poll that is given up leaves its waker here, and nothing reports that. The memory is
//! bounded all the same, and no waker is woken again and again while nothing happens:
//!
//! 1. Each waker is noted once, and an event takes all of them.
//! 2. Wakers of tasks are no more than there are tasks. Before their list grows, those of
//!    tasks that have finished are removed.
//! 3. Whether another waker is still of use cannot be known. When there are more of them
//!    than there is room for, all are removed and woken: those that still wait poll
//!    again, and are noted again. For a second the room then grows with their number, so
//!    that they find room however many they are. It is for 256, or for twice as many as
//!    came in such a second.

use std::collections::BTreeSet;
use std::mem;
use std::ptr;
use std::task::Waker;

use crate::task::has_finished;

/// So many wakers of tasks are noted before finished tasks are looked for.
const LEAST_TASKS: usize = 16;

/// There is room for so many other wakers at least.
const LEAST_OTHERS: usize = 256;

/// How long wakers that were woken to find out whether they still wait may take to come
/// back, in nanoseconds.
const RETURN: u64 = 1_000_000_000;

/// A list of so many wakers is searched from its start, which needs no set.
const SHORT: usize = 16;

/// The wakers of those that poll in one direction.
#[derive(Debug)]
pub(super) struct Sharers {
    tasks: Wakers,
    others: Wakers,
    /// Until when others may come back that were removed to make room.
    returning: Option<u64>,
}

impl Default for Sharers {
    fn default() -> Sharers {
        Sharers {
            tasks: Wakers::new(LEAST_TASKS),
            others: Wakers::new(LEAST_OTHERS),
            returning: None,
        }
    }
}

impl Sharers {
    #[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.list.is_empty() && self.others.list.is_empty()
    }

    pub(super) fn contains(&self, waker: &Waker) -> bool {
        match has_finished(waker) {
            Some(_) => self.tasks.contains(waker),
            None => self.others.contains(waker),
        }
    }

    /// Adds a waker. The caller wakes those that are returned, which are removed. `now`
    /// asks the clock of the loop.
    #[must_use]
    pub(super) fn insert(&mut self, waker: Waker, now: impl FnOnce() -> u64) -> Vec<Waker> {
        if has_finished(&waker).is_some() {
            self.insert_task(waker);
            return Vec::new();
        }
        self.insert_other(waker, now)
    }

    fn insert_task(&mut self, waker: Waker) {
        if self.tasks.is_full() {
            // Dropping the waker of a task runs no code of the user's.
            self.tasks.remove_finished();
            self.tasks.make_room();
        }
        self.tasks.push(waker);
    }

    fn insert_other(&mut self, waker: Waker, now: impl FnOnce() -> u64) -> Vec<Waker> {
        let mut removed = Vec::new();
        if self.returning.is_some() || self.others.is_full() {
            let now = now();
            if self.returning.is_some_and(|until| now < until) {
                self.others.make_room();
            } else if self.others.is_full() {
                removed = mem::replace(&mut self.others, Wakers::new(LEAST_OTHERS)).list;
                self.returning = Some(now.saturating_add(RETURN));
            } else {
                self.returning = None;
            }
        }
        self.others.push(waker);
        removed
    }

    /// Removes all wakers. There is as much room for those that come back.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Waker> {
        self.tasks.take().chain(self.others.take())
    }
}

/// Wakers in the order in which they came.
#[derive(Debug)]
struct Wakers {
    list: Vec<Waker>,
    /// The wakers of a list that is not short, by what makes them equal.
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
