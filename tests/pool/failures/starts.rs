//! Workers that do not become ready.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use coreloop::pool::Pool;
use coreloop::process::Restarts;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::meeting::soon;
use futures_lite::StreamExt;
use rustix::process::{Signal, kill_process};

use super::process;

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

fn quickly() -> Restarts {
    let wait = Duration::from_millis(1);
    Restarts::new().min_wait(wait).max_wait(wait)
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

/// Succeeds if the file is there, and removes it.
#[coreloop::job]
fn opens_once(file: PathBuf) -> Result<(), String> {
    fs::remove_file(file).map_err(|error| error.to_string())
}

#[coreloop::job(idempotent)]
fn dies() {
    kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
}

#[coreloop::test]
async fn a_job_that_ran_and_waits_to_run_again_says_so_when_no_worker_becomes_ready() {
    let folder = Folder::new();
    let file = folder.path("once");
    fs::write(&file, "").unwrap();
    let pool = Pool::builder().workers(1).restarts(quickly());
    let pool = pool.initializer(opens_once, file).build().unwrap();
    let error = soon(pool.run(dies, ())).await.unwrap_err();
    assert!(error.is_initializer() && error.has_started(), "{error}");
    assert_eq!(error.attempts(), 1);
}

/// Dies at one number, whose attempt is counted. The numbers before it ran too.
#[coreloop::job(idempotent)]
fn dies_at_2(number: u32) -> u32 {
    if number == 2 {
        dies();
    }
    number
}

#[coreloop::test]
async fn items_of_a_chunk_that_ran_and_wait_to_run_again_say_so() {
    let folder = Folder::new();
    let file = folder.path("once");
    fs::write(&file, "").unwrap();
    let pool = Pool::builder().workers(1).restarts(quickly());
    let pool = pool.initializer(opens_once, file).build().unwrap();
    let results: Vec<_> = soon(pool.map(dies_at_2, 0..4).chunks(4).collect()).await;
    for (number, result) in results.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert!(error.is_initializer(), "{error}");
        assert_eq!(error.has_started(), number < 3, "{number}: {error}");
        assert_eq!(error.attempts(), u32::from(number < 3));
    }
}
