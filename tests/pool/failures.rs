//! What becomes of jobs that wait, of jobs that run and of workers, for each thing that can
//! happen to them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use coreloop::pool::{JobError, JobHandle, Pool, WorkerState, job};
use coreloop::task::spawn;
use coreloop_test_support::deadline::{wait_until, yield_until};
use coreloop_test_support::folder::Folder;
use coreloop_test_support::meeting::{Arrival, Meeting, Visit, lines, meet, soon};
use coreloop_test_support::process::master::await_end;
use coreloop_test_support::process::proc::is_running;
use futures_lite::future::poll_once;
use rustix::process::{Pid, Signal, kill_process};

/// Meets the test, and returns the process and the attempt.
#[coreloop::job]
fn meeting(path: PathBuf, name: String) -> (u32, u32) {
    meet(&path, &name);
    (std::process::id(), job::attempt().unwrap())
}

/// Meets the test, then says `c` when it is asked to stop.
#[coreloop::job]
fn until_cancelled(path: PathBuf) {
    let mut visit = Visit::new(&path, "until cancelled").unwrap();
    while !job::is_cancelled() {
        std::thread::yield_now();
    }
    visit.say(b'c');
    visit.wait();
}

#[coreloop::job]
fn for_ever(path: PathBuf) {
    let _visit = Visit::new(&path, "for ever");
    loop {
        std::hint::spin_loop();
    }
}

#[coreloop::job]
fn add_line(path: PathBuf) {
    add(&path, "ran");
}

fn add(path: &Path, line: &str) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    writeln!(file, "{line}").unwrap();
}

#[coreloop::job]
fn process() -> u32 {
    std::process::id()
}

#[coreloop::job]
fn panics(text: String) {
    panic!("{text}");
}

#[coreloop::job]
fn exits(code: i32) {
    std::process::exit(code);
}

#[coreloop::job]
fn bytes(count: usize) -> Vec<u8> {
    vec![7; count]
}

/// A result that does not encode.
#[derive(serde::Deserialize)]
struct Unencodable;

impl serde::Serialize for Unencodable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("as the test wanted"))
    }
}

#[coreloop::job]
fn unencodable() -> Unencodable {
    Unencodable
}

#[coreloop::job]
fn fails_to_open(text: String) -> Result<(), String> {
    Err(text)
}

#[coreloop::job]
fn dies_at_start() {
    kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
}

/// Fails if the file is there, and removes it.
#[coreloop::job]
fn fails_once(file: PathBuf) -> Result<(), String> {
    match fs::remove_file(file) {
        Ok(()) => Err("the first time".to_owned()),
        Err(_) => Ok(()),
    }
}

/// A pool of one worker, of which one job runs and holds it, and what has met that job.
async fn busy(pool: &Pool, at: &Meeting) -> (JobHandle<(u32, u32)>, Arrival) {
    let running = pool.submit(meeting, (at.path(), "first".to_owned()));
    let running = running.await.unwrap();
    (running, at.arrival().await)
}

fn one_worker() -> Pool {
    Pool::builder().workers(1).prefetch(8).build().unwrap()
}

fn pids(pool: &Pool) -> Vec<u32> {
    let metrics = pool.metrics();
    metrics.workers.iter().map(|worker| worker.pid).collect()
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap()).unwrap()
}

/// Returns whether a thread of a process waits for room in a socket. The worker of a test is
/// not the main thread of its process.
fn waits_for_room(process: Pid) -> bool {
    let mut threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.any(|thread| {
        let place = fs::read_to_string(thread.unwrap().path().join("wchan"));
        place.is_ok_and(|place| place.starts_with("sock_alloc"))
    })
}

/// Waits until `count` jobs have been written to the socket of a worker, and wait there.
async fn sent(pool: &Pool, count: usize) {
    yield_until(|| {
        let metrics = pool.metrics();
        metrics
            .workers
            .iter()
            .map(|worker| worker.queued)
            .sum::<usize>()
            == count
    })
    .await;
}

/// Waits until `count` workers are ready.
async fn ready(pool: &Pool, count: usize) {
    yield_until(|| {
        let metrics = pool.metrics();
        let ready = metrics
            .workers
            .iter()
            .filter(|worker| matches!(worker.state, WorkerState::Idle | WorkerState::Busy));
        ready.count() == count
    })
    .await;
}

#[coreloop::test]
async fn jobs_whose_handles_are_dropped_run() {
    let (pool, at) = (one_worker(), Meeting::new());
    let (running, first) = busy(&pool, &at).await;
    let queued = pool.submit(meeting, (at.path(), "second".to_owned()));
    drop((running, queued.await.unwrap()));
    first.release().await;
    let second = at.arrival().await;
    assert_eq!(second.name, "second");
    second.release().await;
    pool.close();
    soon(pool.join()).await;
    assert_eq!(pool.metrics().done, 2);
}

#[coreloop::test]
async fn a_queued_job_whose_run_is_dropped_never_runs() {
    let (pool, at, folder) = (one_worker(), Meeting::new(), Folder::new());
    let (running, first) = busy(&pool, &at).await;
    let file = folder.path("ran");
    {
        let mut run = pin!(pool.run(add_line, file.clone()));
        assert!(poll_once(run.as_mut()).await.is_none());
        sent(&pool, 1).await;
    }
    first.release().await;
    soon(running).await.unwrap();
    soon(pool.run(process, ())).await.unwrap();
    assert!(!file.exists());
}

#[coreloop::test]
async fn a_running_job_whose_run_is_dropped_is_asked_to_stop() {
    let (pool, at) = (one_worker(), Meeting::new());
    let before = soon(pool.run(process, ())).await.unwrap();
    let mut run = Box::pin(pool.run(until_cancelled, at.path()));
    assert!(poll_once(run.as_mut()).await.is_none());
    let mut arrived = at.arrival().await;
    drop(run);
    assert_eq!(arrived.word().await, 'c');
    arrived.release().await;
    // The worker stays.
    assert_eq!(soon(pool.run(process, ())).await.unwrap(), before);
}

#[coreloop::test]
async fn a_running_job_whose_run_is_dropped_is_killed_if_the_pool_kills() {
    let pool = Pool::builder().workers(1).kill_on_cancel(true).build();
    let (pool, at) = (pool.unwrap(), Meeting::new());
    let mut run = Box::pin(pool.run(for_ever, at.path()));
    assert!(poll_once(run.as_mut()).await.is_none());
    let arrived = at.arrival().await;
    let killed = arrived.pid;
    drop(run);
    arrived.end().await;
    let next = soon(pool.run(process, ())).await.unwrap();
    assert_ne!(pid(next), killed);
    assert_eq!(pool.metrics().killed, 1);
}

#[coreloop::test]
async fn a_queued_job_that_is_aborted_never_runs() {
    let (pool, at, folder) = (one_worker(), Meeting::new(), Folder::new());
    let (running, first) = busy(&pool, &at).await;
    let file = folder.path("ran");
    let queued = pool.submit(add_line, file.clone()).await.unwrap();
    sent(&pool, 1).await;
    queued.abort();
    let error = soon(queued).await.unwrap_err();
    assert!(error.is_cancelled() && !error.has_started(), "{error}");
    assert_eq!((error.attempts(), error.worker_pid()), (0, None));
    first.release().await;
    soon(running).await.unwrap();
    soon(pool.run(process, ())).await.unwrap();
    assert!(!file.exists());
}

#[coreloop::test]
async fn a_running_job_that_is_aborted_is_asked_to_stop_and_its_result_is_dropped() {
    let (pool, at) = (one_worker(), Meeting::new());
    let running = pool.submit(until_cancelled, at.path()).await.unwrap();
    let mut arrived = at.arrival().await;
    running.abort();
    // The job still runs.
    let error = soon(running).await.unwrap_err();
    assert!(error.is_cancelled() && error.has_started(), "{error}");
    assert_eq!(error.worker_pid().map(pid), Some(arrived.pid));
    assert_eq!(arrived.word().await, 'c');
    let worker = arrived.pid;
    arrived.release().await;
    assert_eq!(pid(soon(pool.run(process, ())).await.unwrap()), worker);
}

/// The other jobs of the worker run in the one that replaces it, without an attempt counted.
#[coreloop::test]
async fn an_aborted_job_is_killed_alone_if_the_pool_kills() {
    let pool = Pool::builder().workers(1).prefetch(8).kill_on_cancel(true);
    let (pool, at) = (pool.build().unwrap(), Meeting::new());
    let running = pool.submit(for_ever, at.path()).await.unwrap();
    let arrived = at.arrival().await;
    let mut others = Vec::new();
    for number in 0..7 {
        let other = pool.submit(meeting, (at.path(), number.to_string()));
        others.push(other.await.unwrap());
    }
    sent(&pool, 7).await;
    running.abort();
    let killed = arrived.pid;
    arrived.end().await;
    let error = soon(running).await.unwrap_err();
    assert!(error.is_cancelled() && error.has_started(), "{error}");
    for (number, other) in others.into_iter().enumerate() {
        let arrived = at.arrival().await;
        assert_eq!((&*arrived.name, arrived.attempt), (&*number.to_string(), 1));
        assert_ne!(arrived.pid, killed);
        arrived.release().await;
        assert_eq!(soon(other).await.unwrap().1, 1);
    }
}

#[coreloop::test]
async fn a_job_whose_time_has_passed_in_the_queue_never_runs() {
    let (pool, at, folder) = (one_worker(), Meeting::new(), Folder::new());
    let (running, first) = busy(&pool, &at).await;
    let file = folder.path("ran");
    let job = pool.job(add_line, file.clone());
    let error = soon(job.timeout(Duration::from_millis(1)).run()).await;
    let error = error.unwrap_err();
    assert!(error.is_timeout() && !error.has_started(), "{error}");
    first.release().await;
    soon(running).await.unwrap();
    soon(pool.run(process, ())).await.unwrap();
    assert!(!file.exists());
}

#[coreloop::test]
async fn a_job_whose_time_has_passed_while_it_runs_is_asked_to_stop() {
    let (pool, at) = (one_worker(), Meeting::new());
    soon(pool.ready()).await.unwrap();
    let job = pool.job(until_cancelled, at.path());
    let handle = job.timeout(Duration::from_millis(200)).submit().await;
    let handle = handle.unwrap();
    let mut arrived = at.arrival().await;
    let error = soon(handle).await.unwrap_err();
    assert!(error.is_timeout() && error.has_started(), "{error}");
    assert_eq!(arrived.word().await, 'c');
    let worker = arrived.pid;
    arrived.release().await;
    assert_eq!(pid(soon(pool.run(process, ())).await.unwrap()), worker);
}

/// The pool has its number of workers again afterwards.
#[coreloop::test]
async fn an_endless_loop_is_killed_when_its_time_has_passed_if_the_pool_kills() {
    let pool = Pool::builder().workers(2).kill_on_cancel(true).build();
    let (pool, at) = (pool.unwrap(), Meeting::new());
    ready(&pool, 2).await;
    let job = pool.job(for_ever, at.path());
    let handle = job.timeout(Duration::from_millis(200)).submit().await;
    let arrived = at.arrival().await;
    let killed = arrived.pid;
    let error = soon(handle.unwrap()).await.unwrap_err();
    assert!(error.is_timeout() && error.has_started(), "{error}");
    arrived.end().await;
    soon(ready(&pool, 2)).await;
    assert_eq!(error.worker_pid().map(pid), Some(killed));
    yield_until(|| !pids(&pool).contains(&error.worker_pid().unwrap())).await;
    assert!(!is_running(killed));
}

/// A stopped process is no dead one, so only the time limit ends its job.
#[coreloop::test]
async fn a_stopped_worker_is_killed_when_the_time_of_its_job_has_passed() {
    let pool = Pool::builder().workers(1).kill_on_cancel(true).build();
    let (pool, at) = (pool.unwrap(), Meeting::new());
    soon(pool.ready()).await.unwrap();
    let job = pool.job(meeting, (at.path(), "stopped".to_owned()));
    let handle = job.timeout(Duration::from_millis(200)).submit().await;
    let arrived = at.arrival().await;
    kill_process(arrived.pid, Signal::STOP).unwrap();
    let error = soon(handle.unwrap()).await.unwrap_err();
    assert!(error.is_timeout() && error.has_started(), "{error}");
    arrived.end().await;
    soon(pool.run(process, ())).await.unwrap();
}

#[coreloop::test]
async fn a_killed_worker_fails_the_job_that_it_ran_and_no_other() {
    let (pool, at) = (one_worker(), Meeting::new());
    let (running, first) = busy(&pool, &at).await;
    let mut others = Vec::new();
    for number in 0..7 {
        let other = pool.submit(meeting, (at.path(), number.to_string()));
        others.push(other.await.unwrap());
    }
    sent(&pool, 7).await;
    kill_process(first.pid, Signal::KILL).unwrap();
    let error = soon(running).await.unwrap_err();
    assert_broken(&error, first.pid, 1, "failures::meeting");
    assert_eq!(signal_of(&error), Some(Signal::KILL));
    for (number, other) in others.into_iter().enumerate() {
        let arrived = at.arrival().await;
        assert_eq!((&*arrived.name, arrived.attempt), (&*number.to_string(), 1));
        assert_ne!(arrived.pid, first.pid);
        arrived.release().await;
        assert_eq!(soon(other).await.unwrap().1, 1);
    }
    assert_eq!(pool.metrics().requeued, 7);
}

#[coreloop::test]
async fn an_idempotent_job_is_started_again_until_its_attempts_are_used_up() {
    let (pool, at) = (one_worker(), Meeting::new());
    let job = pool.job(meeting, (at.path(), "idempotent".to_owned()));
    let handle = job.idempotent(true).attempts(3).submit().await.unwrap();
    let mut last = None;
    for attempt in 1..=3 {
        let arrived = at.arrival().await;
        assert_eq!(arrived.attempt, attempt);
        kill_process(arrived.pid, Signal::KILL).unwrap();
        assert_ne!(last.replace(arrived.pid), last);
    }
    let error = soon(handle).await.unwrap_err();
    assert_broken(&error, last.unwrap(), 3, "failures::meeting");
    assert!(at.is_empty().await);

    let job = pool.job(meeting, (at.path(), "idempotent".to_owned()));
    let handle = job.idempotent(true).submit().await.unwrap();
    let arrived = at.arrival().await;
    kill_process(arrived.pid, Signal::KILL).unwrap();
    let arrived = at.arrival().await;
    let worker = arrived.pid;
    arrived.release().await;
    let (process, attempt) = soon(handle).await.unwrap();
    assert_eq!((pid(process), attempt), (worker, 2));
}

fn assert_broken(error: &JobError, worker: Pid, attempts: u32, job: &str) {
    assert!(error.is_broken_worker() && error.has_started(), "{error}");
    assert_eq!(error.worker_pid().map(pid), Some(worker));
    assert_eq!(error.attempts(), attempts, "{error}");
    assert!(error.job_name().unwrap().ends_with(job), "{error}");
}

/// Returns the signal that has ended the worker of a job.
fn signal_of(error: &JobError) -> Option<Signal> {
    use std::os::unix::process::ExitStatusExt;
    Signal::from_named_raw(error.exit_status()?.signal()?)
}

#[coreloop::test]
async fn a_panic_of_a_job_is_an_error_with_its_message_and_place() {
    let pool = one_worker();
    let before = soon(pool.run(process, ())).await.unwrap();
    let error = soon(pool.run(panics, "as wanted".to_owned())).await;
    let error = error.unwrap_err();
    assert!(error.is_panic() && error.has_started(), "{error}");
    let place = concat!("as wanted, at ", file!(), ":");
    let message = error.panic_message().unwrap();
    assert!(message.starts_with(place), "{message}");
    assert_eq!(error.exit_status(), None);
    assert_eq!(error.worker_pid(), Some(before));
    assert_eq!(soon(pool.run(process, ())).await.unwrap(), before);
}

#[coreloop::test]
async fn a_job_that_exits_is_a_broken_worker_with_that_status() {
    let pool = one_worker();
    for code in [0, 3] {
        let before = soon(pool.run(process, ())).await.unwrap();
        let error = soon(pool.run(exits, code)).await.unwrap_err();
        assert_broken(&error, pid(before), 1, "failures::exits");
        assert_eq!(error.exit_status().unwrap().code(), Some(code));
        assert_ne!(soon(pool.run(process, ())).await.unwrap(), before);
    }
}

#[coreloop::test]
async fn a_result_that_is_too_long_or_does_not_encode_is_an_error_and_the_worker_stays() {
    let pool = Pool::builder().workers(1).max_message(1_000).build();
    let pool = pool.unwrap();
    let before = soon(pool.run(process, ())).await.unwrap();
    assert_eq!(soon(pool.run(bytes, 998)).await.unwrap().len(), 998);
    let too_long = soon(pool.run(bytes, 999)).await.unwrap_err();
    assert!(too_long.is_codec() && too_long.has_started(), "{too_long}");
    assert!(too_long.to_string().contains("1001 bytes"), "{too_long}");
    let unencodable = soon(pool.run(unencodable, ())).await;
    let Err(unencodable) = unencodable else {
        panic!("the result has come");
    };
    assert!(unencodable.is_codec(), "{unencodable}");
    assert_eq!(soon(pool.run(process, ())).await.unwrap(), before);
}

fn quickly() -> coreloop::process::Restarts {
    let wait = Duration::from_millis(1);
    coreloop::process::Restarts::new()
        .min_wait(wait)
        .max_wait(wait)
}

#[coreloop::test]
async fn jobs_wait_for_an_initializer_and_fail_when_it_always_fails() {
    let pool = Pool::builder().workers(2).restarts(quickly());
    let pool = pool.initializer(fails_to_open, "no model".to_owned());
    let pool = pool.build().unwrap();
    let queued = pool.submit(process, ()).await.unwrap();
    let error = soon(queued).await.unwrap_err();
    assert!(error.is_initializer() && !error.has_started(), "{error}");
    assert!(error.to_string().contains("no model"), "{error}");
    let later = soon(pool.run(process, ())).await.unwrap_err();
    assert!(later.is_initializer(), "{later}");
    assert!(soon(pool.ready()).await.unwrap_err().is_initializer());
    soon(pool.shutdown(Duration::ZERO)).await;
}

#[coreloop::test]
async fn jobs_fail_when_every_worker_dies_in_its_initializer() {
    let pool = Pool::builder().workers(1).restarts(quickly());
    let pool = pool.initializer(dies_at_start, ()).build().unwrap();
    let error = soon(pool.run(process, ())).await.unwrap_err();
    assert!(error.is_initializer() && !error.has_started(), "{error}");
    assert!(error.to_string().contains("signal: 9"), "{error}");
}

#[coreloop::test]
async fn jobs_run_when_an_initializer_has_failed_once() {
    let folder = Folder::new();
    let file = folder.path("fail");
    fs::write(&file, "").unwrap();
    let pool = Pool::builder().workers(1).restarts(quickly());
    let pool = pool.initializer(fails_once, file.clone()).build().unwrap();
    soon(pool.run(process, ())).await.unwrap();
    assert!(!file.exists());
}

#[coreloop::test]
async fn a_pool_that_is_closed_runs_what_it_has_and_accepts_no_more() {
    let (pool, at) = (one_worker(), Meeting::new());
    let (running, first) = busy(&pool, &at).await;
    let queued = pool.submit(process, ()).await.unwrap();
    pool.close();
    let refused = soon(pool.submit(process, ())).await.unwrap_err();
    assert!(
        refused.is_shut_down() && !refused.has_started(),
        "{refused}"
    );
    first.release().await;
    soon(running).await.unwrap();
    soon(queued).await.unwrap();
    soon(pool.join()).await;
    assert!(pool.metrics().workers.is_empty());
}

/// A worker that dies while the pool is closing is replaced, because jobs wait for it.
#[coreloop::test]
async fn a_pool_that_is_closed_replaces_a_worker_that_dies() {
    let (pool, at) = (one_worker(), Meeting::new());
    let (running, first) = busy(&pool, &at).await;
    let queued = pool.submit(process, ()).await.unwrap();
    pool.close();
    kill_process(first.pid, Signal::KILL).unwrap();
    assert!(soon(running).await.unwrap_err().is_broken_worker());
    soon(queued).await.unwrap();
    soon(pool.join()).await;
}

#[coreloop::test]
async fn a_shutdown_kills_what_still_runs_and_fails_what_waits() {
    let (pool, at) = (one_worker(), Meeting::new());
    let (running, first) = busy(&pool, &at).await;
    let mut queued = Vec::new();
    for _ in 0..20 {
        queued.push(pool.submit(process, ()).await.unwrap());
    }
    let report = soon(pool.shutdown(Duration::from_millis(10))).await;
    assert_eq!((report.done, report.dropped, report.killed), (0, 20, 1));
    let error = soon(running).await.unwrap_err();
    assert!(error.is_shut_down() && error.has_started(), "{error}");
    for job in queued {
        let error = soon(job).await.unwrap_err();
        assert!(error.is_shut_down() && !error.has_started(), "{error}");
    }
    // It was reaped too.
    assert!(!Path::new(&format!("/proc/{}", first.pid)).exists());
    first.end().await;
}

#[coreloop::test]
async fn a_shutdown_waits_for_jobs_while_there_is_time() {
    let (pool, at) = (one_worker(), Meeting::new());
    let (running, first) = busy(&pool, &at).await;
    let queued = pool.submit(process, ()).await.unwrap();
    let shutdown = spawn({
        let pool = pool.clone();
        async move { pool.shutdown(Duration::MAX).await }
    });
    yield_until(|| pool.is_closed()).await;
    first.release().await;
    let report = soon(shutdown).await.unwrap();
    assert_eq!((report.done, report.dropped, report.killed), (2, 0, 0));
    soon(running).await.unwrap();
    soon(queued).await.unwrap();
}

#[coreloop::test]
async fn a_dropped_pool_fails_its_jobs_and_ends_its_workers() {
    let pool = Pool::builder().workers(2).prefetch(8).build().unwrap();
    let at = Meeting::new();
    soon(ready(&pool, 2)).await;
    let workers = pids(&pool);
    let mut running = Vec::new();
    let mut arrived = Vec::new();
    for _ in 0..2 {
        let (job, arrival) = busy(&pool, &at).await;
        running.push(job);
        arrived.push(arrival);
    }
    let mut queued = Vec::new();
    for _ in 0..20 {
        queued.push(pool.submit(process, ()).await.unwrap());
    }
    drop(pool);
    for job in running {
        let error = soon(job).await.unwrap_err();
        assert!(error.is_shut_down() && error.has_started(), "{error}");
    }
    for job in queued {
        let error = soon(job).await.unwrap_err();
        assert!(error.is_shut_down() && !error.has_started(), "{error}");
    }
    for arrival in arrived {
        arrival.end().await;
    }
    for worker in workers {
        let entry = format!("/proc/{worker}");
        yield_until(|| !Path::new(&entry).exists()).await;
    }
}

#[test]
fn the_end_of_a_runtime_ends_the_workers_and_the_jobs() {
    let (handle, queued, worker) = coreloop::block_on(async {
        let (pool, at) = (one_worker(), Meeting::new());
        let (running, first) = busy(&pool, &at).await;
        let queued = pool.submit(process, ()).await.unwrap();
        sent(&pool, 1).await;
        let worker = first.pid;
        // Neither is dropped before the runtime.
        std::mem::forget((pool, at, first));
        (running, queued, worker)
    });
    await_end(worker);
    let outcome = coreloop::block_on(soon(handle));
    let error = outcome.unwrap_err();
    assert!(error.is_shut_down(), "{error}");
    assert!(coreloop::block_on(soon(queued)).unwrap_err().is_shut_down());
}

/// The master cannot read the results of short jobs while its loop is blocked. The worker
/// finishes all that it has, and the results wait in the socket.
#[coreloop::test]
async fn a_worker_goes_on_while_the_loop_is_blocked() {
    let folder = Folder::new();
    let file = folder.path("lines");
    let pool = Pool::builder().workers(1).prefetch(64).build().unwrap();
    let at = Meeting::new();
    let (running, first) = busy(&pool, &at).await;
    let mut jobs = Vec::new();
    for _ in 0..63 {
        jobs.push(pool.submit(add_line, file.clone()).await.unwrap());
    }
    sent(&pool, 63).await;
    first.release().await;
    // This blocks the loop.
    wait_until(|| lines(&file).len() == 63);
    soon(running).await.unwrap();
    for job in jobs {
        soon(job).await.unwrap();
    }
}

/// What a worker had written of a result is no result. The jobs behind it run elsewhere.
#[coreloop::test]
async fn a_worker_that_is_killed_while_it_writes_a_result_has_no_result() {
    let (pool, at) = (one_worker(), Meeting::new());
    let (running, first) = busy(&pool, &at).await;
    let large = pool.submit(bytes, 4 << 20).await.unwrap();
    let next = pool.submit(meeting, (at.path(), "next".to_owned()));
    let next = next.await.unwrap();
    sent(&pool, 2).await;
    let worker = first.pid;
    first.release().await;
    // This blocks the loop.
    wait_until(|| waits_for_room(worker));
    kill_process(worker, Signal::KILL).unwrap();
    assert_eq!(pid(soon(running).await.unwrap().0), worker);
    let error = soon(large).await.unwrap_err();
    assert_broken(&error, worker, 1, "failures::bytes");
    let arrived = at.arrival().await;
    assert_eq!(arrived.attempt, 1);
    arrived.release().await;
    soon(next).await.unwrap();
}

/// Results that do not fit into the socket make the worker wait, and nothing is lost.
#[coreloop::test]
async fn a_worker_waits_when_its_results_are_not_read() {
    let folder = Folder::new();
    let file = folder.path("lines");
    let pool = Pool::builder().workers(1).prefetch(64).build().unwrap();
    let at = Meeting::new();
    let (running, first) = busy(&pool, &at).await;
    let (mut large, mut small) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        large.push(pool.submit(bytes, 1 << 20).await.unwrap());
        small.push(pool.submit(add_line, file.clone()).await.unwrap());
    }
    sent(&pool, 40).await;
    let worker = first.pid;
    first.release().await;
    // This blocks the loop.
    wait_until(|| waits_for_room(worker));
    assert!(lines(&file).len() < 20);
    soon(running).await.unwrap();
    for job in large {
        assert_eq!(soon(job).await.unwrap().len(), 1 << 20);
    }
    for job in small {
        soon(job).await.unwrap();
    }
}
