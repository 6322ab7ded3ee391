//! [`Room`], how many jobs a worker leases.
//!
//! A job that waits here behind another one could run on another machine. But if a worker leased
//! no job before one has ended, its processes would wait for the engine after each job. So it
//! leases one for each process, and as many more as have ended in a tenth of a second lately: few
//! long jobs, many short ones.

use std::time::Duration;

/// The time in which ended jobs are counted.
const SPAN: Duration = Duration::from_millis(100);

/// The most jobs for each process.
const MOST: usize = 64;

/// How many jobs a worker leases. It reads no clock: times are since the worker was started.
#[derive(Debug)]
pub(super) struct Room {
    /// How many jobs can run at a time.
    processes: usize,
    /// The number that the user has chosen.
    fixed: Option<usize>,
    /// The span of time in which jobs are counted now.
    span: u128,
    ended: usize,
    ended_before: usize,
}

impl Room {
    pub(super) fn new(processes: usize, fixed: Option<usize>) -> Self {
        Self {
            processes: processes.max(1),
            fixed,
            span: 0,
            ended: 0,
            ended_before: 0,
        }
    }

    /// Counts a job that has ended.
    pub(super) fn ended(&mut self, now: Duration) {
        self.advance(now);
        self.ended += 1;
    }

    /// Returns how many jobs to lease, if `held` are leased.
    pub(super) fn wanted(&mut self, now: Duration, held: usize) -> usize {
        let limit = self.limit(now);
        let spare = limit.saturating_sub(self.processes);
        // Half of the spare ones are used up before more are leased, so that one call leases
        // several.
        let is_low = held < self.processes || held <= limit.saturating_sub(spare.div_ceil(2));
        if is_low && held < limit {
            limit - held
        } else {
            0
        }
    }

    /// Returns how many jobs are leased at most.
    fn limit(&mut self, now: Duration) -> usize {
        if let Some(fixed) = self.fixed {
            return fixed;
        }
        self.advance(now);
        let spare = self.ended.max(self.ended_before);
        let most = self.processes.saturating_mul(MOST);
        self.processes.saturating_add(spare).min(most)
    }

    fn advance(&mut self, now: Duration) {
        let span = now.as_nanos() / SPAN.as_nanos();
        if span != self.span {
            self.ended_before = if span == self.span + 1 { self.ended } else { 0 };
            self.ended = 0;
            self.span = span;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn long_jobs_are_leased_one_for_each_process() {
        let mut room = Room::new(4, None);
        assert_eq!(room.wanted(at(0), 0), 4);
        assert_eq!(room.wanted(at(0), 4), 0);
        room.ended(at(5_050));
        // One job has ended just now, which may be the first of many.
        assert_eq!(room.wanted(at(5_050), 3), 2);
        assert_eq!(room.wanted(at(5_250), 4), 0);
        assert_eq!(room.wanted(at(5_250), 3), 1);
    }

    #[test]
    fn short_jobs_are_leased_for_a_tenth_of_a_second() {
        let mut room = Room::new(2, None);
        for _ in 0..50 {
            room.ended(at(110));
        }
        assert_eq!(room.wanted(at(210), 0), 52);
        assert_eq!(room.wanted(at(210), 28), 0);
        assert_eq!(room.wanted(at(210), 27), 25);
        for _ in 0..1_000 {
            room.ended(at(220));
        }
        assert_eq!(room.wanted(at(220), 0), 128);
        // After a pause, it is not known how long the next jobs take.
        assert_eq!(room.wanted(at(420), 0), 2);
    }

    #[test]
    fn a_fixed_number_stays() {
        let mut room = Room::new(4, Some(1));
        assert_eq!(room.wanted(at(0), 0), 1);
        assert_eq!(room.wanted(at(0), 1), 0);
        let mut room = Room::new(1, Some(9));
        room.ended(at(0));
        assert_eq!(room.wanted(at(0), 0), 9);
        assert_eq!(room.wanted(at(0), 6), 0);
        assert_eq!(room.wanted(at(0), 5), 4);
    }

    #[test]
    fn there_is_always_room_if_nothing_is_held_and_never_above_the_limit() {
        for processes in 0..5 {
            for fixed in [None, Some(1), Some(2), Some(7)] {
                for ended in 0..20 {
                    let mut room = Room::new(processes, fixed);
                    (0..ended).for_each(|_| room.ended(at(1)));
                    let limit = room.limit(at(1));
                    for held in 0..limit + 3 {
                        let wanted = room.wanted(at(1), held);
                        assert!(held + wanted <= limit || wanted == 0);
                        assert!(held > 0 || wanted > 0);
                    }
                }
            }
        }
    }
}
