//! [`Generations`]: counts the unfinished cleanups that a call of `cleanup::flush` waits for.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// The numbers of unfinished cleanups of a queue, by generation.
///
/// A call of `flush` begins a generation, and waits for all older ones. A cleanup that
/// another cleanup adds belongs to the same generation as that one, whenever it is added.
/// So the call waits for the cleanups before it and for their descendants, and not for other
/// cleanups that are added later.
#[derive(Debug, Default)]
pub(super) struct Generations {
    /// The oldest generation with an unfinished cleanup, or the youngest generation.
    oldest: Cell<u64>,
    /// The generation of cleanups that no other cleanup adds.
    youngest: Cell<u64>,
    /// The number of unfinished cleanups of the oldest generation: not zero, unless it is the
    /// youngest.
    unfinished: Cell<usize>,
    /// The same number for each generation after the oldest.
    younger: RefCell<VecDeque<usize>>,
}

impl Generations {
    /// Counts a cleanup and returns its generation, which is the youngest one unless
    /// `generation` is given.
    #[inline]
    pub(super) fn add(&self, generation: Option<u64>) -> u64 {
        let generation = generation.unwrap_or(self.youngest.get());
        if generation == self.oldest.get() {
            self.unfinished.set(self.unfinished.get() + 1);
        } else {
            self.change(generation, |unfinished| *unfinished += 1);
        }
        generation
    }

    /// Counts a cleanup of this generation as finished. Returns whether that lets a mark
    /// pass: no cleanup of its generation is left, nor of any before it, and there is a
    /// younger one.
    #[inline]
    pub(super) fn remove(&self, generation: u64) -> bool {
        if generation != self.oldest.get() {
            self.change(generation, |unfinished| *unfinished -= 1);
            return false;
        }
        let unfinished = self.unfinished.get() - 1;
        self.unfinished.set(unfinished);
        unfinished == 0 && self.advance()
    }

    /// Moves `oldest` to the next generation with an unfinished cleanup, or to the youngest.
    /// Returns `false` if it is the youngest already.
    #[cold]
    fn advance(&self) -> bool {
        let oldest = self.oldest.get();
        if oldest == self.youngest.get() {
            return false;
        }
        let mut younger = self.younger.borrow_mut();
        while self.unfinished.get() == 0
            && let Some(unfinished) = younger.pop_front()
        {
            self.oldest.set(self.oldest.get() + 1);
            self.unfinished.set(unfinished);
        }
        true
    }

    /// Changes the count of a generation after the oldest.
    #[cold]
    fn change(&self, generation: u64, change: impl FnOnce(&mut usize)) {
        let index = generation - self.oldest.get() - 1;
        let mut younger = self.younger.borrow_mut();
        let unfinished = usize::try_from(index)
            .ok()
            .and_then(|index| younger.get_mut(index));
        if let Some(unfinished) = unfinished {
            change(unfinished);
        }
    }

    /// Returns whether no cleanup is unfinished.
    pub(super) fn is_empty(&self) -> bool {
        self.unfinished.get() == 0
    }

    /// Begins a generation, unless the youngest one is empty, and returns it as the mark of a
    /// call that waits for all generations before it.
    pub(super) fn mark(&self) -> u64 {
        let mut younger = self.younger.borrow_mut();
        if younger.back().copied().unwrap_or(self.unfinished.get()) > 0 {
            younger.push_back(0);
            self.youngest.set(self.youngest.get() + 1);
        }
        self.youngest.get()
    }

    /// Returns whether no cleanup of a generation before the mark is unfinished.
    pub(super) fn has_passed(&self, mark: u64) -> bool {
        self.oldest.get() >= mark
    }
}

#[cfg(test)]
mod tests {
    use super::Generations;

    #[test]
    fn a_mark_waits_for_the_descendants_of_earlier_cleanups() {
        let generations = Generations::default();
        assert!(generations.has_passed(generations.mark()));
        let first = generations.add(None);
        let second = generations.add(None);
        let mark = generations.mark();
        assert_eq!(generations.mark(), mark);
        let later = generations.add(None);
        assert!(!generations.has_passed(mark));
        assert!(!generations.remove(first));
        let child = generations.add(Some(second));
        assert!(!generations.remove(second));
        let grandchild = generations.add(Some(child));
        assert!(!generations.remove(child));
        assert!(!generations.has_passed(mark));
        let last = generations.mark();
        assert!(generations.remove(grandchild));
        assert!(generations.has_passed(mark));
        assert!(!generations.has_passed(last));
        assert!(!generations.is_empty());
        assert!(generations.remove(later));
        assert!(generations.has_passed(last));
        assert!(generations.is_empty());
    }

    #[test]
    fn a_mark_waits_for_all_generations_before_it() {
        let generations = Generations::default();
        let first = generations.add(None);
        let first_mark = generations.mark();
        let second = generations.add(None);
        let second_mark = generations.mark();
        assert!(!generations.remove(second));
        assert!(!generations.has_passed(second_mark));
        assert!(generations.remove(first));
        assert!(generations.has_passed(first_mark));
        assert!(generations.has_passed(second_mark));
        assert!(generations.is_empty());
    }
}
