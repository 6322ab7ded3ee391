//! [`Generations`]: how many cleanups are left of those that a barrier waits for.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// The cleanups of a lane that have not ended, counted by generation.
///
/// A barrier begins a generation, and waits for all older ones. A cleanup that another
/// cleanup leaves belongs to the same generation as that one, whenever it is left. So a
/// barrier waits for what descends from the cleanups before it, and not for others that
/// come later.
#[derive(Debug, Default)]
pub(crate) struct Generations {
    oldest: Cell<u64>,
    youngest: Cell<u64>,
    /// How many are left of the oldest generation: not zero, unless it is the youngest.
    open: Cell<usize>,
    /// Likewise of each generation after it.
    younger: RefCell<VecDeque<usize>>,
}

impl Generations {
    /// Counts a cleanup and returns its generation, which is the youngest one unless
    /// `generation` is given.
    #[inline]
    pub(crate) fn add(&self, generation: Option<u64>) -> u64 {
        let generation = generation.unwrap_or(self.youngest.get());
        if generation == self.oldest.get() {
            self.open.set(self.open.get() + 1);
        } else {
            self.change(generation, |open| *open += 1);
        }
        generation
    }

    /// Counts a cleanup of this generation as ended. Returns whether its generation has
    /// ended, and all before it.
    #[inline]
    pub(crate) fn end(&self, generation: u64) -> bool {
        if generation != self.oldest.get() {
            self.change(generation, |open| *open -= 1);
            return false;
        }
        let open = self.open.get() - 1;
        self.open.set(open);
        open == 0 && self.go_on()
    }

    /// Moves to the next generation that has not ended. False if this is the youngest.
    #[cold]
    fn go_on(&self) -> bool {
        let oldest = self.oldest.get();
        if oldest == self.youngest.get() {
            return false;
        }
        let mut younger = self.younger.borrow_mut();
        while self.open.get() == 0
            && let Some(open) = younger.pop_front()
        {
            self.oldest.set(self.oldest.get() + 1);
            self.open.set(open);
        }
        true
    }

    #[cold]
    fn change(&self, generation: u64, change: impl FnOnce(&mut usize)) {
        let place = generation - self.oldest.get() - 1;
        let mut younger = self.younger.borrow_mut();
        let open = usize::try_from(place)
            .ok()
            .and_then(|place| younger.get_mut(place));
        if let Some(open) = open {
            change(open);
        }
    }

    /// Whether no cleanup is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.get() == 0
    }

    /// The mark of a barrier, which waits for the generations before it.
    pub(crate) fn mark(&self) -> u64 {
        let mut younger = self.younger.borrow_mut();
        if younger.back().copied().unwrap_or(self.open.get()) > 0 {
            younger.push_back(0);
            self.youngest.set(self.youngest.get() + 1);
        }
        self.youngest.get()
    }

    /// Whether nothing is left of the generations before the mark.
    pub(crate) fn has_passed(&self, mark: u64) -> bool {
        self.oldest.get() >= mark
    }
}

#[cfg(test)]
mod tests {
    use super::Generations;

    #[test]
    fn a_mark_waits_for_what_descends_from_before() {
        let generations = Generations::default();
        assert!(generations.has_passed(generations.mark()));
        let first = generations.add(None);
        let second = generations.add(None);
        let mark = generations.mark();
        assert_eq!(generations.mark(), mark);
        let later = generations.add(None);
        assert!(!generations.has_passed(mark));
        assert!(!generations.end(first));
        let child = generations.add(Some(second));
        assert!(!generations.end(second));
        let grandchild = generations.add(Some(child));
        assert!(!generations.end(child));
        assert!(!generations.has_passed(mark));
        let last = generations.mark();
        assert!(generations.end(grandchild));
        assert!(generations.has_passed(mark));
        assert!(!generations.has_passed(last));
        assert!(!generations.is_empty());
        assert!(generations.end(later));
        assert!(generations.has_passed(last));
        assert!(generations.is_empty());
    }

    #[test]
    fn a_generation_that_ends_first_waits_for_the_ones_before() {
        let generations = Generations::default();
        let first = generations.add(None);
        let first_mark = generations.mark();
        let second = generations.add(None);
        let second_mark = generations.mark();
        assert!(!generations.end(second));
        assert!(!generations.has_passed(second_mark));
        assert!(generations.end(first));
        assert!(generations.has_passed(first_mark));
        assert!(generations.has_passed(second_mark));
        assert!(generations.is_empty());
    }
}
