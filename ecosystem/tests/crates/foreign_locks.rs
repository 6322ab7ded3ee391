//! The locks that the documentation of `sync` recommends between threads: another thread
//! wakes tasks of the loop through these crates.

use std::sync::{Arc, Barrier};
use std::thread;

use coreloop::task::yield_now;

/// Starts a thread that runs `work` when the loop has called `wait` on the barrier.
fn outsider(work: impl FnOnce() + Send + 'static) -> (Arc<Barrier>, thread::JoinHandle<()>) {
    let start = Arc::new(Barrier::new(2));
    let thread = thread::spawn({
        let start = Arc::clone(&start);
        move || {
            start.wait();
            work();
        }
    });
    (start, thread)
}

#[test]
fn a_mutex_of_async_lock() {
    let mutex = Arc::new(async_lock::Mutex::new(0));
    let guard = mutex.lock_arc_blocking();
    let (start, thread) = outsider(move || {
        let mut guard = guard;
        *guard += 1;
    });
    coreloop::block_on(async {
        let task = coreloop::spawn(async move { *mutex.lock().await });
        yield_now().await;
        start.wait();
        assert_eq!(task.await.unwrap(), 1);
    });
    thread.join().unwrap();
}

#[test]
fn a_reader_writer_lock_a_semaphore_a_barrier_and_a_cell_of_async_lock() {
    let lock = Arc::new(async_lock::RwLock::new(0));
    let permits = Arc::new(async_lock::Semaphore::new(0));
    let barrier = Arc::new(async_lock::Barrier::new(2));
    let cell = Arc::new(async_lock::OnceCell::new());
    let writer = lock.write_arc_blocking();
    let (start, thread) = outsider({
        let (permits, barrier, cell) = (Arc::clone(&permits), Arc::clone(&barrier), cell.clone());
        move || {
            let mut writer = writer;
            *writer += 1;
            drop(writer);
            permits.add_permits(1);
            barrier.wait_blocking();
            cell.set_blocking(2).unwrap();
        }
    });
    coreloop::block_on(async {
        let task = coreloop::spawn(async move {
            let read = *lock.read().await;
            let _permit = permits.acquire().await;
            barrier.wait().await;
            (read, *cell.wait().await)
        });
        yield_now().await;
        start.wait();
        assert_eq!(task.await.unwrap(), (1, 2));
    });
    thread.join().unwrap();
}

#[test]
fn a_notification_of_tokio() {
    let notify = Arc::new(tokio::sync::Notify::new());
    let (start, thread) = outsider({
        let notify = Arc::clone(&notify);
        move || notify.notify_one()
    });
    coreloop::block_on(async {
        let task = coreloop::spawn(async move { notify.notified().await });
        yield_now().await;
        start.wait();
        task.await.unwrap();
    });
    thread.join().unwrap();
}

#[test]
fn an_event_of_event_listener() {
    let event = Arc::new(event_listener::Event::new());
    let (start, thread) = outsider({
        let event = Arc::clone(&event);
        move || {
            event.notify(1);
        }
    });
    coreloop::block_on(async {
        let listener = event.listen();
        let task = coreloop::spawn(listener);
        yield_now().await;
        start.wait();
        task.await.unwrap();
    });
    thread.join().unwrap();
}
