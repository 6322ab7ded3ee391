//! The dead letters.

use std::rc::Rc;

use super::{Stage, State, Time};
use crate::engine::{Dead, Function, JobId, Outcome};

impl State {
    /// Puts a job among the dead letters.
    pub(super) fn bury(&mut self, number: u64, error: String) {
        self.leave(number);
        self.last_death += 1;
        let death = self.last_death;
        if let Some(job) = self.jobs.get_mut(&number) {
            job.stage = Stage::Dead {
                number: death,
                error,
            };
            self.dead.insert(death, number);
        }
    }

    /// Returns the oldest dead letters, at most `max`.
    pub(crate) fn dead(&self, max: usize) -> Vec<Dead> {
        let letter = |number: &u64| {
            let job = self.jobs.get(number)?;
            let Stage::Dead { error, .. } = &job.stage else {
                return None;
            };
            Some(Dead {
                id: self.id(*number),
                function: (*job.function).clone(),
                attempts: job.attempts,
                error: error.clone(),
            })
        };
        self.dead.values().take(max).filter_map(letter).collect()
    }

    /// Puts a dead letter back in the queue, with no attempts counted. Returns its function;
    /// `None` if it is no dead letter.
    pub(crate) fn requeue(&mut self, id: &JobId) -> Option<Rc<Function>> {
        let number = self.number(id)?;
        let job = self.jobs.get_mut(&number)?;
        if !matches!(job.stage, Stage::Dead { .. }) {
            return None;
        }
        job.attempts = 0;
        self.make_ready(number)
    }

    /// Removes a dead letter, whose outcome stays. Returns `false` if it is no dead letter.
    pub(crate) fn discard(&mut self, now: Time, id: &JobId) -> bool {
        let Some(number) = self.number(id) else {
            return false;
        };
        let Some(Stage::Dead { error, .. }) = self.jobs.get(&number).map(|job| &job.stage) else {
            return false;
        };
        let outcome = Outcome::Dead(error.clone());
        self.remove(number);
        self.outcomes.insert(now, number, outcome);
        true
    }
}
