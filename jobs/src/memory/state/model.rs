//! A test of the queue against a model, which has a list of jobs and searches it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;

use super::lease::{AtMost, Failed, LeaseName};
use super::{Limits, Lookup, Session, State, Time};
use crate::engine::{Counts, Failure, Fence, Function, JobId, Leased, NewJob, Outcome};

/// What is done to the queue. Indices are taken modulo the number of what they choose from.
#[derive(Debug, Clone)]
enum Step {
    Push(Vec<(u8, Option<u8>, u8)>),
    Lease {
        session: u8,
        functions: Vec<u8>,
        max: u8,
        time: u8,
    },
    Renew {
        lease: u8,
        session: u8,
        time: u8,
    },
    Finish {
        lease: u8,
    },
    Retry {
        lease: u8,
        delay: u8,
    },
    Unstarted {
        lease: u8,
    },
    Bury {
        lease: u8,
    },
    Requeue {
        job: u8,
    },
    Discard {
        job: u8,
    },
    Wait(u8),
    Gone {
        session: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let job = (0..3_u8, proptest::option::weighted(0.3, 0..4_u8), 0..3_u8);
    let functions = proptest::collection::vec(0..3_u8, 1..4);
    prop_oneof![
        3 => proptest::collection::vec(job, 0..4).prop_map(Step::Push),
        4 => (0..3_u8, functions, 0..4_u8, 1..6_u8).prop_map(|(session, functions, max, time)| {
            Step::Lease { session, functions, max, time }
        }),
        2 => (any::<u8>(), 0..3_u8, 1..6_u8)
            .prop_map(|(lease, session, time)| Step::Renew { lease, session, time }),
        2 => any::<u8>().prop_map(|lease| Step::Finish { lease }),
        2 => (any::<u8>(), 0..3_u8).prop_map(|(lease, delay)| Step::Retry { lease, delay }),
        1 => any::<u8>().prop_map(|lease| Step::Unstarted { lease }),
        1 => any::<u8>().prop_map(|lease| Step::Bury { lease }),
        1 => any::<u8>().prop_map(|job| Step::Requeue { job }),
        1 => any::<u8>().prop_map(|job| Step::Discard { job }),
        3 => (0..4_u8).prop_map(Step::Wait),
        1 => (0..3_u8).prop_map(|session| Step::Gone { session }),
    ]
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    /// May be leased from this time on.
    Waiting(u64),
    Leased {
        end: u64,
        session: u8,
    },
    Dead(u64),
    Discarded,
    Done(u8),
}

#[derive(Debug)]
struct Job {
    function: u8,
    attempts: u32,
    /// The lease that was not answered.
    lease: Option<String>,
    stage: Stage,
}

/// The jobs in the order of their numbers, each at its number minus one.
#[derive(Debug, Default)]
struct Model {
    jobs: Vec<Job>,
    keys: HashMap<u8, usize>,
    now: u64,
    deaths: u64,
}

impl Model {
    fn is_ready(&self, job: &Job) -> bool {
        match job.stage {
            Stage::Waiting(time) => time <= self.now,
            Stage::Leased { end, .. } => end <= self.now,
            Stage::Dead(_) | Stage::Discarded | Stage::Done(_) => false,
        }
    }

    fn check(&self, leased: &Leased) -> Result<usize, Fence> {
        let index = index(&leased.id);
        let job = &self.jobs[index];
        match job.stage {
            Stage::Dead(_) | Stage::Discarded | Stage::Done(_) => Err(Fence::Gone),
            _ if job.lease.as_ref() == Some(&leased.lease) => Ok(index),
            _ => Err(Fence::Taken),
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for job in &self.jobs {
            match job.stage {
                _ if self.is_ready(job) => counts.waiting += 1,
                Stage::Waiting(_) => counts.delayed += 1,
                Stage::Leased { .. } => counts.leased += 1,
                Stage::Dead(_) => counts.dead += 1,
                Stage::Done(_) | Stage::Discarded => {}
            }
        }
        counts
    }

    fn next_event(&self) -> Option<u64> {
        let times = self.jobs.iter().filter_map(|job| match job.stage {
            Stage::Waiting(time) => Some(time),
            Stage::Leased { end, .. } => Some(end),
            Stage::Dead(_) | Stage::Discarded | Stage::Done(_) => None,
        });
        times.filter(|time| *time > self.now).min()
    }

    /// Returns the functions that have a ready job now, and had not before.
    fn ready(&self) -> HashSet<u8> {
        let ready = self.jobs.iter().filter(|job| self.is_ready(job));
        ready.map(|job| job.function).collect()
    }
}

fn index(id: &JobId) -> usize {
    let number: usize = id.0.strip_prefix("test-").unwrap().parse().unwrap();
    number - 1
}

fn function(number: u8) -> Function {
    Function {
        name: format!("function {number}"),
        version: 1,
    }
}

fn time(units: impl Into<u64>) -> Time {
    Duration::from_secs(units.into())
}

/// The queue and its model, and all leases that there were.
struct World {
    state: State,
    model: Model,
    leases: Vec<Leased>,
    results: u8,
}

impl World {
    fn new() -> Self {
        Self {
            state: State::new("test".to_owned(), Limits::default()),
            model: Model::default(),
            leases: Vec::new(),
            results: 0,
        }
    }

    fn now(&self) -> Time {
        time(self.model.now)
    }

    fn some_lease(&self, index: u8) -> Option<Leased> {
        let index = usize::from(index).checked_rem(self.leases.len())?;
        // Young leases are more interesting.
        self.leases.iter().rev().nth(index).cloned()
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Push(jobs) => self.push(jobs),
            Step::Lease {
                session,
                functions,
                max,
                time,
            } => self.lease(session, &functions, max, time),
            Step::Wait(units) => self.wait(units),
            Step::Gone { session } => self.gone(session),
            Step::Requeue { job } => self.requeue(job),
            Step::Discard { job } => self.discard(job),
            Step::Renew {
                lease,
                session,
                time: units,
            } => {
                let Some(lease) = self.some_lease(lease) else {
                    return;
                };
                let (now, session_of) = (self.now(), Session(session.into()));
                let name = LeaseName::from(&lease);
                let fence = self.state.renew(now, session_of, &name, time(units));
                let expected = self.model.check(&lease);
                assert_eq!(fence, expected.err().unwrap_or(Fence::Held));
                if let Ok(index) = expected {
                    let end = self.model.now + u64::from(units);
                    self.model.jobs[index].stage = Stage::Leased { end, session };
                }
            }
            Step::Finish { lease } => self.finish(lease),
            Step::Retry { lease, delay } => {
                let failure = Failure::Retry {
                    delay: time(delay),
                    error: String::new(),
                };
                let until = self.model.now + u64::from(delay);
                self.fail(lease, failure, Stage::Waiting(until), 0);
            }
            Step::Unstarted { lease } => {
                let stage = Stage::Waiting(self.model.now);
                self.fail(lease, Failure::Unstarted, stage, 1);
            }
            Step::Bury { lease } => {
                self.model.deaths += 1;
                let stage = Stage::Dead(self.model.deaths);
                let error = "it is dead".to_owned();
                self.fail(lease, Failure::Dead { error }, stage, 0);
            }
        }
    }

    fn push(&mut self, jobs: Vec<(u8, Option<u8>, u8)>) {
        let mut expected = Vec::new();
        for (function, key, delay) in &jobs {
            let known = key.and_then(|key| self.model.keys.get(&key).copied());
            expected.push(known.unwrap_or(self.model.jobs.len()));
            if known.is_none() {
                self.model
                    .keys
                    .extend(key.map(|key| (key, self.model.jobs.len())));
                self.model.jobs.push(Job {
                    function: *function,
                    attempts: 0,
                    lease: None,
                    stage: Stage::Waiting(self.model.now + u64::from(*delay)),
                });
            }
        }
        let new = |(number, key, delay): (u8, Option<u8>, u8)| NewJob {
            function: function(number),
            payload: vec![number],
            key: key.map(|key| key.to_string()),
            delay: time(delay),
        };
        let jobs = jobs.into_iter().map(new).collect();
        let pushed = self.state.push(self.now(), jobs).unwrap();
        assert_eq!(pushed.ids.iter().map(index).collect::<Vec<_>>(), expected);
    }

    fn lease(&mut self, session: u8, functions: &[u8], max: u8, units: u8) {
        let wanted: Vec<_> = functions.iter().map(|number| function(*number)).collect();
        let (now, session_of) = (self.now(), Session(session.into()));
        let leased = self.state.lease(
            now,
            session_of,
            &wanted,
            AtMost::jobs(max.into()),
            time(units),
        );
        let model = &self.model;
        let ready = model.jobs.iter().enumerate();
        let ready: Vec<_> = ready
            .filter(|(_, job)| model.is_ready(job) && functions.contains(&job.function))
            .map(|(index, _)| index)
            .take(max.into())
            .collect();
        let end = self.model.now + u64::from(units);
        assert_eq!(
            leased.iter().map(|job| index(&job.id)).collect::<Vec<_>>(),
            ready
        );
        for leased in leased {
            let job = &mut self.model.jobs[index(&leased.id)];
            job.attempts += 1;
            job.lease = Some(leased.lease.clone());
            job.stage = Stage::Leased { end, session };
            assert_eq!(leased.attempt, job.attempts);
            assert_eq!(leased.payload, [job.function]);
            assert_eq!(leased.function, function(job.function));
            assert!(self.leases.iter().all(|other| other.lease != leased.lease));
            self.leases.push(leased);
        }
    }

    fn finish(&mut self, lease: u8) {
        let Some(lease) = self.some_lease(lease) else {
            return;
        };
        self.results = self.results.wrapping_add(1);
        let result = self.results;
        let finished = self
            .state
            .finish(self.now(), &LeaseName::from(&lease), vec![result]);
        let expected = self.model.check(&lease);
        assert_eq!(finished.err(), expected.err());
        if let Ok(index) = expected {
            self.model.jobs[index].stage = Stage::Done(result);
        }
    }

    fn fail(&mut self, lease: u8, failure: Failure, stage: Stage, uncounted: u32) {
        let Some(lease) = self.some_lease(lease) else {
            return;
        };
        let failed = self
            .state
            .fail(self.now(), &LeaseName::from(&lease), failure);
        let expected = self.model.check(&lease);
        assert_eq!(failed.as_ref().err(), expected.as_ref().err());
        let (Ok(index), Ok(failed)) = (expected, failed) else {
            return;
        };
        let job = &mut self.model.jobs[index];
        job.lease = None;
        job.attempts -= uncounted;
        job.stage = stage;
        let is_ready = self.model.is_ready(&self.model.jobs[index]);
        assert!(match failed {
            Failed::Dead(number) => number == index as u64 + 1,
            Failed::Returned(function) => function.is_some() == is_ready,
        });
    }

    fn requeue(&mut self, job: u8) {
        let Some(index) = usize::from(job).checked_rem(self.model.jobs.len()) else {
            return;
        };
        let id = JobId(format!("test-{}", index + 1));
        let requeued = self.state.requeue(&id);
        let job = &mut self.model.jobs[index];
        let is_dead = matches!(job.stage, Stage::Dead(_));
        assert_eq!(requeued.is_some(), is_dead);
        if is_dead {
            job.attempts = 0;
            job.stage = Stage::Waiting(self.model.now);
        }
    }

    fn discard(&mut self, job: u8) {
        let Some(index) = usize::from(job).checked_rem(self.model.jobs.len()) else {
            return;
        };
        let id = JobId(format!("test-{}", index + 1));
        let now = self.now();
        let job = &mut self.model.jobs[index];
        let is_dead = matches!(job.stage, Stage::Dead(_));
        assert_eq!(self.state.discard(now, &id), is_dead);
        if is_dead {
            job.stage = Stage::Discarded;
        }
    }

    fn wait(&mut self, units: u8) {
        let before = self.model.ready();
        self.model.now += u64::from(units);
        let functions = self.state.advance(self.now());
        let functions: HashSet<_> = functions
            .iter()
            .map(|function| (**function).clone())
            .collect();
        for new in self.model.ready().difference(&before) {
            assert!(functions.contains(&function(*new)), "no request is woken");
        }
    }

    fn gone(&mut self, session: u8) {
        self.state.session_gone(Session(session.into()));
        let now = self.model.now;
        for job in &mut self.model.jobs {
            let is_of_session = matches!(job.stage, Stage::Leased { session: of, end } if of == session && end > now);
            if is_of_session {
                job.stage = Stage::Waiting(now);
            }
        }
    }

    fn check(&mut self) {
        let now = self.now();
        assert_eq!(self.state.counts(), self.model.counts());
        let next = self.state.next_event();
        assert_eq!(next, self.model.next_event().map(time));
        for (index, job) in self.model.jobs.iter().enumerate() {
            let lookup = self
                .state
                .outcome(now, &JobId(format!("test-{}", index + 1)));
            let expected = match job.stage {
                Stage::Done(result) => Lookup::Ended(Outcome::Done(vec![result])),
                Stage::Dead(_) | Stage::Discarded => {
                    Lookup::Ended(Outcome::Dead("it is dead".to_owned()))
                }
                Stage::Waiting(_) | Stage::Leased { .. } => Lookup::Pending(index as u64 + 1),
            };
            assert_eq!(lookup, expected);
        }
        let deaths = |stage: &Stage| match stage {
            Stage::Dead(death) => Some(*death),
            _ => None,
        };
        let jobs = self.model.jobs.iter().enumerate();
        let mut dead: Vec<_> = jobs
            .filter_map(|(index, job)| Some((deaths(&job.stage)?, index, job.attempts)))
            .collect();
        dead.sort_unstable();
        let letters = self.state.dead(usize::MAX);
        let letters = letters.iter().map(|dead| (index(&dead.id), dead.attempts));
        assert!(
            letters.eq(dead
                .into_iter()
                .map(|(_, index, attempts)| (index, attempts)))
        );
        let held: usize = self
            .state
            .held
            .values()
            .map(std::collections::BTreeSet::len)
            .sum();
        assert_eq!(held, self.state.leases.len());
        let bytes: usize = self.state.jobs.values().map(|job| job.payload.len()).sum();
        assert_eq!(self.state.bytes, bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: coreloop_test_support::size::pick(256, 3_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_queue_behaves_like_a_list_of_jobs(steps in proptest::collection::vec(step(), 0..60)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
            world.check();
        }
    }
}
