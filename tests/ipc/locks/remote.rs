//! In other processes and threads.

use std::pin::pin;
use std::thread;
use std::time::Duration;

use coreloop::ipc::{Barrier, Event, Mutex, Semaphore};
use coreloop::pool::Pool;
use coreloop::spawn;
use coreloop_test_support::meeting::{Meeting, Visit, soon};

use super::{locked, poll_once};

#[coreloop::job]
async fn lock(lock: Mutex) -> u64 {
    lock.lock().await.unwrap().fencing()
}

#[coreloop::job]
fn lock_blocking(lock: Mutex) -> u64 {
    lock.blocking_lock().unwrap().fencing()
}

/// Async jobs run on a loop that is driven only while one of them runs, and blocking calls use the
/// same connection in between.
#[coreloop::test]
async fn async_and_blocking_jobs_of_a_worker_share_its_connection() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let mutex = Mutex::new().unwrap();
    for round in 0..5 {
        let fencing = soon(pool.run(lock, mutex.clone())).await.unwrap();
        assert_eq!(fencing, round * 2 + 1);
        let fencing = soon(pool.run(lock_blocking, mutex.clone())).await.unwrap();
        assert_eq!(fencing, round * 2 + 2);
    }
}

/// Runs tasks on this worker's loop and on loops of its own, one within the other.
#[coreloop::job]
async fn lock_on_several_loops(mutex: Mutex) -> u64 {
    let tasks: Vec<_> = (0..10).map(|_| spawn(lock(mutex.clone()))).collect();
    let turned = spawn(lock(mutex.clone()));
    let mut sum = turned.await.unwrap();
    for task in tasks {
        sum += task.await.unwrap();
    }
    sum
}

#[coreloop::test]
async fn tasks_of_several_loops_share_a_connection() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let mutex = Mutex::new().unwrap();
    let sum = soon(pool.run(lock_on_several_loops, mutex.clone())).await;
    assert_eq!(sum.unwrap(), (1..=11).sum::<u64>());
    assert_eq!(mutex.lock().await.unwrap().fencing(), 12);
}

#[coreloop::job]
async fn lock_with_limit(lock: Mutex, limit: Duration) -> Result<u64, bool> {
    match locked(lock.lock_timeout(limit).await) {
        Ok((guard, _)) => Ok(guard.fencing()),
        Err(error) => Err(error.is_timeout()),
    }
}

#[coreloop::job]
fn lock_with_limit_blocking(lock: Mutex, limit: Duration) -> Result<u64, bool> {
    match locked(lock.blocking_lock_timeout(limit)) {
        Ok((guard, _)) => Ok(guard.fencing()),
        Err(error) => Err(error.is_timeout()),
    }
}

#[coreloop::test]
async fn a_time_limit_ends_the_wait() {
    let pool = Pool::builder().workers(2).build().unwrap();
    let mutex = Mutex::new().unwrap();
    let guard = mutex.lock().await.unwrap();
    let short = Duration::from_millis(5);
    let arguments = (mutex.clone(), short);
    let result = soon(pool.run(lock_with_limit, arguments.clone())).await;
    assert_eq!(result.unwrap(), Err(true));
    let result = soon(pool.run(lock_with_limit_blocking, arguments)).await;
    assert_eq!(result.unwrap(), Err(true));
    drop(guard);
    // Their requests were withdrawn.
    let long = (mutex.clone(), Duration::MAX);
    let result = soon(pool.run(lock_with_limit, long.clone())).await;
    assert_eq!(result.unwrap(), Ok(2));
    let result = soon(pool.run(lock_with_limit_blocking, long)).await;
    assert_eq!(result.unwrap(), Ok(3));
}

#[coreloop::job]
async fn wait_for(event: Event, path: std::path::PathBuf) {
    assert!(!event.is_set().await.unwrap());
    let mut waiting = pin!(event.wait());
    assert!(poll_once(waiting.as_mut()).is_pending());
    drop(Visit::new(&path, "waits").unwrap());
    waiting.await.unwrap();
}

#[coreloop::test]
async fn an_event_lets_all_processes_continue() {
    let pool = Pool::builder().workers(3).build().unwrap();
    let (event, at) = (Event::new().unwrap(), Meeting::new());
    let mut jobs = Vec::new();
    for _ in 0..3 {
        let arguments = (event.clone(), at.path());
        jobs.push(pool.submit(wait_for, arguments).await.unwrap());
    }
    for _ in 0..3 {
        at.arrival().await;
    }
    event.set().await.unwrap();
    for job in jobs {
        soon(job).await.unwrap();
    }
    event.clear().await.unwrap();
    assert!(!event.is_set().await.unwrap());
}

#[coreloop::job]
fn meet_at(barrier: Barrier) -> Vec<bool> {
    let waits = (0..3).map(|_| barrier.blocking_wait().unwrap().is_leader());
    waits.collect()
}

#[coreloop::test]
async fn processes_meet_at_a_barrier_again_and_again() {
    let pool = Pool::builder().workers(3).build().unwrap();
    let barrier = Barrier::new(3).unwrap();
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(pool.submit(meet_at, barrier.clone()).await.unwrap());
    }
    let mut leaders = [0; 3];
    for job in jobs {
        for (leaders, is_leader) in leaders.iter_mut().zip(soon(job).await.unwrap()) {
            *leaders += u32::from(is_leader);
        }
    }
    assert_eq!(leaders, [1; 3]);
}

/// Panics while it holds the lock, in a worker that lives on.
#[coreloop::job]
fn panic_with_lock(lock: Mutex) {
    let _guard = lock.blocking_lock().unwrap();
    panic!("as the test wanted");
}

#[coreloop::test]
async fn a_panic_poisons_the_lock() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let mutex = Mutex::new().unwrap();
    let result = soon(pool.run(panic_with_lock, mutex.clone())).await;
    assert!(result.unwrap_err().is_panic());
    let (guard, poisoned) = locked(soon(mutex.lock()).await).unwrap();
    assert_eq!((guard.fencing(), poisoned), (2, true));
}

#[coreloop::test]
async fn other_threads_of_the_process_are_clients_too() {
    let mutex = Mutex::new().unwrap();
    let guard = mutex.lock().await.unwrap();
    let threads = [true, false].map(|blocking| {
        let mutex = mutex.clone();
        coreloop::task::spawn_blocking(move || {
            if blocking {
                lock_blocking(mutex)
            } else {
                coreloop::block_on(lock(mutex))
            }
        })
    });
    drop(guard);
    let mut numbers = Vec::new();
    for thread in threads {
        numbers.push(soon(thread).await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
}

#[coreloop::test]
async fn an_object_is_closed_when_its_owner_drops_it() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let mutex = Mutex::new().unwrap();
    let guard = mutex.lock().await.unwrap();
    let waiting = pool.submit(lock_until_closed, mutex.clone()).await.unwrap();
    // A clone on another thread is the last that keeps it.
    let clone = mutex.clone();
    drop(mutex);
    let thread = thread::spawn(move || drop(clone));
    assert!(soon(waiting).await.unwrap());
    thread.join().unwrap();
    assert!(guard.is_valid());
}

#[coreloop::job]
async fn lock_until_closed(lock: Mutex) -> bool {
    let error = locked(lock.lock().await).unwrap_err();
    error.is_closed() && locked(lock.lock().await).unwrap_err().is_closed()
}

#[coreloop::test]
async fn any_process_can_close_an_object() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let permits = Semaphore::new(1).unwrap();
    let permit = permits.acquire().await.unwrap();
    let mut waiting = pin!(permits.acquire());
    assert!(poll_once(waiting.as_mut()).is_pending());
    soon(pool.run(close, permits.clone())).await.unwrap();
    assert!(soon(waiting).await.unwrap_err().is_closed());
    assert!(permits.close().await.unwrap_err().is_closed());
    drop(permit);
}

#[coreloop::job]
fn close(permits: Semaphore) {
    permits.blocking_close().unwrap();
}

#[coreloop::job]
fn use_permits(permits: Semaphore) {
    permits.blocking_add_permits(2).unwrap();
    assert_eq!(permits.blocking_available_permits().unwrap(), 2);
    let two = permits.blocking_try_acquire_many(2).unwrap().unwrap();
    assert!(permits.blocking_try_acquire().unwrap().is_none());
    let limit = Duration::from_millis(1);
    assert!(
        permits
            .blocking_acquire_timeout(limit)
            .unwrap_err()
            .is_timeout()
    );
    let holders = permits.blocking_holders().unwrap();
    assert_eq!(
        (holders[0].pid, holders[0].permits),
        (std::process::id(), 2)
    );
    drop(two);
    drop(permits.blocking_acquire().unwrap());
    permits
        .blocking_add_permits(Semaphore::MAX_PERMITS)
        .unwrap_err();
    assert_eq!(permits.blocking_available_permits().unwrap(), 2);
}

#[coreloop::test]
async fn a_job_uses_permits() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let permits = Semaphore::new(0).unwrap();
    soon(pool.run(use_permits, permits.clone())).await.unwrap();
    assert_eq!(permits.available_permits().await.unwrap(), 2);
}

#[coreloop::job]
fn use_event(lock: Event) -> bool {
    let handle = format!("{lock:?}");
    assert!(handle.contains("coreloop"), "{handle}");
    lock.blocking_set().unwrap();
    lock.blocking_wait().unwrap();
    lock.blocking_clear().unwrap();
    let limit = Duration::from_millis(1);
    lock.blocking_wait_timeout(limit).unwrap_err().is_timeout()
}

#[coreloop::test]
async fn a_job_uses_an_event() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let event = Event::new().unwrap();
    assert!(soon(pool.run(use_event, event.clone())).await.unwrap());
}
