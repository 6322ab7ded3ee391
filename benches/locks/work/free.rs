//! Tasks that each have their own, uncontended lock.

use std::hint::black_box;
use std::time::Duration;

use super::{Mutex, RwLock, Semaphore, spawn};
use crate::locking::{acquire_and_release, lock_and_unlock};
use crate::tasks::in_tasks;

pub(crate) async fn mutex(tasks: usize, pieces: u64) -> Duration {
    in_tasks(tasks, spawn, || lock_and_unlock::<Mutex<u64>>(pieces)).await
}

pub(crate) async fn semaphore(tasks: usize, pieces: u64) -> Duration {
    in_tasks(tasks, spawn, || acquire_and_release::<Semaphore>(pieces)).await
}

pub(crate) async fn read(tasks: usize, pieces: u64) -> Duration {
    in_tasks(tasks, spawn, || async move {
        let lock = black_box(RwLock::new(7));
        for _ in 0..pieces {
            black_box(*lock.read().await);
        }
    })
    .await
}

pub(crate) async fn write(tasks: usize, pieces: u64) -> Duration {
    in_tasks(tasks, spawn, || async move {
        let lock = black_box(RwLock::new(0));
        for _ in 0..pieces {
            *lock.write().await += 1;
        }
    })
    .await
}
