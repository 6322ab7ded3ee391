//! A mutex, alone and contended.

use std::hint::black_box;
use std::rc::Rc;

use coreloop::spawn;
use coreloop::sync::Mutex;
use coreloop::task::yield_now;

/// The number of tasks that contend for the mutex.
const TASKS: u64 = 8;

pub(super) async fn lock_and_unlock(times: u64) {
    let mutex = Mutex::new(0_u64);
    for _ in 0..times {
        *black_box(&mutex).lock().await += 1;
    }
    assert_eq!(mutex.into_inner(), times);
}

pub(super) async fn contend(times: u64) {
    let mutex = Rc::new(Mutex::new(0_u64));
    let handles: Vec<_> = (0..TASKS)
        .map(|_| {
            let mutex = Rc::clone(&mutex);
            spawn(async move {
                for _ in 0..times / TASKS {
                    let mut guard = mutex.lock().await;
                    *guard += 1;
                    yield_now().await;
                }
            })
        })
        .collect();
    for handle in handles {
        handle.await.expect("the task is not aborted");
    }
    assert_eq!(*mutex.lock().await, times);
}
