//! Workers whose words say anything: their lies harm the jobs that they were sent, and
//! nothing else.

use std::collections::{BTreeMap, BTreeSet};

use coreloop_test_support::size::pick;
use fastrand::Rng;

use super::*;

/// Words that answer at random, or truthfully.
enum Mixed {
    Broken(RefCell<Rng>),
    Sound(Page),
}

impl Mixed {
    fn ask(&self, truth: fn(&Page, Ticket) -> bool, ticket: Ticket) -> bool {
        match self {
            Self::Broken(random) => random.borrow_mut().bool(),
            Self::Sound(page) => truth(page, ticket),
        }
    }
}

impl Words for Mixed {
    fn queue(&self, ticket: Ticket) {
        if let Self::Sound(page) = self {
            page.queue(ticket);
        }
    }

    fn revoke(&self, ticket: Ticket) -> bool {
        self.ask(Page::revoke, ticket)
    }

    fn ask_cancel(&self, ticket: Ticket) -> bool {
        self.ask(Page::ask_cancel, ticket)
    }

    fn has_started(&self, ticket: Ticket) -> bool {
        self.ask(Page::has_started, ticket)
    }
}

struct Chaos {
    jobs: Dispatcher<u64, Mixed>,
    random: Rng,
    keys: Vec<JobKey>,
    broken: WorkerKey,
    /// The jobs that the broken workers were sent.
    exposed: BTreeSet<u64>,
    /// How often each job was handed back.
    handed_back: BTreeMap<u64, usize>,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut jobs = Dispatcher::new(Limits {
            workers: 3,
            prefetch: Prefetch::Fixed(random.usize(1..8)),
            max_jobs: random.bool().then_some(20),
        });
        let broken = jobs.add_worker(Mixed::Broken(RefCell::new(random.fork())));
        jobs.ready(broken);
        Self {
            jobs,
            random,
            keys: Vec::new(),
            broken,
            exposed: BTreeSet::new(),
            handed_back: BTreeMap::new(),
        }
    }

    fn hand_back(&mut self, number: u64) {
        *self.handed_back.entry(number).or_default() += 1;
    }

    fn any_worker(&mut self) -> Option<WorkerKey> {
        let workers: Vec<_> = self.jobs.workers().collect();
        self.random.choice(workers)
    }

    fn step(&mut self) {
        let Some(worker) = self.any_worker() else {
            return self.start_workers();
        };
        match self.random.u8(0..9) {
            0 | 1 => {
                let number = self.keys.len() as u64 + 1;
                let options = JobOptions {
                    is_idempotent: self.random.bool(),
                    ..RETRIED
                };
                self.keys.push(self.jobs.submit(number, options).0);
            }
            2 | 3 => {
                while let Some(sent) = self.jobs.next(worker) {
                    if worker == self.broken {
                        self.exposed.insert(*sent.payload);
                    }
                }
            }
            4 => {
                let ticket = Ticket::from_bits(self.random.u64(0..2000));
                if let Some(finished) = self.jobs.finish(worker, ticket) {
                    self.hand_back(finished.payload);
                }
            }
            5 => {
                if let Some(key) = self.random.choice(self.keys.clone())
                    && let Aborted::Removed { payload, .. } = self.jobs.abort(key)
                {
                    self.hand_back(payload);
                }
            }
            6 => {
                self.jobs.take_back(worker);
            }
            7 => {
                self.jobs.retire(worker);
            }
            _ => self.end(worker),
        }
        self.start_workers();
        while self.jobs.next_to_wake().is_some() {}
    }

    fn end(&mut self, worker: WorkerKey) {
        for started in self.jobs.ended(worker) {
            // The sound workers of this test start nothing.
            assert_eq!(worker, self.broken);
            assert!(self.exposed.contains(&started.key.number()));
            if !self.jobs.requeue(started.key) {
                let payload = self.jobs.remove(started.key).expect("it is unknown");
                self.hand_back(payload);
            }
        }
        if worker == self.broken {
            let words = Mixed::Broken(RefCell::new(self.random.fork()));
            self.broken = self.jobs.add_worker(words);
            self.jobs.ready(self.broken);
        }
    }

    fn start_workers(&mut self) {
        for _ in 0..self.jobs.missing() {
            let worker = self.jobs.add_worker(Mixed::Sound(Page::new()));
            self.jobs.ready(worker);
        }
    }
}

#[test]
fn a_job_that_was_seen_to_run_does_not_run_again_if_its_word_is_changed_back() {
    for retires in [false, true] {
        let mut jobs = dispatcher(1, 1);
        let (worker, page) = ready_worker(&mut jobs);
        let (key, _) = jobs.submit(1, RETRIED);
        let ticket = send(&mut jobs, worker);
        page.start(ticket);
        assert!(matches!(jobs.abort(key), Aborted::Started { .. }));
        page.queue(ticket);
        if retires {
            assert_eq!(jobs.retire(worker), 0);
        }
        let started = jobs.ended(worker);
        assert!(!started[0].may_retry);
        assert_eq!(jobs.remove(key), Some(1));
    }
}

#[test]
fn a_broken_worker_harms_only_jobs_that_it_was_sent() {
    for seed in 0..pick(50, 1000) {
        let mut chaos = Chaos::new(seed);
        for _ in 0..if cfg!(miri) { 20 } else { 400 } {
            chaos.step();
        }
        // The jobs that are left: those that are said to run are in the broken worker.
        for key in chaos.jobs.keys() {
            match chaos.jobs.abort(key) {
                Aborted::Removed { payload, attempts } => {
                    assert!(attempts == 0 || chaos.exposed.contains(&payload));
                    chaos.hand_back(payload);
                }
                aborted => {
                    let worker = chaos.broken;
                    assert_eq!(aborted, Aborted::Started { worker });
                }
            }
        }
        chaos.end(chaos.broken);
        // Every job was handed back once.
        assert_eq!(chaos.handed_back.len(), chaos.keys.len());
        assert!(chaos.handed_back.values().all(|&count| count == 1));
        assert!(chaos.jobs.is_empty());
    }
}
