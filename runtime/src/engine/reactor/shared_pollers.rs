//! [`SharedPollers`]: the wakers of tasks that poll a source through a shared reference,
//! until its next event.
//!
//! A task that no longer waits does not remove its waker. The memory is bounded all the
//! same, and no waker is woken again and again while there is no event:
//!
//! 1. Each waker is in the list once, and an event takes all of them.
//! 2. There are no more wakers of tasks than there are tasks. Before their list grows,
//!    the wakers of finished tasks are removed.
//! 3. It cannot be known whether a future still waits for a foreign waker. When the list
//!    of foreign wakers is full, all of them are removed and woken, and a future that
//!    still waits polls again and adds its waker again. For a second after that the list
//!    grows with each waker, so that all of them fit, however many there are. So the list
//!    has room for 256 wakers, or for twice as many as were added in such a second.

use std::collections::BTreeSet;
use std::mem;
use std::ptr;
use std::task::Waker;

use crate::engine::task::waker::has_finished;

/// The minimum number of wakers of tasks at which the wakers of finished tasks are removed.
const MIN_TASKS: usize = 16;

/// The minimum number of foreign wakers at which all of them are removed.
const MIN_FOREIGN: usize = 256;

/// How long the list of foreign wakers grows after a removal, in nanoseconds: the time in
/// which the futures poll again.
const RETURN_TIME: u64 = 1_000_000_000;

/// The maximum length of a list that is searched from its start. A longer one has a set.
const MAX_SEARCHED: usize = 16;

/// The wakers of the shared pollers of one direction.
#[derive(Debug)]
pub(super) struct SharedPollers {
    tasks: Wakers,
    foreign: Wakers,
    /// Until when the list of foreign wakers grows, if some were removed.
    returning: Option<u64>,
}

impl Default for SharedPollers {
    fn default() -> Self {
        Self {
            tasks: Wakers::new(MIN_TASKS),
            foreign: Wakers::new(MIN_FOREIGN),
            returning: None,
        }
    }
}

impl SharedPollers {
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.list.is_empty() && self.foreign.list.is_empty()
    }

    pub(super) fn contains(&self, waker: &Waker) -> bool {
        match has_finished(waker) {
            Some(_) => self.tasks.contains(waker),
            None => self.foreign.contains(waker),
        }
    }

    /// Adds a waker. Returns the wakers that were removed to make room, for the caller to
    /// wake. `now` reads the clock of the loop.
    #[must_use]
    pub(super) fn insert(&mut self, waker: Waker, now: impl FnOnce() -> u64) -> Vec<Waker> {
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
                removed = mem::replace(&mut self.foreign, Wakers::new(MIN_FOREIGN)).list;
                self.returning = Some(now.saturating_add(RETURN_TIME));
            } else {
                self.returning = None;
            }
        }
        self.foreign.push(waker);
        removed
    }

    /// Takes all wakers. The room for them does not change.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Waker> {
        self.tasks.take().chain(self.foreign.take())
    }
}

/// Wakers in the order in which they were added.
#[derive(Debug)]
struct Wakers {
    list: Vec<Waker>,
    /// The identities of the wakers of the list, or empty if the list is short.
    set: BTreeSet<Identity>,
    /// The length of the list at which wakers are removed.
    room: usize,
    /// The minimum of `room`.
    min_room: usize,
}

/// The data and the functions of a waker: what [`Waker::will_wake`] compares.
type Identity = (usize, usize);

fn identity(waker: &Waker) -> Identity {
    (waker.data().addr(), ptr::from_ref(waker.vtable()).addr())
}

impl Wakers {
    fn new(min_room: usize) -> Self {
        Self {
            list: Vec::new(),
            set: BTreeSet::new(),
            room: min_room,
            min_room,
        }
    }

    fn contains(&self, waker: &Waker) -> bool {
        if self.set.is_empty() {
            self.list.iter().any(|known| known.will_wake(waker))
        } else {
            self.set.contains(&identity(waker))
        }
    }

    fn push(&mut self, waker: Waker) {
        if !self.set.is_empty() {
            self.set.insert(identity(&waker));
        }
        self.list.push(waker);
        if self.set.is_empty() && self.list.len() > MAX_SEARCHED {
            self.set = self.list.iter().map(identity).collect();
        }
    }

    fn is_full(&self) -> bool {
        self.list.len() >= self.room
    }

    fn make_room(&mut self) {
        self.room = self.min_room.max(2 * self.list.len());
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
