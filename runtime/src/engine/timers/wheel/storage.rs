//! The memory of the timers of the wheel, indexed by their keys.

use std::mem;
use std::task::Waker;

use crate::engine::panics::UserValue;
use crate::engine::task::task_slot::TaskSlot;
use crate::engine::timers::wheel::coalescing::SLACK_UNIT_SHIFT;

/// The key of no timer: the end of the list of free timers.
const NONE: u32 = u32::MAX;

/// The slot of a timer that has fired, or is free.
pub(super) const FIRED: u16 = u16::MAX;

/// One timer. It takes half a cache line, because a loop with very many timers mostly
/// waits for memory.
#[derive(Debug)]
#[repr(align(32))]
pub(super) struct Timer {
    /// In nanoseconds on the loop's clock.
    pub(super) deadline: u64,
    pub(super) task: TaskSlot,
    /// The foreign waker to wake instead of `task`, if there is one.
    pub(super) foreign: Option<Box<UserValue<Waker>>>,
    /// The [`slot_index`](Timer::slot_index) of a timer that is in a slot, or the
    /// [`next_free`](Timer::next_free) of a free timer.
    index: u32,
    pub(super) slot: u16,
    /// In units of slack: see `SLACK_UNIT_SHIFT`.
    pub(super) slack: u16,
}

impl Timer {
    /// Returns the index of the timer in the list of its slot. The timer must be in a slot.
    #[inline]
    pub(super) fn slot_index(&self) -> u32 {
        self.index
    }

    #[inline]
    pub(super) fn set_slot_index(&mut self, index: u32) {
        self.index = index;
    }

    /// Returns the key of the next timer in the list of free timers. This timer must be
    /// free.
    #[inline]
    fn next_free(&self) -> u32 {
        self.index
    }

    /// Returns the end of the timer's slack: the latest time at which a parked loop is
    /// woken for it.
    #[inline]
    pub(super) fn slack_end(&self) -> u64 {
        self.deadline
            .saturating_add(u64::from(self.slack) << SLACK_UNIT_SHIFT)
    }
}

/// The timers, and the list of the free ones.
#[derive(Debug)]
pub(super) struct TimerStorage {
    timers: Vec<Timer>,
    /// The key of the first free timer.
    first_free: u32,
    /// Whether the first free timer may have a task: see invariant 4 of the wheel.
    free_has_task: bool,
}

impl TimerStorage {
    pub(super) fn new() -> Self {
        Self {
            timers: Vec::new(),
            first_free: NONE,
            free_has_task: false,
        }
    }

    #[inline]
    pub(super) fn get(&self, key: u32) -> &Timer {
        &self.timers[key as usize]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: u32) -> &mut Timer {
        &mut self.timers[key as usize]
    }

    /// Allocates a timer that wakes the task of `waker`. Returns `None` if `waker` is a
    /// foreign waker.
    #[inline]
    pub(super) fn allocate(&mut self, waker: &Waker) -> Option<u32> {
        let key = self.first_free();
        let timer = self.get_mut(key);
        if !timer.task.register(waker) {
            return None;
        }
        self.first_free = timer.next_free();
        self.free_has_task = false;
        Some(key)
    }

    /// Allocates a timer that wakes `waker`.
    pub(super) fn allocate_foreign(&mut self, waker: UserValue<Waker>) -> u32 {
        let key = self.first_free();
        let timer = self.get_mut(key);
        timer.task = TaskSlot::default();
        timer.foreign = Some(Box::new(waker));
        self.first_free = timer.next_free();
        self.free_has_task = false;
        key
    }

    /// Frees a timer. Returns its slot, its index in the slot, and its foreign waker.
    #[inline]
    pub(super) fn release(&mut self, key: u32) -> (u16, u32, Option<Box<UserValue<Waker>>>) {
        let next_free = mem::replace(&mut self.first_free, key);
        let timer = self.get_mut(key);
        let slot_index = mem::replace(&mut timer.index, next_free);
        let slot = mem::replace(&mut timer.slot, FIRED);
        let foreign = timer.foreign.take();
        if mem::replace(&mut self.free_has_task, true)
            && let Some(next_free) = self.timers.get_mut(next_free as usize)
        {
            next_free.task = TaskSlot::default();
        }
        (slot, slot_index, foreign)
    }

    /// Returns the first free timer, which stays in the list of free timers.
    #[inline]
    fn first_free(&mut self) -> u32 {
        if self.first_free == NONE {
            self.grow();
        }
        self.first_free
    }

    #[cold]
    fn grow(&mut self) {
        self.first_free = u32::try_from(self.timers.len())
            .ok()
            .filter(|&key| key != NONE)
            .unwrap_or_else(|| panic!("more than {NONE} timers at once"));
        self.timers.push(Timer {
            deadline: 0,
            task: TaskSlot::default(),
            foreign: None,
            index: NONE,
            slot: FIRED,
            slack: 0,
        });
    }

    /// Returns the number of timers, and how many of them are free.
    #[cfg(all(test, not(miri)))]
    pub(super) fn count(&self) -> (usize, usize) {
        let mut free = 0;
        let mut at = self.first_free;
        while let Some(timer) = self.timers.get(at as usize) {
            (free, at) = (free + 1, timer.next_free());
        }
        (self.timers.len(), free)
    }
}
