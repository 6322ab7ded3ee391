//! Mutexes, semaphores, events and barriers.
//!
//! | what happens | tests |
//! |---|---|
//! | on the loop that carries the object | [`local`] |
//! | in other processes and threads | [`remote`] |
//! | a process is killed that holds, waits or carries an object | [`deaths`] |
//! | processes are killed and requests are withdrawn at random | [`storm`] |

mod deaths;
mod local;
mod remote;
mod storm;

use std::future::Future;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use coreloop::ipc::{BrokerError, LockError, Mutex, MutexGuard};
use coreloop_test_support::meeting::{Arrival, Visit};
use rustix::process::{Pid, Signal, kill_process};

/// The fencing number of a guard, and whether its lock is poisoned.
type Locked = (u64, bool);

fn locked(result: Result<MutexGuard, LockError>) -> Result<(MutexGuard, bool), BrokerError> {
    match result {
        Ok(guard) => Ok((guard, false)),
        Err(error) => error.into_guard().map(|guard| (guard, true)),
    }
}

/// Locks, meets the test, and holds the lock until the test lets it continue.
async fn hold(lock: Mutex, path: &Path, name: &str) -> Result<Locked, String> {
    let (guard, poisoned) = locked(lock.lock().await).map_err(|error| error.to_string())?;
    let mut visit = Visit::new(path, name).unwrap();
    visit.wait();
    Ok((guard.fencing(), poisoned))
}

#[coreloop::job]
async fn hold_lock(lock: Mutex, path: std::path::PathBuf, name: String) -> Result<Locked, String> {
    hold(lock, &path, &name).await
}

/// Requests the lock, meets the test when the request is in the line, and waits for the lock.
#[coreloop::job]
async fn wait_for_lock(
    lock: Mutex,
    path: std::path::PathBuf,
    name: String,
) -> Result<Locked, String> {
    let mut waiting = pin!(lock.lock());
    lock.is_poisoned().await.unwrap();
    assert!(poll_once(waiting.as_mut()).is_pending());
    // The broker answers this after it has read the request.
    lock.is_poisoned().await.unwrap();
    drop(Visit::new(&path, &name).unwrap());
    let (guard, poisoned) = locked(waiting.await).map_err(|error| error.to_string())?;
    Ok((guard.fencing(), poisoned))
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn kill(arrival: &Arrival) {
    kill_pid(arrival.pid);
}

fn kill_pid(pid: Pid) {
    kill_process(pid, Signal::KILL).unwrap();
}
