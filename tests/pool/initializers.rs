//! Functions that workers call before their first job.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;

use coreloop::pool::{Builder, Pool, job};
use coreloop::process::Restarts;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::on_drop::OnDrop;
use futures_lite::future::zip;
use rustix::process::{Signal, getpid, kill_process};

use crate::meeting::{Meeting, wait_at};

#[coreloop::job]
fn number(number: u32) -> u32 {
    number
}

#[coreloop::job]
fn fallible(number: u32) -> Result<u32, String> {
    match number {
        0 => Err("there is no zero".to_owned()),
        number => Ok(number),
    }
}

#[coreloop::job]
async fn later(number: u32) -> u32 {
    coreloop::task::yield_now().await;
    number
}

#[coreloop::job]
async fn fallible_later(number: u32) -> Result<u32, String> {
    coreloop::task::yield_now().await;
    fallible(number)
}

/// A state that can be sent to no other thread or process.
struct Counter {
    calls: Rc<Cell<u32>>,
    path: String,
}

impl Drop for Counter {
    fn drop(&mut self) {
        fs::write(&self.path, self.calls.get().to_string()).unwrap();
    }
}

#[coreloop::job(initializer)]
fn counter(path: String) -> Counter {
    let calls = Rc::new(Cell::new(0));
    Counter { calls, path }
}

/// Panics when it is dropped, with nothing that a hook would print.
struct LastWords(String);

impl Drop for LastWords {
    fn drop(&mut self) {
        fs::write(&self.0, "state").unwrap();
        resume_unwind(Box::new(()));
    }
}

#[coreloop::job(initializer)]
fn last_words(path: String) -> LastWords {
    LastWords(path)
}

/// Leaves a task whose destructor runs when the worker ends.
#[coreloop::job]
async fn leave_a_task(path: String) -> u8 {
    let words = OnDrop::new(move || {
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        write!(file, ", task").unwrap();
    });
    coreloop::spawn(async move {
        let _words = words;
        std::future::pending::<()>().await;
    });
    3
}

#[coreloop::job]
fn count() -> u32 {
    let counter = job::worker_state::<Counter>();
    counter.calls.set(counter.calls.get() + 1);
    counter.calls.get()
}

#[coreloop::job]
fn state() -> Option<u32> {
    job::try_worker_state::<u32>().map(|number| *number)
}

#[coreloop::job]
fn state_of_another_type() -> u64 {
    *job::worker_state::<u64>()
}

/// Fails if the file exists, and removes it.
#[coreloop::job(initializer)]
fn fails_once(path: String) -> Result<u32, String> {
    match fs::remove_file(path) {
        Ok(()) => Err("the first time".to_owned()),
        Err(_) => Ok(1),
    }
}

#[coreloop::job(initializer)]
fn panics(text: String) {
    panic!("{text}");
}

#[coreloop::job(initializer)]
fn dies() {
    kill_process(getpid(), Signal::KILL).unwrap();
    loop {
        std::thread::park();
    }
}

#[coreloop::job(initializer)]
fn hangs(place: String) {
    wait_at(&place, "");
}

fn pool() -> Builder {
    let restarts = Restarts::new()
        .max_failed_starts(3)
        .min_wait(Duration::from_millis(1));
    Pool::builder().workers(1).restarts(restarts)
}

#[coreloop::test]
async fn the_state_is_what_the_initializer_returned() {
    let pools = [
        pool().initializer(number, 7),
        pool().initializer(fallible, 7),
        pool().initializer(later, 7),
        pool().initializer(fallible_later, 7),
    ];
    for pool in pools {
        let pool = pool.build().unwrap();
        pool.ready().await.unwrap();
        assert_eq!(pool.run(state, ()).await.unwrap(), Some(7));
        let error = pool.run(state_of_another_type, ()).await.unwrap_err();
        let message = error.panic_message().unwrap();
        assert!(
            message.starts_with("the worker's state is a `u32`, not a `u64`"),
            "{message}"
        );
    }
    let without = pool().build().unwrap();
    assert_eq!(without.run(state, ()).await.unwrap(), None);
    let error = without.run(state_of_another_type, ()).await.unwrap_err();
    assert!(
        error
            .panic_message()
            .unwrap()
            .starts_with("there is no worker state")
    );
}

#[coreloop::test]
async fn the_state_belongs_to_a_worker_and_is_dropped_with_it() {
    let folder = Folder::new();
    let path = folder.path("calls").to_str().unwrap().to_owned();
    let pool = pool().initializer(counter, path.clone()).build().unwrap();
    for expected in 1..4 {
        assert_eq!(pool.run(count, ()).await.unwrap(), expected);
    }
    pool.close();
    pool.join().await;
    assert_eq!(fs::read_to_string(path).unwrap(), "3");
    // An initializer of a type that cannot be encoded is no job.
    assert!(job::try_worker_state::<Counter>().is_none());
}

#[coreloop::test]
async fn a_worker_whose_state_panics_when_it_is_dropped_ends_in_order() {
    let folder = Folder::new();
    let path = folder.path("dropped").to_str().unwrap().to_owned();
    let pool = pool()
        .initializer(last_words, path.clone())
        .build()
        .unwrap();
    assert_eq!(pool.run(leave_a_task, path.clone()).await.unwrap(), 3);
    pool.close();
    pool.join().await;
    assert_eq!(fs::read_to_string(path).unwrap(), "state, task");
    assert_eq!((pool.metrics().failed, pool.metrics().killed), (0, 0));
}

#[coreloop::test]
async fn an_initializer_that_fails_once_is_called_again() {
    let folder = Folder::new();
    let path = folder.path("file").to_str().unwrap().to_owned();
    fs::write(&path, "").unwrap();
    let pool = pool().initializer(fails_once, path).build().unwrap();
    assert_eq!(pool.run(state, ()).await.unwrap(), Some(1));
    assert_eq!(pool.metrics().failed, 0);
    pool.ready().await.unwrap();
}

#[coreloop::test]
async fn jobs_fail_if_the_initializer_always_does() {
    let pools = [
        (
            pool().initializer(fallible, 0),
            "the initializer failed: there is no zero",
        ),
        (
            pool().initializer(fallible_later, 0),
            "the initializer failed: there is no zero",
        ),
        (
            pool().initializer(panics, "no".to_owned()),
            "the initializer panicked: no, at ",
        ),
        (
            pool().initializer(dies, ()),
            "ended before it was ready: signal: 9",
        ),
    ];
    for (pool, expected) in pools {
        let pool = pool.workers(2).build().unwrap();
        let handle = pool.submit(state, ()).await.unwrap();
        let (ready, error) = zip(pool.ready(), handle).await;
        for error in [ready.unwrap_err(), error.unwrap_err()] {
            assert!(error.is_initializer() && !error.has_started(), "{error}");
            assert!(
                error
                    .to_string()
                    .contains("has no worker, because none became ready")
            );
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(pool.run(state, ()).await.unwrap_err().is_initializer());
        assert!(pool.submit(state, ()).await.unwrap_err().is_initializer());
        let mut map = pool.map(state, [()]);
        let error = futures_lite::StreamExt::next(&mut map)
            .await
            .unwrap()
            .unwrap_err();
        assert!(error.is_initializer());
        pool.shutdown(Duration::MAX).await;
        assert_eq!(pool.metrics().workers, []);
    }
}

#[coreloop::test]
async fn a_long_message_of_an_initializer_is_cut() {
    let long = "é".repeat(100_000);
    let pool = pool()
        .max_message(1 << 20)
        .initializer(panics, long)
        .build()
        .unwrap();
    let error = pool.ready().await.unwrap_err();
    assert!(error.to_string().contains("the initializer panicked: éé"));
}

#[coreloop::test]
async fn jobs_reach_their_time_limit_while_the_initializer_hangs() {
    let meeting = Meeting::new();
    let pool = pool().initializer(hangs, meeting.place()).build().unwrap();
    let guest = meeting.guest().await;
    let limited = pool.job(state, ()).timeout(Duration::from_millis(20));
    let error = limited.run().await.unwrap_err();
    assert!(error.is_timeout() && !error.has_started());
    let waiting = pool.submit(state, ()).await.unwrap();
    guest.release();
    assert_eq!(waiting.await.unwrap(), None);
}

#[coreloop::test]
async fn an_initializer_has_to_fit() {
    let closure = |number: u8| number;
    let error = pool().initializer(closure, 1).build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let error = pool()
        .max_message(2)
        .initializer(panics, "long".to_owned())
        .build();
    assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
