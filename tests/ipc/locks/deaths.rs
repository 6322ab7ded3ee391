//! Processes that are killed while they hold, wait for or carry an object.

use std::path::PathBuf;
use std::pin::pin;

use coreloop::ipc::{Barrier, Event, Mutex, Semaphore};
use coreloop::pool::{JobHandle, Pool, Process};
use coreloop_test_support::meeting::{Arrival, Meeting, Visit, soon};

use super::{Locked, hold_lock, kill, locked, poll_once, wait_for_lock};

type Holding = JobHandle<Result<Locked, String>>;

fn pool(workers: u32) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

/// A process that holds the lock.
async fn holder(pool: &Pool, lock: &Mutex, at: &Meeting) -> (Holding, Arrival) {
    let arguments = (lock.clone(), at.path(), "holder".to_owned());
    let job = pool.submit(hold_lock, arguments).await.unwrap();
    (job, at.arrival().await)
}

/// A process that waits for the lock.
async fn waiter(pool: &Pool, lock: &Mutex, at: &Meeting) -> (Holding, Arrival) {
    let arguments = (lock.clone(), at.path(), "waiter".to_owned());
    let job = pool.submit(wait_for_lock, arguments).await.unwrap();
    (job, at.arrival().await)
}

#[coreloop::test]
async fn the_lock_of_a_killed_process_is_poisoned_and_granted_to_the_next() {
    let (pool, at) = (pool(2), Meeting::new());
    let lock = Mutex::new().unwrap();
    let (killed, first) = holder(&pool, &lock, &at).await;
    let held_by = lock.holder().await.unwrap().unwrap();
    assert_eq!(held_by.pid, first.pid.as_raw_nonzero().get().unsigned_abs());
    assert_eq!(held_by.fencing, 1);
    let (next, _) = waiter(&pool, &lock, &at).await;
    kill(&first);
    assert_eq!(soon(next).await.unwrap(), Ok((2, true)));
    assert!(soon(killed).await.unwrap_err().is_broken_worker());
    // It stays poisoned, and the numbers grow.
    let (guard, poisoned) = locked(lock.lock().await).unwrap();
    assert_eq!((guard.fencing(), poisoned), (3, true));
    lock.clear_poison().await.unwrap();
    drop(guard);
    let guard = lock.lock().await.unwrap();
    assert_eq!(guard.fencing(), 4);
}

#[coreloop::test]
async fn a_killed_process_leaves_the_line() {
    let (pool, at) = (pool(4), Meeting::new());
    let lock = Mutex::new().unwrap();
    let (holds, first) = holder(&pool, &lock, &at).await;
    let (killed, second) = waiter(&pool, &lock, &at).await;
    let (next, _) = waiter(&pool, &lock, &at).await;
    let (last, _) = waiter(&pool, &lock, &at).await;
    kill(&second);
    assert!(soon(killed).await.unwrap_err().is_broken_worker());
    first.release().await;
    assert_eq!(soon(holds).await.unwrap(), Ok((1, false)));
    // In the order in which they came.
    assert_eq!(soon(next).await.unwrap(), Ok((2, false)));
    assert_eq!(soon(last).await.unwrap(), Ok((3, false)));
}

/// Locks, ends its connection, and lives on.
#[coreloop::job]
async fn hold_without_connection(lock: Mutex, path: PathBuf, keeps: bool) -> (bool, bool) {
    let guard = lock.lock().await.unwrap();
    let was_valid = guard.is_valid();
    coreloop::ipc::__disconnect();
    let is_valid = guard.is_valid();
    // The process connects again, and what it did before counts still.
    assert!(lock.try_lock().await.unwrap().is_none());
    Visit::new(&path, "holder").unwrap().wait();
    match keeps {
        true => std::mem::forget(guard),
        // There may be no other connection.
        false => {
            coreloop::ipc::__disconnect();
            drop(guard);
        }
    }
    (was_valid, is_valid)
}

#[coreloop::test]
async fn a_process_that_closed_its_socket_keeps_the_lock_until_it_ends() {
    let (pool, at) = (pool(2), Meeting::new());
    let lock = Mutex::new().unwrap();
    let arguments = (lock.clone(), at.path(), true);
    let job = pool
        .submit(hold_without_connection, arguments)
        .await
        .unwrap();
    let holder = at.arrival().await;
    let (next, _) = waiter(&pool, &lock, &at).await;
    let pid = holder.pid;
    holder.release().await;
    assert_eq!(soon(job).await.unwrap(), (true, false));
    assert!(lock.try_lock().await.unwrap().is_none());
    super::kill_pid(pid);
    assert_eq!(soon(next).await.unwrap(), Ok((2, true)));
}

#[coreloop::test]
async fn a_process_that_closed_its_socket_releases_the_lock_over_another_one() {
    let (pool, at) = (pool(2), Meeting::new());
    let lock = Mutex::new().unwrap();
    let arguments = (lock.clone(), at.path(), false);
    let job = pool
        .submit(hold_without_connection, arguments)
        .await
        .unwrap();
    let holder = at.arrival().await;
    let (next, waits) = waiter(&pool, &lock, &at).await;
    drop(waits);
    holder.release().await;
    assert_eq!(soon(job).await.unwrap(), (true, false));
    // The process lives, and the lock is not poisoned.
    assert_eq!(soon(next).await.unwrap(), Ok((2, false)));
}

#[coreloop::job]
async fn hold_and_exit(lock: Mutex, releases: bool) {
    let guard = lock.lock().await.unwrap();
    if releases {
        drop(guard);
        // No code runs after this.
        std::process::exit(0);
    }
    std::process::exit(0);
}

#[coreloop::test]
async fn a_lock_that_was_released_just_before_the_end_is_not_poisoned() {
    let lock = Mutex::new().unwrap();
    let mut process = Process::spawn(hold_and_exit, (lock.clone(), true)).unwrap();
    soon(process.join()).await.unwrap_err();
    assert_eq!(soon(lock.lock()).await.unwrap().fencing(), 2);
    let mut process = Process::spawn(hold_and_exit, (lock.clone(), false)).unwrap();
    soon(process.join()).await.unwrap_err();
    let (guard, poisoned) = locked(soon(lock.lock()).await).unwrap();
    assert_eq!((guard.fencing(), poisoned), (4, true));
}

#[coreloop::job]
fn hold_permits(permits: Semaphore, count: u32, path: PathBuf) {
    let held = permits.blocking_acquire_many(count).unwrap();
    assert_eq!(held.permits(), count);
    Visit::new(&path, "holder").unwrap().wait();
}

#[coreloop::test]
async fn the_permits_of_a_killed_process_come_back() {
    let (pool, at) = (pool(2), Meeting::new());
    let permits = Semaphore::new(5).unwrap();
    for count in [2, 3] {
        let arguments = (permits.clone(), count, at.path());
        drop(pool.submit(hold_permits, arguments).await.unwrap());
    }
    let (one, other) = (at.arrival().await, at.arrival().await);
    assert_eq!(permits.available_permits().await.unwrap(), 0);
    let mut held: Vec<_> = permits.holders().await.unwrap();
    held.sort_by_key(|holder| holder.permits);
    assert_eq!(held.iter().map(|holder| holder.permits).sum::<u32>(), 5);
    assert_ne!(held[0].pid, held[1].pid);
    // This one waits at the front, and the small one behind it does not overtake.
    let mut large = pin!(permits.acquire_many(4));
    assert!(poll_once(large.as_mut()).is_pending());
    let mut small = pin!(permits.acquire());
    assert!(poll_once(small.as_mut()).is_pending());
    kill(&one);
    kill(&other);
    let large = soon(large).await.unwrap();
    let small = soon(small).await.unwrap();
    assert_eq!(permits.available_permits().await.unwrap(), 0);
    drop((large, small));
    assert_eq!(permits.available_permits().await.unwrap(), 5);
}

#[coreloop::job]
async fn arrive(barrier: Barrier, lock: Option<Mutex>, path: PathBuf) -> bool {
    let _guard = match &lock {
        Some(lock) => Some(lock.lock().await.unwrap()),
        None => None,
    };
    let mut waiting = pin!(barrier.wait());
    assert!(poll_once(waiting.as_mut()).is_pending());
    drop(Visit::new(&path, "arrived").unwrap());
    waiting.await.unwrap().is_leader()
}

#[coreloop::test]
async fn a_killed_process_does_not_count_at_a_barrier() {
    let (pool, at) = (pool(2), Meeting::new());
    let barrier = Barrier::new(3).unwrap();
    let lock = Mutex::new().unwrap();
    let arguments = (barrier.clone(), Some(lock.clone()), at.path());
    let killed = pool.submit(arrive, arguments).await.unwrap();
    let first = at.arrival().await;
    let arguments = (barrier.clone(), None, at.path());
    let other = pool.submit(arrive, arguments).await.unwrap();
    at.arrival().await;
    kill(&first);
    assert!(soon(killed).await.unwrap_err().is_broken_worker());
    // The broker has noticed the death too.
    drop(locked(soon(lock.lock()).await).unwrap());
    let mut mine = pin!(barrier.wait());
    // The other process and this one are two.
    assert!(poll_once(mine.as_mut()).is_pending());
    let third = barrier.wait();
    let (mine, third) = soon(async { coreloop::join!(mine, third) }).await;
    let leaders = [
        soon(other).await.unwrap(),
        mine.unwrap().is_leader(),
        third.unwrap().is_leader(),
    ];
    assert_eq!(leaders.into_iter().filter(|leads| *leads).count(), 1);
}

thread_local! {
    /// The objects that a job has created.
    static OBJECTS: std::cell::RefCell<Option<(Mutex, Event)>> =
        const { std::cell::RefCell::new(None) };
}

/// Creates objects on the loop of this worker, which runs only while an async job does.
#[coreloop::job]
async fn carry() -> (Mutex, Event) {
    let objects = (Mutex::new().unwrap(), Event::new().unwrap());
    OBJECTS.set(Some(objects.clone()));
    objects
}

#[coreloop::job]
async fn serve(path: PathBuf) {
    drop(Visit::new(&path, "serves").unwrap());
    std::future::pending::<()>().await;
}

#[coreloop::test]
async fn the_end_of_the_process_that_carries_an_object_is_noticed() {
    let (pool, at) = (pool(1), Meeting::new());
    let (lock, event) = soon(pool.run(carry, ())).await.unwrap();
    let serving = pool.submit(serve, at.path()).await.unwrap();
    let carrier = at.arrival().await;
    let guard = soon(lock.lock()).await.unwrap();
    assert!(guard.is_valid());
    assert!(!soon(event.is_set()).await.unwrap());
    let mut waiting = pin!(event.wait());
    assert!(poll_once(waiting.as_mut()).is_pending());
    let mut second = pin!(lock.lock());
    assert!(poll_once(second.as_mut()).is_pending());
    kill(&carrier);
    let error = soon(waiting).await.unwrap_err();
    assert!(error.is_disconnected(), "{error}");
    assert!(locked(soon(second).await).unwrap_err().is_disconnected());
    assert!(!guard.is_valid());
    assert!(soon(serving).await.unwrap_err().is_broken_worker());
    // Nothing listens there any more.
    let error = event.set().await.unwrap_err();
    assert!(error.is_disconnected(), "{error}");
    drop(guard);
}
