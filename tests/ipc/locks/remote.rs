//! In other processes.

use coreloop::ipc::Mutex;
use coreloop::pool::Pool;
use coreloop_test_support::meeting::soon;

#[coreloop::job]
async fn lock(lock: Mutex) -> u64 {
    lock.lock().await.unwrap().fencing()
}

#[coreloop::job]
fn lock_blocking(lock: Mutex) -> u64 {
    lock.blocking_lock().unwrap().fencing()
}

#[coreloop::test]
async fn jobs_lock_a_mutex() {
    let pool = Pool::builder().workers(2).build().unwrap();
    let mutex = Mutex::new().unwrap();
    for round in 0..10 {
        let one = soon(pool.run(lock, mutex.clone())).await.unwrap();
        assert_eq!(one, round * 2 + 1);
        let one = soon(pool.run(lock_blocking, mutex.clone())).await.unwrap();
        assert_eq!(one, round * 2 + 2);
    }
}
