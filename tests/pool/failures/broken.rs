//! Jobs whose worker dies, and jobs that fail by themselves.

use std::os::fd::BorrowedFd;
use std::process::{Command, Stdio};

use coreloop::pool::{JobError, Pool};
use coreloop_test_support::meeting::{Meeting, soon};
use rustix::process::{Signal, getpid, kill_process};

use super::{assert_broken, busy, bytes, meeting, one_worker, pid, process, sent};

#[coreloop::job]
fn panics(text: String) {
    panic!("{text}");
}

#[coreloop::job]
fn exits(code: i32) {
    std::process::exit(code);
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

/// Returns the signal that has ended the worker of a job.
fn signal_of(error: &JobError) -> Option<Signal> {
    use std::os::unix::process::ExitStatusExt;
    Signal::from_named_raw(error.exit_status()?.signal()?)
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
        assert_broken(&error, pid(before), 1, "broken::exits");
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

/// Writes to the socket of the worker without end, by a process that outlives it.
#[cfg(target_os = "linux")]
#[coreloop::job]
#[expect(unsafe_code, reason = "borrows a descriptor by its number")]
#[expect(clippy::zombie_processes, reason = "it outlives this process")]
fn flood() {
    let sockets = std::fs::read_dir("/proc/self/fd").unwrap();
    for entry in sockets {
        let path = entry.unwrap().path();
        let Ok(target) = std::fs::read_link(&path) else {
            continue;
        };
        let number: i32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        if number > 2 && target.to_str().unwrap().starts_with("socket:") {
            // SAFETY: the descriptor stays open while this process exists.
            let socket = unsafe { BorrowedFd::borrow_raw(number) };
            let socket = socket.try_clone_to_owned().unwrap();
            let mut command = Command::new("yes");
            let flood = command.stdin(Stdio::null()).stdout(socket);
            flood.stderr(Stdio::null()).spawn().unwrap();
        }
    }
    kill_process(getpid(), Signal::KILL).unwrap();
}

/// The socket of the worker has no end, so the pool reads only what is there.
#[cfg(target_os = "linux")]
#[coreloop::test]
async fn a_process_that_still_writes_after_the_end_of_its_worker_delays_nothing() {
    let pool = one_worker();
    let error = soon(pool.run(flood, ())).await.unwrap_err();
    assert!(error.is_broken_worker(), "{error}");
    soon(pool.run(process, ())).await.unwrap();
}
