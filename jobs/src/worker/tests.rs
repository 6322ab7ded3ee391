//! Workers whose engine fails.

use std::cell::{Cell, RefCell};
use std::future::ready;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use coreloop_pool::Pool;
use coreloop_runtime::block_on;
use coreloop_runtime::task::JoinHandle;
use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::meeting::{Meeting, meet, soon};

use super::*;
use crate::engine::{
    Counts, Dead, Engine, Failure, Fence, JobId, Leased, NewJob, Outcome, Pending,
};
use crate::error::Kind;
use crate::memory::Memory;

coreloop::pool::worker_test!();

#[coreloop::job]
fn double(number: u32) -> u32 {
    number * 2
}

#[coreloop::job]
fn fail() -> Result<(), String> {
    Err("it always fails".to_owned())
}

/// Meets the test, and returns the number.
#[coreloop::job]
fn attend(meeting: PathBuf, number: u32) -> u32 {
    meet(&meeting, &number.to_string());
    number
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is not carried out.
    Refused(Kind),
    /// It is carried out, and the answer is lost.
    AnswerLost,
}

/// The faults of one operation: how, and how often.
type Faults = Cell<Option<(Fault, u32)>>;

/// An engine whose operations fail as a test wants.
struct Faulty {
    engine: Rc<dyn Engine>,
    lease: Faults,
    renew: Faults,
    finish: Faults,
    fail: Faults,
    /// A job whose end is refused.
    poison: RefCell<Option<JobId>>,
    /// How often it was refused.
    refusals: Cell<u32>,
}

const ALWAYS: u32 = u32::MAX;

impl Faulty {
    fn apply<'a, T: 'a>(faults: &Faults, operation: Pending<'a, T>) -> Pending<'a, T> {
        let Some((fault, times)) = faults.get() else {
            return operation;
        };
        faults.set(match times {
            0 | 1 => None,
            ALWAYS => Some((fault, ALWAYS)),
            more => Some((fault, more - 1)),
        });
        Box::pin(async move {
            let kind = match fault {
                Fault::Refused(kind) => kind,
                Fault::AnswerLost => {
                    drop(operation.await);
                    Kind::Engine
                }
            };
            Err(Error::new(kind, "a fault of the test"))
        })
    }
}

impl Faulty {
    /// Returns an error if one of these jobs is the poisonous one.
    fn check<'a>(&self, mut jobs: impl Iterator<Item = &'a Leased>) -> Result<(), Error> {
        let poison = self.poison.borrow();
        if jobs.any(|job| Some(&job.id) == poison.as_ref()) {
            self.refusals.set(self.refusals.get() + 1);
            return Err(Error::new(Kind::Engine, "the end of this job is refused"));
        }
        Ok(())
    }
}

impl Engine for Faulty {
    fn push(&self, jobs: Vec<NewJob>) -> Pending<'_, Vec<JobId>> {
        self.engine.push(jobs)
    }

    fn lease<'a>(
        &'a self,
        functions: &'a [Function],
        max: usize,
        lease: Duration,
    ) -> Pending<'a, Vec<Leased>> {
        Self::apply(&self.lease, self.engine.lease(functions, max, lease))
    }

    fn leave<'a>(&'a self, functions: &'a [Function], lease: Duration) -> Pending<'a, ()> {
        self.engine.leave(functions, lease)
    }

    fn renew<'a>(&'a self, jobs: Vec<&'a Leased>, lease: Duration) -> Pending<'a, Vec<Fence>> {
        Self::apply(&self.renew, self.engine.renew(jobs, lease))
    }

    fn finish<'a>(&'a self, jobs: Vec<(&'a Leased, &'a [u8])>) -> Pending<'a, Vec<Fence>> {
        if let Err(error) = self.check(jobs.iter().map(|(job, _)| *job)) {
            return Box::pin(ready(Err(error)));
        }
        Self::apply(&self.finish, self.engine.finish(jobs))
    }

    fn fail<'a>(&'a self, job: &'a Leased, failure: Failure) -> Pending<'a, Fence> {
        if let Err(error) = self.check([job].into_iter()) {
            return Box::pin(ready(Err(error)));
        }
        Self::apply(&self.fail, self.engine.fail(job, failure))
    }

    fn outcome<'a>(&'a self, id: &'a JobId) -> Pending<'a, Outcome> {
        self.engine.outcome(id)
    }

    fn dead(&self, max: usize) -> Pending<'_, Vec<Dead>> {
        self.engine.dead(max)
    }

    fn requeue<'a>(&'a self, id: &'a JobId) -> Pending<'a, bool> {
        self.engine.requeue(id)
    }

    fn discard<'a>(&'a self, id: &'a JobId) -> Pending<'a, bool> {
        self.engine.discard(id)
    }

    fn counts(&self) -> Pending<'_, Counts> {
        self.engine.counts()
    }

    fn max_bytes(&self) -> usize {
        self.engine.max_bytes()
    }
}

/// A queue, the same queue with faults, and what the worker has reported.
struct Scene {
    queue: Queue,
    faulty: Rc<Faulty>,
    faulty_queue: Queue,
    pool: Pool,
    events: Rc<RefCell<Vec<String>>>,
}

impl Scene {
    fn new() -> Self {
        let memory = Memory::new();
        let faulty = Rc::new(Faulty {
            engine: memory.open("numbers").unwrap(),
            lease: Cell::default(),
            renew: Cell::default(),
            finish: Cell::default(),
            fail: Cell::default(),
            poison: RefCell::default(),
            refusals: Cell::default(),
        });
        Self {
            queue: Queue::new(memory.open("numbers").unwrap(), "numbers"),
            faulty_queue: Queue::new(Rc::clone(&faulty) as Rc<dyn Engine>, "numbers"),
            faulty,
            pool: Pool::builder().workers(1).build().unwrap(),
            events: Rc::default(),
        }
    }

    /// Returns a worker with the faults.
    fn worker(&self) -> Worker {
        let events = Rc::clone(&self.events);
        let soon = Duration::from_millis(1);
        self.faulty_queue
            .worker()
            .jobs_of(&self.pool)
            .lease(Duration::from_secs(60))
            .backoff(soon, soon)
            .on_event(move |event| events.borrow_mut().push(event.to_string()))
    }

    fn reports(&self) -> Vec<String> {
        self.events.borrow().clone()
    }
}

type Task = JoinHandle<Result<WorkerMetrics, Error>>;

fn start(worker: Worker) -> (WorkerControl, Task) {
    (worker.control(), coreloop_runtime::spawn(worker.run()))
}

async fn stop((control, task): (WorkerControl, Task)) -> WorkerMetrics {
    control.stop();
    soon(task).await.unwrap().unwrap()
}

#[test]
fn results_are_kept_while_the_engine_fails() {
    block_on(async {
        let scene = Scene::new();
        let refused = Fault::Refused(Kind::Engine);
        scene.faulty.lease.set(Some((refused, 2)));
        scene.faulty.finish.set(Some((refused, 3)));
        let receipts = scene.queue.push_many(double, [1, 2, 3]).await.unwrap();
        let worker = start(scene.worker());
        for (receipt, result) in receipts.iter().zip([2, 4, 6]) {
            assert_eq!(
                soon(scene.queue.result(receipt).into_future())
                    .await
                    .unwrap(),
                result
            );
        }
        let metrics = stop(worker).await;
        assert_eq!((metrics.done, metrics.lost, metrics.failed), (3, 0, 0));
        // Each outage is reported once.
        let reports = scene.reports();
        assert!(reports[0].contains("has failed: a fault"), "{reports:?}");
        assert!(reports[1].contains("works again"), "{reports:?}");
        assert!(reports.len() <= 4, "{reports:?}");
    });
}

#[test]
fn an_end_whose_answer_is_lost_counts_once() {
    block_on(async {
        let scene = Scene::new();
        scene.faulty.finish.set(Some((Fault::AnswerLost, 1)));
        let receipt = scene.queue.push(double, 4).await.unwrap();
        let worker = start(scene.worker());
        assert_eq!(scene.queue.result(&receipt).await.unwrap(), 8);
        let control = worker.0.clone();
        yield_until(move || control.metrics().held == 0).await;
        let metrics = stop(worker).await;
        assert_eq!((metrics.done, metrics.lost, metrics.taken), (1, 0, 0));
    });
}

#[test]
fn a_job_whose_lease_could_not_be_renewed_is_cancelled_here_and_runs_elsewhere() {
    block_on(async {
        let scene = Scene::new();
        let meeting = Meeting::new();
        scene
            .faulty
            .renew
            .set(Some((Fault::Refused(Kind::Engine), ALWAYS)));
        let push = scene.queue.push(attend, (meeting.path(), 7));
        let receipt = push.await.unwrap();
        let worker = start(scene.worker().lease(Duration::from_millis(60)));
        let slow = meeting.arrival().await;
        // The lease ends, and another worker gets the job.
        let pool = Pool::builder().workers(1).build().unwrap();
        let other = start(scene.queue.worker().jobs_of(&pool));
        let fast = meeting.arrival().await;
        scene.faulty.renew.set(None);
        let control = worker.0.clone();
        yield_until(move || control.metrics().taken == 1).await;
        fast.release().await;
        assert_eq!(scene.queue.result(&receipt).await.unwrap(), 7);
        slow.release().await;
        let metrics = stop(worker).await;
        assert_eq!((metrics.done, metrics.taken, metrics.held), (0, 1, 0));
        assert_eq!(stop(other).await.done, 1);
        let reports = scene.reports();
        assert!(
            reports
                .iter()
                .any(|report| report.contains("another worker has the job"))
        );
    });
}

#[test]
fn a_result_that_comes_too_late_is_lost() {
    block_on(async {
        let scene = Scene::new();
        let meeting = Meeting::new();
        let refused = Some((Fault::Refused(Kind::Engine), ALWAYS));
        scene.faulty.renew.set(refused);
        scene.faulty.finish.set(refused);
        let push = scene.queue.push(attend, (meeting.path(), 7));
        let receipt = push.await.unwrap();
        let worker = start(scene.worker().lease(Duration::from_millis(60)));
        meeting.arrival().await.release().await;
        let pool = Pool::builder().workers(1).build().unwrap();
        let other = start(scene.queue.worker().jobs_of(&pool));
        let fast = meeting.arrival().await;
        scene.faulty.finish.set(None);
        let control = worker.0.clone();
        yield_until(move || control.metrics().lost == 1).await;
        fast.release().await;
        assert_eq!(scene.queue.result(&receipt).await.unwrap(), 7);
        let metrics = stop(worker).await;
        assert_eq!((metrics.done, metrics.taken, metrics.lost), (0, 1, 1));
        assert_eq!(stop(other).await.done, 1);
    });
}

#[test]
fn a_result_that_is_too_long_for_the_engine_is_a_failed_attempt() {
    block_on(async {
        let scene = Scene::new();
        let too_long = Fault::Refused(Kind::Codec);
        scene.faulty.finish.set(Some((too_long, ALWAYS)));
        let receipt = scene.queue.push(double, 4).await.unwrap();
        let worker = start(scene.worker().attempts(2));
        let error = soon(scene.queue.result(&receipt).into_future())
            .await
            .unwrap_err();
        assert!(error.is_dead(), "{error}");
        assert!(error.to_string().contains("cannot be stored"), "{error}");
        let metrics = stop(worker).await;
        assert_eq!((metrics.failed, metrics.dead), (1, 1));
    });
}

#[test]
fn a_result_that_the_engine_always_refuses_does_not_stay_for_ever() {
    block_on(async {
        let scene = Scene::new();
        let refused = Fault::Refused(Kind::Engine);
        scene.faulty.finish.set(Some((refused, ALWAYS)));
        let receipt = scene.queue.push(double, 4).await.unwrap();
        // It renews leases often, and that succeeds.
        let lease = Duration::from_secs(1);
        let worker = start(scene.worker().attempts(1).lease(lease));
        let error = soon(scene.queue.result(&receipt).into_future())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("cannot be stored"), "{error}");
        assert_eq!(stop(worker).await.dead, 1);
    });
}

#[test]
fn an_end_that_the_engine_refuses_holds_up_no_other() {
    block_on(async {
        let scene = Scene::new();
        let first = scene.queue.push(double, 1).await.unwrap();
        *scene.faulty.poison.borrow_mut() = Some(first.id().clone());
        // A result and a failure, each behind the one that is refused.
        let others = scene.queue.push_many(double, [2, 3]).await.unwrap();
        let failing = scene.queue.push(fail, ()).await.unwrap();
        let worker = start(scene.worker().attempts(1).at_once(2));
        for (receipt, result) in others.iter().zip([4, 6]) {
            let found = soon(scene.queue.result(receipt).into_future()).await;
            assert_eq!(found.unwrap(), result);
        }
        let dead = soon(scene.queue.result(&failing).into_future()).await;
        assert!(dead.unwrap_err().is_dead());
        scene.faulty.poison.take();
        let found = soon(scene.queue.result(&first).into_future()).await;
        assert_eq!(found.unwrap(), 2);
        assert_eq!(stop(worker).await.done, 3);
    });
}

#[test]
fn an_outage_after_one_success_costs_no_result() {
    block_on(async {
        let scene = Scene::new();
        let receipt = scene.queue.push(double, 4).await.unwrap();
        *scene.faulty.poison.borrow_mut() = Some(receipt.id().clone());
        let worker = start(scene.worker().attempts(1).at_once(2));
        yield_until(|| scene.faulty.refusals.get() == 1).await;
        // The result of another job is stored, and then nothing succeeds for long.
        let other = scene.queue.push(double, 5).await.unwrap();
        assert_eq!(scene.queue.result(&other).await.unwrap(), 10);
        let refused = Some((Fault::Refused(Kind::Engine), ALWAYS));
        scene.faulty.lease.set(refused);
        scene.faulty.renew.set(refused);
        yield_until(|| scene.faulty.refusals.get() == 3 * 8).await;
        scene.faulty.poison.take();
        scene.faulty.lease.set(None);
        scene.faulty.renew.set(None);
        let result = soon(scene.queue.result(&receipt).into_future()).await;
        assert_eq!(result.unwrap(), 8);
        assert_eq!(stop(worker).await.done, 2);
    });
}

#[test]
fn a_failure_that_the_engine_always_refuses_is_reported_and_the_lease_ends() {
    block_on(async {
        let scene = Scene::new();
        let receipt = scene.queue.push(double, 4).await.unwrap();
        *scene.faulty.poison.borrow_mut() = Some(receipt.id().clone());
        // It renews leases often, and that succeeds.
        let lease = Duration::from_secs(1);
        let worker = start(scene.worker().attempts(1).lease(lease));
        let control = worker.0.clone();
        yield_until(move || control.metrics().lost == 1).await;
        let reports = scene.reports();
        let is_reported = |report: &String| report.contains("so its lease ends");
        assert!(reports.iter().any(is_reported), "{reports:?}");
        scene.faulty.poison.take();
        // The next lease does not run the job once more.
        let error = soon(scene.queue.result(&receipt).into_future()).await;
        assert!(error.unwrap_err().to_string().contains("leased 1 times"));
        assert_eq!(stop(worker).await.dead, 1);
    });
}

#[test]
fn a_worker_that_stops_does_not_wait_for_ever_for_an_engine_that_is_gone() {
    block_on(async {
        let scene = Scene::new();
        let meeting = Meeting::new();
        let refused = Some((Fault::Refused(Kind::Engine), ALWAYS));
        let push = scene.queue.push(attend, (meeting.path(), 1));
        push.await.unwrap();
        let worker = start(scene.worker().lease(Duration::from_millis(100)));
        let arrival = meeting.arrival().await;
        scene.faulty.renew.set(refused);
        scene.faulty.finish.set(refused);
        scene.faulty.fail.set(refused);
        scene.faulty.lease.set(refused);
        arrival.release().await;
        let metrics = stop(worker).await;
        assert_eq!((metrics.done, metrics.lost, metrics.held), (0, 1, 0));
    });
}

#[test]
fn a_job_that_was_leased_too_often_without_an_end_is_dead() {
    block_on(async {
        let memory = Memory::new();
        let queue = Queue::new(memory.open("numbers").unwrap(), "numbers");
        let receipt = queue.push(double, 1).await.unwrap();
        let (name, version) = __jobs::function_of(&double).unwrap();
        let functions = [Function {
            name: name.to_owned(),
            version,
        }];
        for attempt in 1..=2 {
            // The machine of this client is lost.
            let client = memory.open("numbers").unwrap();
            let jobs = client.lease(&functions, 1, Duration::from_secs(60)).await;
            assert_eq!(jobs.unwrap()[0].attempt, attempt);
        }
        let pool = Pool::builder().workers(1).build().unwrap();
        let worker = queue.worker().jobs_of(&pool).attempts(2).on_event(|_| ());
        let worker = start(worker);
        let error = queue.result(&receipt).await.unwrap_err();
        assert!(error.to_string().contains("leased 2 times"), "{error}");
        assert_eq!(stop(worker).await.dead, 1);
    });
}

/// On Redis, entries of two streams may have the same number.
#[test]
fn two_jobs_whose_leases_have_the_same_name_are_held_apart() {
    block_on(async {
        let running = Running::new(Scene::new().worker()).unwrap();
        let leased = |id: &str| Leased {
            id: JobId(id.to_owned()),
            function: Function {
                name: id.to_owned(),
                version: 0,
            },
            payload: Vec::new(),
            attempt: 1,
            lease: "1-0/1".to_owned(),
        };
        let (one, other) = (running.hold(leased("a")), running.hold(leased("b")));
        assert_eq!(running.held_count(), 2);
        running.release(&one);
        running.release(&one);
        let left: Vec<_> = running.all_held();
        assert!(left.len() == 1 && Rc::ptr_eq(&left[0], &other));
    });
}

#[test]
fn a_hook_that_panics_harms_nothing() {
    block_on(async {
        let scene = Scene::new();
        let refused = Fault::Refused(Kind::Engine);
        scene.faulty.lease.set(Some((refused, 2)));
        let receipt = scene.queue.push(double, 4).await.unwrap();
        let panics = |_: &WorkerEvent| std::panic::resume_unwind(Box::new("hook"));
        let worker = start(scene.worker().on_event(panics));
        assert_eq!(scene.queue.result(&receipt).await.unwrap(), 8);
        assert_eq!(stop(worker).await.done, 1);
    });
}

#[test]
fn a_function_that_is_not_registered_is_an_error() {
    fn unregistered() {}
    block_on(async {
        let scene = Scene::new();
        let error = scene.queue.push(unregistered, ()).await.unwrap_err();
        assert!(error.to_string().contains("not registered"), "{error}");
        let error = scene.worker().only(unregistered).run().await.unwrap_err();
        assert!(error.to_string().contains("not registered"), "{error}");
    });
}
