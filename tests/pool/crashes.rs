//! Jobs that crash their worker, each in its own way.

use std::path::PathBuf;

use coreloop::pool::{JobError, JobHandle, Pool};
use coreloop_test_support::meeting::{Meeting, Visit, meet, soon};
use coreloop_test_support::process::master::await_end;
use coreloop_test_support::size;
use futures_lite::StreamExt;
use rustix::process::{Pid, Signal, getpid, kill_process};
use serde::{Deserialize, Deserializer, Serialize};

/// Sends itself a signal. The standard library has a handler for some signals, which lets a
/// second one end the process.
#[coreloop::job]
fn raise(signal: i32) {
    let signal = Signal::from_named_raw(signal).unwrap();
    loop {
        kill_process(getpid(), signal).unwrap();
    }
}

#[coreloop::job]
fn exit(code: i32) {
    std::process::exit(code);
}

#[coreloop::job]
fn square(number: u64) -> u64 {
    number * number
}

#[coreloop::job]
fn attempt() -> u32 {
    coreloop::pool::job::attempt().unwrap()
}

#[coreloop::job]
fn process() -> u32 {
    std::process::id()
}

/// Meets the test, and returns the process.
#[coreloop::job]
fn wait_there(path: PathBuf) -> u32 {
    meet(&path, "there");
    std::process::id()
}

/// Leaves a process that outlives the worker, with the descriptors that children inherit.
#[coreloop::job]
fn leave_a_child() -> u32 {
    let child = std::process::Command::new("sleep").arg("60").spawn();
    let child = child.unwrap();
    let id = child.id();
    drop(child);
    id
}

/// Arguments whose decoding meets the test.
#[derive(Serialize)]
struct Decoded(PathBuf);

impl<'de> Deserialize<'de> for Decoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::deserialize(deserializer)?;
        meet(&path, "decoding");
        Ok(Self(path))
    }
}

#[coreloop::job]
fn call(arguments: Decoded) {
    let _ = Visit::new(&arguments.0, "called");
}

/// A result whose encoding meets the test.
#[derive(Deserialize)]
struct Encoded(PathBuf);

impl Serialize for Encoded {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        meet(&self.0, "encoding");
        self.0.serialize(serializer)
    }
}

#[coreloop::job]
fn encode(path: PathBuf) -> Encoded {
    Encoded(path)
}

fn signal_of(error: &JobError) -> Option<Signal> {
    use std::os::unix::process::ExitStatusExt;
    Signal::from_named_raw(error.exit_status()?.signal()?)
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap()).unwrap()
}

/// Crashes a worker between other jobs, and checks that each other job has a result, with one
/// attempt.
async fn crash<R>(
    pool: &Pool,
    crash: impl AsyncFnOnce(&Pool) -> Result<JobHandle<R>, JobError>,
) -> JobError {
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(pool.submit(attempt, ()).await.unwrap());
    }
    let crashing = crash(pool).await.unwrap();
    for _ in 0..10 {
        others.push(pool.submit(attempt, ()).await.unwrap());
    }
    let Err(error) = soon(crashing).await else {
        panic!("a job that crashes has a result");
    };
    assert!(error.is_broken_worker() && error.has_started(), "{error}");
    assert_eq!(error.attempts(), 1);
    for other in others {
        assert_eq!(soon(other).await.unwrap(), 1);
    }
    error
}

#[coreloop::test]
async fn a_signal_ends_one_job_and_no_other() {
    let pool = Pool::builder().workers(2).prefetch(8).build().unwrap();
    for signal in [
        Signal::KILL,
        Signal::SEGV,
        Signal::BUS,
        Signal::ABORT,
        Signal::ILL,
        Signal::TERM,
    ] {
        let error = crash(&pool, async |pool| {
            pool.submit(raise, signal.as_raw()).await
        })
        .await;
        assert_eq!(signal_of(&error), Some(signal), "{error}");
    }
}

#[coreloop::test]
async fn a_job_that_exits_ends_no_other_job() {
    let pool = Pool::builder().workers(2).prefetch(8).build().unwrap();
    for code in [0, 3] {
        let error = crash(&pool, async |pool| pool.submit(exit, code).await).await;
        assert_eq!(error.exit_status().unwrap().code(), Some(code), "{error}");
    }
}

/// Crashes in one of five ways if the number ends with 0, by the digit before it.
#[coreloop::job]
fn sometimes_crashes(number: u32) -> u32 {
    if number.is_multiple_of(10) {
        match number / 10 % 5 {
            0 => raise(Signal::SEGV.as_raw()),
            1 => raise(Signal::ABORT.as_raw()),
            2 => raise(Signal::KILL.as_raw()),
            3 => exit(0),
            _ => exit(3),
        }
    }
    number
}

#[coreloop::test]
async fn of_many_jobs_only_those_that_crash_fail_each_with_its_own_status() {
    for prefetch in [1, 4, 32] {
        let pool = Pool::builder().workers(3).prefetch(prefetch);
        let pool = pool.build().unwrap();
        let count = size::pick(200, 4_000);
        let mut results = pool.map(sometimes_crashes, 0..count);
        for number in 0..count {
            let error = match soon(results.next()).await.unwrap() {
                Ok(result) => {
                    assert_eq!(result, number);
                    assert_ne!(number % 10, 0);
                    continue;
                }
                Err(error) => error,
            };
            assert_eq!(number % 10, 0, "{error}");
            assert!(error.is_broken_worker() && error.has_started(), "{error}");
            let code = error.exit_status().unwrap().code();
            let ended = (signal_of(&error), code);
            let expected = match number / 10 % 5 {
                0 => (Some(Signal::SEGV), None),
                1 => (Some(Signal::ABORT), None),
                2 => (Some(Signal::KILL), None),
                3 => (None, Some(0)),
                _ => (None, Some(3)),
            };
            assert_eq!(ended, expected, "{error}");
        }
    }
}

/// A job that kills each worker that it is given to, and may be repeated, stops at its limit.
/// It takes no other job with it.
#[coreloop::test]
async fn a_job_that_kills_every_worker_fails_at_its_limit_and_alone() {
    let pool = Pool::builder().workers(2).prefetch(16).build().unwrap();
    let mut others = Vec::new();
    let mut poison = Vec::new();
    for number in 0..60 {
        if number % 20 == 10 {
            let job = pool.job(raise, Signal::KILL.as_raw());
            poison.push(job.idempotent(true).submit().await.unwrap());
        }
        others.push(pool.submit(attempt, ()).await.unwrap());
    }
    for job in poison {
        let error = soon(job).await.unwrap_err();
        assert!(error.is_broken_worker(), "{error}");
        assert_eq!(error.attempts(), 3);
    }
    for other in others {
        assert_eq!(soon(other).await.unwrap(), 1);
    }
}

/// An item that kills each worker fails alone, if calls may be repeated.
#[coreloop::test]
async fn an_item_of_a_chunk_that_kills_every_worker_fails_alone() {
    #[coreloop::job]
    fn dies_at(number: u32) -> u32 {
        if number % 10 == 7 {
            raise(Signal::KILL.as_raw());
        }
        number
    }

    let pool = Pool::builder().workers(2).build().unwrap();
    let results = pool.map(dies_at, 0..30).chunks(10).idempotent(true);
    let results: Vec<_> = soon(results.collect()).await;
    assert_eq!(results.len(), 30);
    for (number, result) in (0..).zip(results) {
        match result {
            Ok(result) => assert_eq!(result, number),
            Err(error) => {
                assert_eq!(number % 10, 7, "{error}");
                assert!(error.is_broken_worker(), "{error}");
                assert_eq!(error.attempts(), 3, "{error}");
            }
        }
    }
}

/// Code of a job runs before the job itself: its arguments are decoded. So it has started.
#[coreloop::test]
async fn a_job_whose_worker_dies_while_it_decodes_has_started() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let at = Meeting::new();
    let job = pool.submit(call, Decoded(at.path())).await.unwrap();
    let arrived = at.arrival().await;
    assert_eq!(arrived.name, "decoding");
    assert!(job.is_started());
    kill_process(arrived.pid, Signal::KILL).unwrap();
    let error = soon(job).await.unwrap_err();
    assert!(error.is_broken_worker() && error.has_started(), "{error}");
    // The function itself was not called.
    assert!(at.is_empty().await);
}

#[coreloop::test]
async fn a_job_whose_worker_dies_while_it_encodes_has_started() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let at = Meeting::new();
    let job = pool.submit(encode, at.path()).await.unwrap();
    let arrived = at.arrival().await;
    kill_process(arrived.pid, Signal::KILL).unwrap();
    let Err(error) = soon(job).await else {
        panic!("the result has come");
    };
    assert!(error.is_broken_worker() && error.has_started(), "{error}");
}

/// A process that a job has left behind holds none of the descriptors of the worker, and the
/// end of the worker is seen at once.
#[coreloop::test]
async fn a_process_that_a_job_leaves_behind_does_not_hide_the_end_of_its_worker() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let at = Meeting::new();
    let child = soon(pool.run(leave_a_child, ())).await.unwrap();
    let job = pool.submit(wait_there, at.path()).await.unwrap();
    let arrived = at.arrival().await;
    kill_process(arrived.pid, Signal::KILL).unwrap();
    assert!(soon(job).await.unwrap_err().is_broken_worker());
    soon(pool.run(square, 3)).await.unwrap();
    kill_process(pid(child), Signal::KILL).unwrap();
}

/// Kills an idle worker again and again. In Python, that hangs half of the pools.
#[coreloop::test]
async fn an_idle_worker_that_is_killed_loses_no_job() {
    let pool = Pool::builder()
        .workers(2)
        .restarts(coreloop::process::Restarts::new().max_immediate(u32::MAX));
    let pool = pool.build().unwrap();
    let mut last = None;
    for number in 0..size::pick(30, 1_000) {
        let idle = pid(soon(pool.run(process, ())).await.unwrap());
        // It has returned its result, and has no job.
        kill_process(idle, Signal::KILL).unwrap();
        assert_eq!(
            soon(pool.run(square, number)).await.unwrap(),
            number * number
        );
        last = Some(idle);
    }
    await_end(last.unwrap());
    assert_eq!(pool.metrics().failed, 0);
}
