//! [`Live`]: the flags of the jobs that wait or run, to cancel them all.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use crate::job::context::{Flags, Stage};

/// The minimum number of entries at which the entries of jobs that have ended are removed.
const MIN_LIMIT: usize = 64;

/// The flags of all jobs whose closure or handle exists, and of some others.
#[derive(Debug, Default)]
pub(super) struct Live(RefCell<List>);

#[derive(Debug, Default)]
struct List {
    flags: Vec<Weak<Flags>>,
    /// The length at which the entries of jobs that have ended are removed. It is twice the
    /// length after the last removal, so that a job costs a constant time on average.
    limit: usize,
}

impl Live {
    pub(super) fn add(&self, flags: &Arc<Flags>) {
        let list = &mut *self.0.borrow_mut();
        if list.flags.len() >= list.limit {
            list.flags.retain(|flags| flags.strong_count() > 0);
            list.limit = MIN_LIMIT.max(2 * list.flags.len());
        }
        list.flags.push(Arc::downgrade(flags));
    }

    /// Asks all jobs to end, because the executor ends. Returns how many had not started, and how
    /// many run.
    pub(super) fn shut_down(&self) -> (usize, usize) {
        let (mut waiting, mut running) = (0, 0);
        for flags in self.0.borrow().flags.iter().filter_map(Weak::upgrade) {
            match flags.shut_down() {
                Some(Stage::Waiting) => waiting += 1,
                Some(Stage::Running) => running += 1,
                Some(Stage::Finished) | None => {}
            }
        }
        (waiting, running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_keeps_the_live_jobs_and_few_others() {
        let live = Live::default();
        let kept: Vec<_> = (0..10)
            .map(|_| {
                let flags = Arc::new(Flags::default());
                live.add(&flags);
                for _ in 0..1_000 {
                    live.add(&Arc::default());
                }
                flags
            })
            .collect();
        assert!(live.0.borrow().flags.len() <= MIN_LIMIT);
        assert_eq!(live.shut_down(), (10, 0));
        assert!(kept.iter().all(|flags| flags.is_cancelled()));
    }
}
