//! Whole runs with a virtual clock: workers that start their jobs in order and take their time.

use std::collections::VecDeque;

use super::*;

struct Process {
    worker: WorkerKey,
    page: Page,
    is_booting: bool,
    /// What was written to its socket.
    pipe: VecDeque<(u32, Ticket)>,
    /// The job that runs, and when it ends.
    running: Option<(u32, Ticket, u64)>,
}

/// A driver that does what the dispatcher's documentation says.
struct Driver {
    jobs: Jobs,
    processes: Vec<Process>,
    /// How long the job with a number takes.
    duration: fn(u32) -> u64,
    now: u64,
    /// The jobs with the time at which each ended, in this order.
    ended: Vec<(u32, u64)>,
    starts: usize,
}

impl Driver {
    fn new(jobs: Jobs, duration: fn(u32) -> u64) -> Self {
        let mut driver = Self {
            jobs,
            processes: Vec::new(),
            duration,
            now: 0,
            ended: Vec::new(),
            starts: 0,
        };
        driver.staff();
        driver
    }

    /// Starts the workers that are missing, and ends the drained ones. A worker boots until
    /// the next step.
    fn staff(&mut self) {
        let jobs = &mut self.jobs;
        self.processes.retain(|process| {
            let is_drained = jobs.is_drained(process.worker);
            if is_drained {
                assert!(jobs.ended(process.worker).is_empty());
            }
            !is_drained
        });
        for _ in 0..self.jobs.missing() {
            let page = Page::new();
            self.processes.push(Process {
                worker: self.jobs.add_worker(page.clone()),
                page,
                is_booting: true,
                pipe: VecDeque::new(),
                running: None,
            });
            self.starts += 1;
        }
        assert_eq!(self.jobs.missing(), 0);
    }

    fn wake(&mut self) {
        while let Some(worker) = self.jobs.next_to_wake() {
            self.send(worker);
        }
    }

    fn send(&mut self, worker: WorkerKey) {
        let sent = fill(&mut self.jobs, worker);
        let process = self
            .processes
            .iter_mut()
            .find(|process| process.worker == worker);
        let process = process.expect("the worker has not ended");
        process.pipe.extend(sent);
        let is_idle = self.jobs.state(worker).unwrap().in_flight == 0;
        if is_idle && self.jobs.take_back(worker) > 0 {
            self.send(worker);
        }
    }

    fn submit(&mut self, numbers: std::ops::RangeInclusive<u32>) {
        for number in numbers {
            self.jobs.submit(number, ONCE);
        }
        let workers: Vec<_> = self
            .processes
            .iter()
            .map(|process| process.worker)
            .collect();
        for worker in workers {
            self.send(worker);
        }
    }

    /// Lets every process that can do so start a job or finish booting, then moves the clock
    /// to the end of the next job. Returns `false` if nothing runs.
    fn step(&mut self) -> bool {
        for index in 0..self.processes.len() {
            let process = &mut self.processes[index];
            if std::mem::take(&mut process.is_booting) {
                let worker = process.worker;
                self.jobs.ready(worker);
                self.send(worker);
            }
        }
        self.wake();
        for process in &mut self.processes {
            while process.running.is_none()
                && let Some((number, ticket)) = process.pipe.pop_front()
            {
                if process.page.start(ticket) {
                    let end = self.now + (self.duration)(number);
                    process.running = Some((number, ticket, end));
                }
            }
        }
        let ends = self.processes.iter().filter_map(|process| process.running);
        let Some((_, _, end)) = ends.min_by_key(|&(_, _, end)| end) else {
            return false;
        };
        self.now = end;
        for index in 0..self.processes.len() {
            let process = &mut self.processes[index];
            if let Some((number, ticket, _)) = process.running.take_if(|running| running.2 == end) {
                let worker = process.worker;
                let finished = self.jobs.finish(worker, ticket).expect("it was sent");
                assert_eq!(finished.payload, number);
                self.ended.push((number, end));
                self.send(worker);
            }
        }
        self.wake();
        self.staff();
        true
    }

    fn run(&mut self) {
        while self.step() {}
        assert!(self.jobs.is_empty());
    }
}

/// One long job, then short ones: how long the short ones take.
fn short_jobs_behind_a_long_one(prefetch: usize) -> (u64, u64) {
    let duration = |number| if number == 0 { 400 } else { 1 };
    let mut driver = Driver::new(dispatcher(2, prefetch), duration);
    driver.submit(0..=60);
    driver.run();
    let mut numbers: Vec<_> = driver.ended.iter().map(|&(number, _)| number).collect();
    assert_eq!(numbers.pop(), Some(0));
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    let taken_back = driver.jobs.counts().totals.taken_back;
    (driver.ended[59].1, taken_back)
}

#[test]
fn short_jobs_do_not_wait_behind_a_long_one_that_was_sent_before_them() {
    let (with_prefetch_1, _) = short_jobs_behind_a_long_one(1);
    assert_eq!(with_prefetch_1, 60);
    for prefetch in [2, 4, 8, 32, 64] {
        let (time, taken_back) = short_jobs_behind_a_long_one(prefetch);
        assert!(time <= 78, "{time} with prefetch {prefetch}");
        assert!(taken_back > 0);
    }
}

#[test]
fn jobs_that_are_taken_back_run_in_the_order_of_their_submission() {
    let mut driver = Driver::new(
        dispatcher(2, 32),
        |number| if number == 0 { 400 } else { 1 },
    );
    driver.submit(0..=10);
    driver.run();
    let order: Vec<_> = driver.ended.iter().map(|&(number, _)| number).collect();
    // The jobs behind the long one come back in parts, the newest part first, and each part
    // is in order.
    assert_eq!(order, [6, 7, 8, 9, 10, 3, 4, 5, 2, 1, 0]);
}

#[test]
fn a_worker_is_replaced_after_its_jobs_without_a_dip() {
    for max_jobs in 1..=5 {
        for workers in 1..=3 {
            for prefetch in [1, 2, 32] {
                let jobs = with_max_jobs(workers, prefetch, max_jobs);
                let mut driver = Driver::new(jobs, |number| 1 + u64::from(number % 3));
                driver.submit(1..=200);
                while driver.step() {
                    let counts = driver.jobs.counts();
                    assert_eq!(counts.booting + counts.ready, workers);
                    assert!(counts.busy <= workers);
                    assert!(driver.processes.len() <= 2 * workers);
                }
                assert_eq!(driver.ended.len(), 200);
                assert!(driver.starts as u64 >= 200 / max_jobs);
                assert!(driver.jobs.is_empty());
            }
        }
    }
}

#[test]
fn a_closed_pool_runs_its_jobs_and_starts_no_worker_for_nothing() {
    let mut driver = Driver::new(with_max_jobs(3, 2, 5), |_| 1);
    driver.submit(1..=100);
    driver.jobs.close();
    driver.run();
    assert_eq!(driver.ended.len(), 100);
    assert_eq!(driver.jobs.missing(), 0);
    let starts = driver.starts;
    driver.staff();
    assert_eq!(driver.starts, starts);
}
