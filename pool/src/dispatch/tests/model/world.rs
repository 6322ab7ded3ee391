//! [`World`], the dispatcher with its driver, its workers and the model.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::super::*;
use super::{Step, WorkerStep};

/// Where the model says that a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Waiting,
    Sent(WorkerKey, Ticket),
    Unknown,
    /// It has left the dispatcher.
    Out,
}

#[derive(Debug)]
pub(super) struct ModelJob {
    pub(super) key: JobKey,
    pub(super) options: JobOptions,
    pub(super) at: At,
    /// How many workers died while they ran it.
    pub(super) attempts: u32,
    /// How often a worker has started it.
    pub(super) starts: u32,
    pub(super) is_aborted: bool,
}

/// A worker process, and what the driver and the model know of it.
pub(super) struct ModelWorker {
    pub(super) key: WorkerKey,
    pub(super) page: Page,
    pub(super) stage: WorkerStage,
    pub(super) is_refilling: bool,
    pub(super) is_woken: bool,
    pub(super) issued: u64,
    pub(super) prefetch: usize,
    /// The jobs in flight, in the order in which they were sent.
    pub(super) held: Vec<(u64, Ticket)>,
    /// The frames that the process has not read.
    pipe: VecDeque<(u64, Ticket)>,
    running: Vec<(u64, Ticket)>,
    /// The results that the driver has not read.
    results: VecDeque<(u64, Ticket)>,
}

pub(super) struct World {
    pub(super) dispatcher: Dispatcher<u64, Page>,
    limits: Limits,
    /// How many jobs a worker runs at once.
    concurrency: usize,
    pub(super) target: usize,
    pub(super) is_closed: bool,
    /// Every job, by its number.
    pub(super) jobs: BTreeMap<u64, ModelJob>,
    pub(super) waiting: BTreeSet<(Reverse<i32>, u64)>,
    pub(super) unknown: Vec<u64>,
    pub(super) workers: Vec<ModelWorker>,
    woken: VecDeque<WorkerKey>,
    last_sequence: u64,
}

impl World {
    pub(super) fn new(limits: Limits, concurrency: usize) -> Self {
        Self {
            dispatcher: Dispatcher::new(limits),
            limits,
            concurrency,
            target: limits.workers,
            is_closed: false,
            jobs: BTreeMap::new(),
            waiting: BTreeSet::new(),
            unknown: Vec::new(),
            workers: Vec::new(),
            woken: VecDeque::new(),
            last_sequence: 0,
        }
    }

    pub(super) fn apply(&mut self, step: &Step) {
        match *step {
            Step::Submit(count, options) => (0..count).for_each(|_| self.submit(options)),
            Step::Abort(number) => self.abort(number),
            Step::Woken => self.turn_to_woken(),
            Step::Staff => self.staff(),
            Step::Decide(number, again) => self.decide(number, again),
            Step::Target(target) => {
                self.target = target;
                self.dispatcher.set_target(target);
            }
            Step::Close => {
                self.is_closed = true;
                self.dispatcher.close();
            }
            Step::DrainQueue => self.drain_queue(),
            Step::Worker(number, step) => self.apply_to_worker(number, step),
        }
        self.wake();
    }

    /// Applies a step to one of the workers for which it changes something.
    fn apply_to_worker(&mut self, number: usize, step: WorkerStep) {
        let is_possible = |worker: &ModelWorker| match step {
            WorkerStep::Starts => !worker.pipe.is_empty(),
            WorkerStep::Finishes(_) => !worker.running.is_empty(),
            WorkerStep::Reads(_) => !worker.results.is_empty(),
            WorkerStep::Ready => worker.stage == WorkerStage::Booting,
            _ => true,
        };
        let indices = 0..self.workers.len();
        let possible: Vec<_> = indices.filter(|&i| is_possible(&self.workers[i])).collect();
        let Some(&index) = possible.get(number % possible.len().max(1)) else {
            return;
        };
        match step {
            WorkerStep::Sends => self.send(index),
            WorkerStep::Starts => self.start(index),
            WorkerStep::Finishes(count) => {
                for _ in 0..count {
                    self.write_result(index, number);
                    self.start(index);
                }
            }
            WorkerStep::Reads(most) => self.read_results(index, most),
            WorkerStep::Garbled(bits) => self.garbled(index, bits),
            WorkerStep::Dies => self.die(index),
            WorkerStep::Ready => self.ready(index),
            WorkerStep::Retire => self.retire(index),
            WorkerStep::TakeBack => self.take_back(index),
            WorkerStep::Observe(micros) => self.observe(index, micros),
        }
    }

    fn submit(&mut self, options: JobOptions) {
        let number = self.jobs.len() as u64 + 1;
        let (key, woken) = self.dispatcher.submit(number, options);
        assert_eq!(key.number(), number);
        self.waiting.insert((Reverse(options.priority), number));
        self.jobs.insert(
            number,
            ModelJob {
                key,
                options,
                at: At::Waiting,
                attempts: 0,
                starts: 0,
                is_aborted: false,
            },
        );
        self.was_woken(woken);
    }

    /// Calls `next_to_wake` until it returns `None`.
    fn wake(&mut self) {
        while let woken @ Some(_) = self.dispatcher.next_to_wake() {
            self.was_woken(woken);
        }
    }

    fn was_woken(&mut self, worker: Option<WorkerKey>) {
        let Some(key) = worker else {
            return;
        };
        let idle = self.idle().filter(|idle| !idle.is_woken).count();
        let woken_idle = self.idle().filter(|idle| idle.is_woken).count();
        let woken = self.workers.iter().filter(|worker| worker.is_woken).count();
        let waiting = self.waiting.len();
        let no_idle_one_is_needed =
            idle == 0 || waiting <= woken_idle || self.busy() + woken_idle >= self.target;
        let worker = self.worker(key);
        assert!(!worker.is_woken && worker.stage == WorkerStage::Ready);
        if worker.held.is_empty() {
            assert!(waiting > woken_idle, "each woken worker finds a job");
        } else {
            assert!(no_idle_one_is_needed, "an idle worker is woken first");
            assert!(waiting > woken, "each woken worker finds a job");
        }
        assert!(worker.held.len() <= worker.prefetch / 2);
        worker.is_woken = true;
        self.woken.push_back(key);
    }

    fn turn_to_woken(&mut self) {
        while let Some(key) = self.woken.pop_front() {
            if let Some(index) = self.workers.iter().position(|worker| worker.key == key) {
                return self.send(index);
            }
        }
    }

    /// Calls `next` until it returns `None`.
    fn send(&mut self, index: usize) {
        loop {
            let expected = self.expected_next(index);
            let worker = &mut self.workers[index];
            worker.is_woken = false;
            let Some(sent) = self.dispatcher.next(worker.key) else {
                assert_eq!(expected, None);
                worker.is_refilling = false;
                if worker.held.is_empty() {
                    self.take_back(index);
                }
                return;
            };
            let (number, ticket) = (*sent.payload, sent.ticket);
            assert_eq!(expected, Some(number));
            assert!(ticket.sequence() > self.last_sequence);
            self.last_sequence = ticket.sequence();
            assert!(
                worker
                    .held
                    .iter()
                    .all(|(_, other)| other.slot() != ticket.slot())
            );
            worker.is_refilling = true;
            worker.held.push((number, ticket));
            worker.pipe.push_back((number, ticket));
            worker.issued += 1;
            if Some(worker.issued) == self.limits.max_jobs {
                worker.stage = WorkerStage::Spent;
            }
            let job = self.jobs.get_mut(&number).unwrap();
            assert_eq!(sent.attempt, job.attempts + 1);
            assert_eq!(job.at, At::Waiting);
            job.at = At::Sent(worker.key, ticket);
            self.waiting
                .remove(&(Reverse(job.options.priority), number));
            assert_eq!(
                self.dispatcher.by_ticket(worker.key, ticket),
                Some((job.key, &mut number.clone()))
            );
        }
    }

    /// The process reads frames and starts jobs until it runs as many as it may.
    fn start(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        while worker.running.len() < self.concurrency
            && let Some((number, ticket)) = worker.pipe.pop_front()
        {
            if worker.page.start(ticket) {
                worker.running.push((number, ticket));
                let job = self.jobs.get_mut(&number).unwrap();
                assert_eq!(job.at, At::Sent(worker.key, ticket));
                job.starts += 1;
                assert!(job.starts == 1 || job.options.is_idempotent);
                assert!(job.starts <= job.options.max_attempts.max(1));
            }
        }
    }

    fn write_result(&mut self, index: usize, which: usize) {
        let worker = &mut self.workers[index];
        if !worker.running.is_empty() {
            let ended = worker.running.swap_remove(which % worker.running.len());
            worker.results.push_back(ended);
        }
    }

    fn read_results(&mut self, index: usize, most: usize) {
        for _ in 0..most {
            let worker = &mut self.workers[index];
            let Some((number, ticket)) = worker.results.pop_front() else {
                break;
            };
            let job = self.jobs.get_mut(&number).unwrap();
            let key = job.key;
            assert_eq!(
                self.dispatcher.by_ticket(worker.key, ticket),
                Some((key, &mut number.clone()))
            );
            let finished = self
                .dispatcher
                .finish(worker.key, ticket)
                .expect("it was sent");
            assert_eq!(finished.payload, number);
            assert_eq!(finished.attempt, job.attempts + 1);
            assert!(!self.dispatcher.contains(key));
            worker.held.retain(|&(_, other)| other != ticket);
            job.at = At::Out;
            assert!(
                self.dispatcher
                    .finish(self.workers[index].key, ticket)
                    .is_none()
            );
        }
        self.send(index);
    }

    fn garbled(&mut self, index: usize, bits: u64) {
        let worker = &self.workers[index];
        let ticket = Ticket::from_bits(bits % (self.last_sequence * 64 + 64));
        if worker.held.iter().all(|&(_, other)| other != ticket) {
            assert_eq!(self.dispatcher.by_ticket(worker.key, ticket), None);
            assert!(self.dispatcher.finish(worker.key, ticket).is_none());
        }
    }

    fn abort(&mut self, number: usize) {
        // Half of the aborts find a job that has not ended.
        let jobs = self.jobs.iter();
        let live: Vec<u64> = jobs
            .filter(|(_, job)| number.is_multiple_of(2) || job.at != At::Out)
            .map(|(&number, _)| number)
            .collect();
        let Some(&number) = live.get(number % live.len().max(1)) else {
            return;
        };
        let job = &self.jobs[&number];
        let (key, at) = (job.key, job.at);
        let has_started = self.has_started(number);
        match self.dispatcher.abort(key) {
            Aborted::Gone => assert_eq!(at, At::Out),
            Aborted::Started { worker } => {
                assert!(has_started);
                assert_eq!(Some(worker), self.dispatcher.location(key));
                self.jobs.get_mut(&number).unwrap().is_aborted = true;
            }
            Aborted::Removed { payload, attempts } => {
                assert!(at != At::Out && !has_started);
                let job = &self.jobs[&number];
                assert_eq!((payload, attempts), (number, job.attempts));
                self.leaves(number);
                self.jobs.get_mut(&number).unwrap().at = At::Out;
            }
        }
    }

    /// Takes a job out of where the model has it.
    fn leaves(&mut self, number: u64) {
        let job = &self.jobs[&number];
        match job.at {
            At::Waiting => {
                self.waiting
                    .remove(&(Reverse(job.options.priority), number));
            }
            At::Sent(worker, ticket) => {
                let missing = self.missing();
                let worker = self.worker(worker);
                worker.held.retain(|&(_, other)| other != ticket);
                worker.issued -= 1;
                if worker.stage == WorkerStage::Spent && missing > 0 {
                    worker.stage = WorkerStage::Ready;
                }
            }
            At::Unknown => self.unknown.retain(|&other| other != number),
            At::Out => unreachable!("it has left"),
        }
    }

    fn waits_again(&mut self, number: u64) {
        let job = self.jobs.get_mut(&number).unwrap();
        job.at = At::Waiting;
        self.waiting.insert((Reverse(job.options.priority), number));
    }

    fn die(&mut self, index: usize) {
        self.read_results(index, usize::MAX);
        let worker = self.workers.remove(index);
        let started = self.dispatcher.ended(worker.key);
        let mut expected = Vec::new();
        for &(number, _) in &worker.held {
            if worker.running.iter().any(|&(running, _)| running == number) {
                let job = self.jobs.get_mut(&number).unwrap();
                job.attempts += 1;
                job.at = At::Unknown;
                expected.push(Started {
                    key: job.key,
                    attempts: job.attempts,
                    may_retry: job.options.is_idempotent
                        && job.attempts < job.options.max_attempts
                        && !job.is_aborted,
                });
                self.unknown.push(number);
            } else {
                self.waits_again(number);
            }
        }
        assert_eq!(started, expected);
    }

    fn decide(&mut self, number: usize, again: bool) {
        if self.unknown.is_empty() {
            return;
        }
        let number = self.unknown[number % self.unknown.len()];
        let job = &self.jobs[&number];
        let may_retry =
            job.options.is_idempotent && job.attempts < job.options.max_attempts && !job.is_aborted;
        if again {
            let is_requeued = self.dispatcher.requeue(job.key);
            assert_eq!(is_requeued, may_retry);
            if is_requeued {
                self.leaves(number);
                return self.waits_again(number);
            }
        }
        assert_eq!(self.dispatcher.remove(self.jobs[&number].key), Some(number));
        self.leaves(number);
        self.jobs.get_mut(&number).unwrap().at = At::Out;
    }

    /// Ends a drained worker, and starts one if one is missing.
    fn staff(&mut self) {
        let mut workers = self.workers.iter();
        let drained = workers.position(|worker| self.dispatcher.is_drained(worker.key));
        if let Some(index) = drained {
            self.die(index);
        }
        if self.dispatcher.missing() > 0 {
            let page = Page::new();
            self.workers.push(ModelWorker {
                key: self.dispatcher.add_worker(page.clone()),
                page,
                stage: WorkerStage::Booting,
                is_refilling: false,
                is_woken: false,
                issued: 0,
                prefetch: match self.limits.prefetch {
                    Prefetch::Fixed(depth) => depth,
                    Prefetch::Adaptive => 2,
                },
                held: Vec::new(),
                pipe: VecDeque::new(),
                running: Vec::new(),
                results: VecDeque::new(),
            });
        }
    }

    fn ready(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        self.dispatcher.ready(worker.key);
        if worker.stage == WorkerStage::Booting {
            worker.stage = WorkerStage::Ready;
        }
    }

    fn retire(&mut self, index: usize) {
        let worker = &mut self.workers[index];
        worker.stage = WorkerStage::Retiring;
        worker.is_woken = false;
        let key = worker.key;
        let count = self.dispatcher.retire(key);
        let held = self.workers[index].held.clone();
        let queued: Vec<_> = held
            .iter()
            .filter(|&&(number, _)| !self.has_started(number))
            .collect();
        assert_eq!(count, queued.len());
        for &&(number, _) in &queued {
            self.leaves(number);
            self.waits_again(number);
        }
    }

    fn take_back(&mut self, index: usize) {
        let idle = &self.workers[index];
        let may = idle.stage == WorkerStage::Ready
            && idle.held.is_empty()
            && self.waiting.is_empty()
            && self.busy() < self.target;
        // How many jobs each worker has after its oldest and after those that have started.
        let queued = self.workers.iter().map(|worker| {
            let newest_first = worker.held.iter().skip(1).rev();
            newest_first
                .take_while(|&&(number, _)| !self.has_started(number))
                .count()
        });
        let most = queued.max().unwrap_or(0);
        let expected = if may { most.div_ceil(2) } else { 0 };
        let key = idle.key;
        assert_eq!(self.dispatcher.take_back(key), expected);
        // The model reads from whom, and checks that these were the newest of one worker.
        let taken = |&&(number, _): &&(u64, Ticket)| {
            self.dispatcher.location(self.jobs[&number].key).is_none()
        };
        let from = self
            .workers
            .iter()
            .find(|worker| worker.held.iter().any(|job| taken(&job)));
        let Some(from) = from else {
            assert_eq!(expected, 0);
            return;
        };
        let newest = from.held[from.held.len() - expected..].to_vec();
        assert!(newest.iter().all(|job| taken(&job)));
        for &(number, _) in newest.iter().rev() {
            self.leaves(number);
            self.waits_again(number);
        }
        self.send(index);
        assert!(!self.workers[index].held.is_empty());
    }

    fn observe(&mut self, index: usize, micros: u64) {
        let worker = &mut self.workers[index];
        self.dispatcher
            .observe(worker.key, 4, Duration::from_micros(4 * micros));
        if self.limits.prefetch == Prefetch::Adaptive {
            worker.prefetch = match micros {
                ..200 => (worker.prefetch * 2).min(32),
                200..=400 => worker.prefetch,
                _ => (worker.prefetch / 2).max(2),
            };
        }
    }

    fn drain_queue(&mut self) {
        let drained = self.dispatcher.drain_queue();
        let expected: Vec<u64> = self.waiting.iter().map(|&(_, number)| number).collect();
        let numbers: Vec<u64> = drained.iter().map(|&(number, _)| number).collect();
        assert_eq!(numbers, expected);
        for (number, attempts) in drained {
            self.leaves(number);
            let job = self.jobs.get_mut(&number).unwrap();
            assert_eq!(attempts, job.attempts);
            job.at = At::Out;
        }
    }

    /// Runs the driver and all workers until no job is left.
    pub(super) fn run_to_the_end(&mut self) {
        self.target = self.target.max(1);
        self.dispatcher.set_target(self.target);
        for _ in 0..self.jobs.len() * 8 + 100 {
            if self.dispatcher.is_empty() {
                break;
            }
            self.decide(0, true);
            self.staff();
            for index in (0..self.workers.len()).rev() {
                self.ready(index);
                self.send(index);
                self.start(index);
                self.write_result(index, 0);
                self.read_results(index, usize::MAX);
            }
            self.wake();
            self.turn_to_woken();
            self.check();
        }
        assert!(self.dispatcher.is_empty());
        assert!(self.jobs.values().all(|job| job.at == At::Out));
    }
}
