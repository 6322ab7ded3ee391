//! Arrays that processes change in turn.

use std::future::Future;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use coreloop::ipc::{LockError, SharedArray, SharedArrayGuard};
use coreloop::pool::{Pool, Process};
use coreloop_test_support::meeting::{Meeting, Visit, soon};
use coreloop_test_support::rerun::{is_rerun, rerun};
use coreloop_test_support::size;

use super::kill;

const LENGTH: usize = 10_000;

fn pool(workers: u32) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Returns the guard, and whether the array is poisoned.
fn taken(
    locked: Result<SharedArrayGuard<u64>, LockError<SharedArrayGuard<u64>>>,
) -> (SharedArrayGuard<u64>, bool) {
    match locked {
        Ok(guard) => (guard, false),
        Err(LockError::Poisoned(poisoned)) => (poisoned.into_inner(), true),
        Err(LockError::Failed(error)) => panic!("{error}"),
    }
}

/// Adds one to all values, which are the same whenever nothing holds the array.
#[coreloop::job]
fn add(array: SharedArray<u64>, rounds: u64) {
    for _ in 0..rounds {
        let mut guard = array.blocking_lock().unwrap();
        let first = guard[0];
        for value in &mut *guard {
            assert_eq!(*value, first);
            *value += 1;
        }
    }
}

#[coreloop::test]
async fn four_processes_and_the_loop_take_turns() {
    let rounds = size::pick(250, 10_000);
    let pool = pool(4);
    let array = SharedArray::with_len(LENGTH).unwrap();
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(pool.submit(add, (array.clone(), rounds)).await.unwrap());
    }
    for _ in 0..rounds {
        let mut guard = soon(array.lock()).await.unwrap();
        let first = guard[0];
        assert!(guard.iter().all(|value| *value == first));
        guard.fill(first + 1);
        drop(guard);
        coreloop::task::yield_now().await;
    }
    for job in jobs {
        job.await.unwrap();
    }
    let guard = array.lock().await.unwrap();
    assert!(guard.iter().all(|value| *value == 5 * rounds));
}

/// Changes half of the values, and waits.
#[coreloop::job]
fn change_half(array: SharedArray<u64>, path: PathBuf) {
    let mut guard = array.blocking_lock().unwrap();
    guard[..LENGTH / 2].fill(u64::MAX);
    Visit::new(&path, "changes").unwrap().wait();
    guard[LENGTH / 2..].fill(u64::MAX);
}

#[coreloop::test]
async fn the_array_of_a_killed_process_is_poisoned_and_half_changed() {
    let (pool, at) = (pool(2), Meeting::new());
    let array = SharedArray::from_slice(&[7; LENGTH]).unwrap();
    let killed = pool.submit(change_half, (array.clone(), at.path())).await;
    let changing = at.arrival().await;
    let next = pool.submit(repair, (array.clone(), at.path())).await;
    let repairing = at.arrival().await;
    let mut mine = pin!(array.lock());
    assert!(array.try_lock().await.unwrap().is_none());
    kill(changing.pid);
    assert!(soon(killed.unwrap()).await.unwrap_err().is_broken_worker());
    // The next one is the job, which has asked before.
    let counts = soon(next.unwrap()).await.unwrap();
    assert_eq!(counts, (true, LENGTH / 2, LENGTH / 2));
    repairing.release().await;
    let (guard, poisoned) = taken(soon(mine.as_mut()).await);
    assert!(!poisoned && guard.iter().all(|value| *value == 1));
}

/// Waits for the array, counts old and new values, and repairs them. The line of waiters is
/// entered before the meeting.
#[coreloop::job]
async fn repair(array: SharedArray<u64>, path: PathBuf) -> (bool, usize, usize) {
    assert!(array.try_lock().await.unwrap().is_none());
    let mut locked = pin!(array.lock());
    assert!(poll_once(locked.as_mut()).is_pending());
    // An answer means that the request before it was handled.
    assert!(array.try_lock().await.unwrap().is_none());
    drop(Visit::new(&path, "waits").unwrap());
    let (mut guard, poisoned) = taken(locked.await);
    let count = |wanted| guard.iter().filter(|value| **value == wanted).count();
    let counts = (poisoned, count(u64::MAX), count(7));
    guard.fill(1);
    array.clear_poison().await.unwrap();
    counts
}

/// Has two handles and two mappings of one array.
#[coreloop::job]
fn lock_twice(array: SharedArray<u64>, again: SharedArray<u64>) -> (bool, bool) {
    let guard = array.blocking_lock().unwrap();
    let second = again.blocking_try_lock().unwrap();
    let is_excluded = second.is_none();
    let address = guard.as_ptr();
    drop((second, guard));
    let guard = again.blocking_lock().unwrap();
    (is_excluded, guard.as_ptr() != address)
}

#[coreloop::test]
async fn one_process_gets_one_guard() {
    let array = SharedArray::<u64>::with_len(LENGTH).unwrap();
    let handles = (array.clone(), array.clone());
    assert_eq!(
        soon(pool(1).run(lock_twice, handles)).await.unwrap(),
        (true, true)
    );
}

/// Leaks the guard, and lets the test kill the process.
#[coreloop::job]
fn forget(array: SharedArray<u64>, path: PathBuf) {
    let mut guard = array.blocking_lock().unwrap();
    guard[0] = 1;
    std::mem::forget(guard);
    drop(array);
    Visit::new(&path, "has forgotten").unwrap().wait();
}

#[coreloop::test]
async fn a_leaked_guard_keeps_the_array_until_its_process_ends() {
    let (pool, at) = (pool(1), Meeting::new());
    let array = SharedArray::<u64>::with_len(LENGTH).unwrap();
    let job = pool
        .submit(forget, (array.clone(), at.path()))
        .await
        .unwrap();
    let leaking = at.arrival().await;
    let pid = leaking.pid;
    leaking.release().await;
    soon(job).await.unwrap();
    assert!(array.try_lock().await.unwrap().is_none());
    kill(pid);
    let (guard, poisoned) = taken(soon(array.lock()).await);
    assert_eq!((guard[0], poisoned), (1, true));
}

thread_local! {
    static CARRIED: std::cell::RefCell<Option<SharedArray<u64>>> =
        const { std::cell::RefCell::new(None) };
}

/// Creates an array on the loop of this worker, which runs only while an async job does.
#[coreloop::job]
async fn carry() -> SharedArray<u64> {
    let array = SharedArray::from_slice(&[1, 2]).unwrap();
    CARRIED.set(Some(array.clone()));
    array
}

#[coreloop::job]
async fn serve(path: PathBuf) {
    drop(Visit::new(&path, "serves").unwrap());
    std::future::pending::<()>().await;
}

#[coreloop::test]
async fn the_end_of_the_process_that_carries_an_array_lets_no_other_in() {
    let (pool, at) = (pool(1), Meeting::new());
    let array = soon(pool.run(carry, ())).await.unwrap();
    let serving = pool.submit(serve, at.path()).await.unwrap();
    let carrier = at.arrival().await;
    let mut guard = soon(array.lock()).await.unwrap();
    guard[0] = 10;
    let other = copy_of(&array);
    let mut waiting = pin!(other.lock());
    assert!(poll_once(waiting.as_mut()).is_pending());
    kill(carrier.pid);
    let error = soon(waiting).await.unwrap_err().into_guard().unwrap_err();
    assert!(error.is_disconnected(), "{error}");
    assert!(soon(serving).await.unwrap_err().is_broken_worker());
    // The memory is still there, for this guard alone.
    assert!(!guard.is_valid());
    guard[1] = 20;
    assert_eq!(*guard, [10, 20]);
    for array in [&array, &other, &copy_of(&array)] {
        let error = array.lock().await.unwrap_err().into_guard().unwrap_err();
        assert!(error.is_disconnected(), "{error}");
    }
    drop(guard);
    array.lock().await.unwrap_err();
}

/// Returns a handle that was encoded and decoded, by a serializer that knows no descriptors.
fn copy_of(array: &SharedArray<u64>) -> SharedArray<u64> {
    let bytes = rmp_serde::to_vec(array).unwrap();
    rmp_serde::from_slice(&bytes).unwrap()
}

#[coreloop::job]
fn pass_back(array: SharedArray<u64>) -> SharedArray<u64> {
    array.blocking_lock().unwrap()[0] += 1;
    array
}

#[coreloop::job]
async fn start_another(array: SharedArray<u64>) -> u64 {
    let mut process = Process::spawn(pass_back, array.clone()).unwrap();
    let back = process.join().await.unwrap();
    let guard = back.lock().await.unwrap();
    guard[0]
}

#[coreloop::test]
async fn a_family_has_grandchildren() {
    let array = SharedArray::<u64>::with_len(1).unwrap();
    let back = soon(pool(1).run(pass_back, array.clone())).await.unwrap();
    assert_eq!(back.lock().await.unwrap()[0], 1);
    assert_eq!(
        soon(pool(1).run(start_another, array.clone()))
            .await
            .unwrap(),
        2
    );
    assert_eq!(array.lock().await.unwrap()[0], 2);
}

#[coreloop::test]
async fn child_that_prints_a_handle() {
    if is_rerun("child_that_prints_a_handle") {
        let array = SharedArray::<u64>::with_len(1).unwrap();
        println!("handle {:?}", rmp_serde::to_vec(&array).unwrap());
    }
}

/// The other process runs this program too, but no pool has started it.
#[test]
fn the_array_of_another_family_is_refused() {
    let output = rerun(module_path!(), "child_that_prints_a_handle");
    let said = String::from_utf8(output.stdout).unwrap();
    let (_, handle) = said.split_once("handle [").unwrap();
    let (handle, _) = handle.split_once(']').unwrap();
    let bytes: Vec<u8> = handle
        .split(", ")
        .map(|byte| byte.parse().unwrap())
        .collect();
    let error = rmp_serde::from_slice::<SharedArray<u64>>(&bytes).unwrap_err();
    let refused = "the array belongs to the processes of another pool or program";
    assert!(error.to_string().contains(refused), "{error}");
}
