//! Atomic numbers in which processes count.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering};

use coreloop::ipc::{Shared, SharedAtomics};
use coreloop::pool::Pool;
use coreloop_test_support::meeting::{Meeting, Visit, soon};
use coreloop_test_support::size;

use super::{Door, connect, kill};

/// Gets a number by a pipe, and counts.
#[coreloop::job]
fn count(path: PathBuf, counts: u64) {
    let mut pipe = connect::<(), Shared<AtomicU64>>(&path);
    let number = pipe.blocking_recv().unwrap().unwrap();
    // All begin at once.
    pipe.blocking_send(()).unwrap();
    pipe.blocking_recv().unwrap().unwrap();
    for _ in 0..counts {
        number.fetch_add(1, Ordering::Relaxed);
    }
}

#[coreloop::test]
async fn four_processes_lose_no_count() {
    let counts = size::pick(100_000, 1_000_000);
    let pool = Pool::builder().workers(4).build().unwrap();
    let (door, number) = (Door::new(), Shared::new(AtomicU64::new(0)).unwrap());
    let mut jobs = Vec::new();
    let mut pipes = Vec::new();
    for _ in 0..4 {
        jobs.push(pool.submit(count, (door.path(), counts)).await.unwrap());
        let mut pipe = door.open::<Shared<AtomicU64>, ()>().await;
        pipe.send(number.clone()).await.unwrap();
        soon(pipe.recv()).await.unwrap().unwrap();
        pipes.push(pipe);
    }
    for pipe in &mut pipes {
        pipe.send(number.clone()).await.unwrap();
    }
    for job in jobs {
        job.await.unwrap();
    }
    assert_eq!(number.load(Ordering::Relaxed), 4 * counts);
}

/// Adds one to each number of an array, again and again, until it is killed.
#[coreloop::job]
fn count_for_ever(path: PathBuf, meeting: PathBuf) {
    let mut pipe = connect::<(), SharedAtomics<AtomicU64>>(&path);
    let numbers = pipe.blocking_recv().unwrap().unwrap();
    Visit::new(&meeting, "counts").unwrap().wait();
    loop {
        for number in &numbers {
            number.fetch_add(1, Ordering::Release);
        }
    }
}

/// The numbers of a killed process are whole, and each is as large as the one behind it or larger
/// by one.
#[coreloop::test]
async fn a_killed_process_leaves_whole_numbers() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let (door, meeting) = (Door::new(), Meeting::new());
    for _ in 0..size::pick(5, 100) {
        let numbers = SharedAtomics::<AtomicU64>::with_len(1_000).unwrap();
        let job = pool.submit(count_for_ever, (door.path(), meeting.path()));
        let job = job.await.unwrap();
        let mut pipe = door.open::<SharedAtomics<AtomicU64>, ()>().await;
        pipe.send(numbers.clone()).await.unwrap();
        let arrival = meeting.arrival().await;
        let pid = arrival.pid;
        arrival.release().await;
        while numbers[999].load(Ordering::Acquire) < 10 {
            coreloop::task::yield_now().await;
        }
        kill(pid);
        soon(job).await.unwrap_err();
        let counts: Vec<_> = numbers.iter().map(|n| n.load(Ordering::Relaxed)).collect();
        let (first, last) = (counts[0], counts[999]);
        assert!(counts.is_sorted_by(|one, next| one >= next), "{counts:?}");
        assert!(first - last <= 1);
    }
}

/// Creates numbers, and ends.
#[coreloop::job]
fn create(path: PathBuf) {
    let mut pipe = connect::<(SharedAtomics<AtomicI32>, Shared<AtomicU8>), ()>(&path);
    let numbers = SharedAtomics::from_values([-1, 0, i32::MAX].map(AtomicI32::new)).unwrap();
    let number = Shared::new(AtomicU8::new(u8::MAX)).unwrap();
    pipe.blocking_send((numbers, number)).unwrap();
}

#[coreloop::test]
async fn numbers_outlive_the_process_that_has_created_them() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let door = Door::new();
    let job = pool.submit(create, door.path()).await.unwrap();
    let mut pipe = door
        .open::<(), (SharedAtomics<AtomicI32>, Shared<AtomicU8>)>()
        .await;
    let (numbers, number) = soon(pipe.recv()).await.unwrap().unwrap();
    soon(job).await.unwrap();
    kill(rustix::process::Pid::from_raw(pool.metrics().workers[0].pid.cast_signed()).unwrap());
    drop(pool);
    let values = numbers.iter().map(|number| number.load(Ordering::Relaxed));
    assert!(values.eq([-1, 0, i32::MAX]));
    assert_eq!(number.fetch_add(1, Ordering::Relaxed), u8::MAX);
    assert_eq!(number.load(Ordering::Relaxed), 0);
}
