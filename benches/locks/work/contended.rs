//! Tasks that contend for one lock, and yield while they hold it.

use std::rc::Rc;
use std::time::Duration;

use super::{Mutex, RwLock, Semaphore, spawn};
use crate::locking::contend;
use crate::tasks::in_tasks;
use crate::yielding::Yield;

/// One of this number of tasks writes.
const WRITES: u64 = 8;

pub(crate) async fn mutex(tasks: usize, pieces: u64) -> Duration {
    contend::<Mutex<u64>, _>(tasks as u64, pieces, spawn).await
}

pub(crate) async fn rwlock(tasks: usize, pieces: u64) -> Duration {
    let lock = Rc::new(RwLock::new(0));
    in_tasks(tasks, spawn, || {
        let lock = Rc::clone(&lock);
        async move {
            for number in 0..pieces {
                if number % WRITES == 0 {
                    let mut guard = lock.write().await;
                    *guard += 1;
                    Yield::default().await;
                } else {
                    let guard = lock.read().await;
                    Yield::default().await;
                    drop(guard);
                }
            }
        }
    })
    .await
}

/// There is a permit for every other task.
pub(crate) async fn semaphore(tasks: usize, pieces: u64) -> Duration {
    let semaphore = Rc::new(Semaphore::new(tasks.div_ceil(2)));
    in_tasks(tasks, spawn, || {
        let semaphore = Rc::clone(&semaphore);
        async move {
            for _ in 0..pieces {
                let permit = semaphore.acquire().await;
                Yield::default().await;
                drop(permit);
            }
        }
    })
    .await
}
