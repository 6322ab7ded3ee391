//! Tests of the pool without a loop.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::panic::Location;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, Sender, channel};

use crate::engine::id::Id;
use crate::engine::remote::pool::count::CountedJob;
use crate::engine::remote::pool::options::Options;
use crate::engine::remote::pool::refusal::Refusal;
use crate::engine::remote::pool::{Dispatch, Job, PoolStats, Work};
use crate::engine::remote::shared::Shared;
use crate::engine::report::task_meta::TaskMeta;

/// Work that sends a word when it is run or refused.
struct Recorder(Sender<&'static str>);

impl Work for Recorder {
    fn run(self: Box<Self>, job_ran: &dyn Fn()) {
        job_ran();
        self.0.send("run").unwrap();
    }

    fn refuse(self: Box<Self>, _: &Refusal) {
        self.0.send("refused").unwrap();
    }
}

/// Returns a job, and the words that its work sends.
fn recorded_job(shared: &Arc<Shared>) -> (Job, Receiver<&'static str>) {
    let (send, receive) = channel();
    let job = Job {
        work: Box::new(Recorder(send)),
        spawned_at: Location::caller(),
        _counted: CountedJob::new(Arc::clone(shared)),
    };
    (job, receive)
}

/// Starts a job that runs until the sender is dropped.
fn endless(shared: &Arc<Shared>) -> (Id, Sender<()>) {
    let (begin, begun) = channel();
    let (end, ended) = channel::<()>();
    let id = Id::fresh();
    let work = move || {
        begin.send(()).unwrap();
        assert_eq!(ended.recv(), Err(RecvError));
    };
    drop(shared.spawn_blocking(id, work, Location::caller()));
    begun.recv().unwrap();
    (id, end)
}

#[test]
fn abandon_returns_the_running_and_the_queued_jobs() {
    let options = Options {
        max_threads: 2,
        ..Options::default()
    };
    let shared = Shared::new(options);
    let (first, end_first) = endless(&shared);
    let (second, end_second) = endless(&shared);
    let (queued, never_run) = recorded_job(&shared);
    let third = Id::fresh();
    assert!(matches!(
        shared.pool.queue(third, queued),
        Dispatch::Nothing
    ));
    let left = shared.pool.abandon();
    shared.pool.close();
    assert!(left.iter().map(TaskMeta::id).eq([first, second, third]));
    assert!(left.iter().all(|job| job.spawned_at().file() == file!()));
    assert_eq!(never_run.recv(), Err(RecvError), "dropped without running");

    let (refused, never) = recorded_job(&shared);
    let dispatch = shared.pool.queue(Id::fresh(), refused);
    assert!(matches!(dispatch, Dispatch::Closed(_)));
    drop(dispatch);
    assert_eq!(never.recv(), Err(RecvError));

    drop(end_first);
    drop(end_second);
    let start = std::time::Instant::now();
    while shared.pool.watch_jobs() > 0 {
        assert!(start.elapsed().as_secs() < 60, "the jobs do not end");
        std::thread::yield_now();
    }
    assert!(
        shared.pool.abandon().is_empty(),
        "a finished job is not left"
    );
}

#[test]
fn queued_jobs_are_refused_when_no_thread_can_be_started() {
    let shared = Shared::new(Options::default());
    let refusal = Refusal::NoThread("on purpose".to_owned());
    let (first, first_events) = recorded_job(&shared);
    let (second, second_events) = recorded_job(&shared);
    for job in [first, second] {
        let dispatch = shared.pool.queue(Id::fresh(), job);
        assert!(matches!(dispatch, Dispatch::StartThread));
    }
    assert_eq!(shared.pool.watch_jobs(), 2);
    let stats = |threads, queued| PoolStats {
        threads,
        idle: 0,
        queued,
        running: 0,
    };
    assert_eq!(shared.pool.stats(), stats(2, 2));
    shared.pool.not_started(&refusal);
    assert_eq!(
        shared.pool.stats(),
        stats(1, 2),
        "the other thread may still start"
    );
    shared.pool.not_started(&refusal);
    assert_eq!(shared.pool.stats(), stats(0, 0));
    assert!(first_events.iter().chain(&second_events).eq(["refused"; 2]));
    assert_eq!(shared.pool.watch_jobs(), 0);
}
