//! Where the timers of the wheel are, by their keys.

use std::mem;
use std::task::Waker;

use crate::engine::panics::Foreign;
use crate::engine::task::task_slot::TaskSlot;
use crate::engine::timers::wheel::coalescing::SLACK_UNIT;

/// No timer.
const NONE: u32 = u32::MAX;

/// The slot of a timer that has fired.
pub(crate) const FIRED: u16 = u16::MAX;

/// Half a cache line: what a loop with very many timers waits for is memory.
#[derive(Debug)]
#[repr(align(32))]
pub(crate) struct Timer {
    /// In nanoseconds.
    pub(crate) deadline: u64,
    pub(crate) task: TaskSlot,
    /// If it is not a task of ours.
    pub(crate) other: Option<Box<Foreign<Waker>>>,
    /// Where it is in the list of its slot; if it is free, the next one that is.
    pub(crate) place: u32,
    pub(crate) slot: u16,
    /// By how much it may be late, in `SLACK_UNIT`s.
    pub(crate) slack: u16,
}

impl Timer {
    /// When its slack has run out.
    #[inline]
    pub(crate) fn latest(&self) -> u64 {
        self.deadline
            .saturating_add(u64::from(self.slack) << SLACK_UNIT)
    }
}

/// The timers, and the places of those that are gone.
#[derive(Debug)]
pub(crate) struct TimerStorage {
    timers: Vec<Timer>,
    /// The first place that is free, and whether it may have a task.
    free: u32,
    free_has_task: bool,
}

impl TimerStorage {
    pub(crate) fn new() -> TimerStorage {
        TimerStorage {
            timers: Vec::new(),
            free: NONE,
            free_has_task: false,
        }
    }

    #[inline]
    pub(crate) fn get(&self, key: u32) -> &Timer {
        &self.timers[key as usize]
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: u32) -> &mut Timer {
        &mut self.timers[key as usize]
    }

    /// A place for a timer that wakes the task of `waker`; nothing if that is
    /// not one of ours.
    #[inline]
    pub(crate) fn place_for(&mut self, waker: &Waker) -> Option<u32> {
        let key = self.first_free();
        let timer = self.get_mut(key);
        if !timer.task.register(waker) {
            return None;
        }
        self.free = timer.place;
        self.free_has_task = false;
        Some(key)
    }

    /// A place for a timer that calls `waker`.
    pub(crate) fn place_for_other(&mut self, waker: Foreign<Waker>) -> u32 {
        let key = self.first_free();
        let timer = self.get_mut(key);
        timer.task = TaskSlot::default();
        timer.other = Some(Box::new(waker));
        self.free = timer.place;
        self.free_has_task = false;
        key
    }

    /// Frees the place of a timer. Returns where that was in the slots, and its
    /// waker.
    #[inline]
    pub(crate) fn release(&mut self, key: u32) -> (u16, u32, Option<Box<Foreign<Waker>>>) {
        let before = mem::replace(&mut self.free, key);
        let timer = self.get_mut(key);
        let place = mem::replace(&mut timer.place, before);
        let slot = mem::replace(&mut timer.slot, FIRED);
        let other = timer.other.take();
        if mem::replace(&mut self.free_has_task, true)
            && let Some(before) = self.timers.get_mut(before as usize)
        {
            before.task = TaskSlot::default();
        }
        (slot, place, other)
    }

    #[inline]
    fn first_free(&mut self) -> u32 {
        if self.free == NONE {
            self.grow();
        }
        self.free
    }

    #[cold]
    fn grow(&mut self) {
        self.free = u32::try_from(self.timers.len())
            .ok()
            .filter(|&key| key != NONE)
            .unwrap_or_else(|| panic!("more than {NONE} timers at once"));
        self.timers.push(Timer {
            deadline: 0,
            task: TaskSlot::default(),
            other: None,
            place: NONE,
            slot: FIRED,
            slack: 0,
        });
    }

    /// How many places there are, and how many of them are free.
    #[cfg(all(test, not(miri)))]
    pub(crate) fn count(&self) -> (usize, usize) {
        let mut free = 0;
        let mut at = self.free;
        while let Some(timer) = self.timers.get(at as usize) {
            (free, at) = (free + 1, timer.place);
        }
        (self.timers.len(), free)
    }
}
