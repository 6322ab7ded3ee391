//! Lock files.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use coreloop::ipc::{LockFile, LockFileGuard};
use coreloop::pool::Pool;
use coreloop::spawn;
use coreloop::task::{spawn_blocking, yield_now};
use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::meeting::{Meeting, Visit, soon};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Signal, kill_process};

fn folder() -> (Folder, PathBuf) {
    let folder = Folder::new();
    let path = folder.path("lock");
    (folder, path)
}

/// The lock as any other program takes it.
fn other_program(path: &PathBuf) -> File {
    let mut options = File::options();
    options.create(true).append(true);
    let file = options.open(path).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

fn try_lock(path: &PathBuf) -> Option<LockFileGuard> {
    LockFile::open(path).unwrap().try_lock().unwrap()
}

#[coreloop::test]
async fn one_program_at_a_time_holds_the_lock() {
    let (_folder, path) = folder();
    let lock = LockFile::open(&path).unwrap();
    let guard = soon(lock.lock()).await.unwrap();
    assert!(try_lock(&path).is_none());
    assert!(lock.try_lock().unwrap().is_none());
    drop(guard);
    let file = other_program(&path);
    assert!(lock.try_lock().unwrap().is_none());
    let mut waiting = pin!(lock.lock());
    let limit = Duration::from_millis(5);
    let late = coreloop::time::timeout(limit, waiting.as_mut()).await;
    late.unwrap_err();
    drop(file);
    drop(soon(waiting).await.unwrap());
    assert!(try_lock(&path).is_some());
}

#[coreloop::job]
fn hold(path: PathBuf, at: PathBuf) {
    let _guard = LockFile::open(path).unwrap().blocking_lock().unwrap();
    Visit::new(&at, "holds").unwrap().wait();
}

#[coreloop::test]
async fn the_lock_of_a_killed_process_is_released() {
    let (_folder, path) = folder();
    let at = Meeting::new();
    let pool = Pool::builder().workers(1).build().unwrap();
    let job = pool.submit(hold, (path.clone(), at.path())).await.unwrap();
    let holder = at.arrival().await;
    let lock = LockFile::open(&path).unwrap();
    let waiting = spawn(async move { lock.lock().await.map(drop) });
    yield_now().await;
    assert!(try_lock(&path).is_none());
    kill_process(holder.pid, Signal::KILL).unwrap();
    soon(waiting).await.unwrap().unwrap();
    assert!(soon(job).await.unwrap_err().is_broken_worker());
}

/// The number of threads that wait for a lock in this process.
fn waiting_threads() -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let waits = threads.filter(|thread| {
        let path = thread.as_ref().unwrap().path().join("syscall");
        let call = fs::read_to_string(path).unwrap_or_default();
        // flock(2).
        call.starts_with("73 ") || call.starts_with("32 ")
    });
    waits.count()
}

#[coreloop::test]
async fn a_cancelled_wait_leaves_the_lock_to_others() {
    let (_folder, path) = folder();
    let lock = LockFile::open(&path).unwrap();
    let file = other_program(&path);
    for _ in 0..20 {
        let error = lock
            .lock_timeout(Duration::from_millis(1))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    }
    // Another test of this program may have a thread too.
    assert!(waiting_threads() < 10);
    drop(file);
    // The thread gets the lock, and no task waits for it.
    let mut other = None;
    yield_until(|| {
        other = try_lock(&path);
        other.is_some()
    })
    .await;
    // A further wait takes the thread over, or starts a new one.
    let mut waiting = pin!(lock.lock());
    let late = coreloop::time::timeout(Duration::from_millis(1), waiting.as_mut()).await;
    late.unwrap_err();
    drop(other);
    drop(soon(waiting).await.unwrap());
}

#[coreloop::test]
async fn tasks_have_the_lock_in_order() {
    let (_folder, path) = folder();
    let lock = LockFile::open(&path).unwrap();
    let file = other_program(&path);
    let order = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let tasks: Vec<_> = (0..5)
        .map(|number| {
            let (lock, order) = (lock.clone(), order.clone());
            spawn(async move {
                let _guard = lock.lock().await.unwrap();
                order.borrow_mut().push(number);
                yield_now().await;
            })
        })
        .collect();
    yield_now().await;
    // One in the middle gives up.
    tasks[2].abort();
    drop(file);
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(soon(task).await.is_err(), number == 2);
    }
    assert_eq!(*order.borrow(), [0, 1, 3, 4]);
}

#[coreloop::test]
async fn a_file_that_was_replaced_is_not_the_lock() {
    let (_folder, path) = folder();
    let lock = LockFile::open(&path).unwrap();
    let file = other_program(&path);
    let mut waiting = pin!(lock.lock());
    let late = coreloop::time::timeout(Duration::from_millis(5), waiting.as_mut()).await;
    late.unwrap_err();
    fs::remove_file(&path).unwrap();
    let new = try_lock(&path).unwrap();
    // The thread that waits gets the lock of a file that has no name any more.
    drop(file);
    let late = coreloop::time::timeout(Duration::from_millis(20), waiting.as_mut()).await;
    late.unwrap_err();
    drop(new);
    drop(soon(waiting).await.unwrap());
}

#[coreloop::test]
async fn a_thread_waits_for_the_lock_without_a_loop() {
    let (_folder, path) = folder();
    let file = other_program(&path);
    let late = path.clone();
    let late = spawn_blocking(move || {
        let lock = LockFile::open(late).unwrap();
        let error = lock.blocking_lock_timeout(Duration::from_millis(3));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    });
    soon(late).await.unwrap();
    let waits = spawn_blocking(move || {
        let lock = LockFile::open(path).unwrap();
        let guard = lock.blocking_lock().unwrap();
        let error = lock.blocking_lock().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Deadlock, "{error}");
        drop(guard);
        drop(lock.blocking_lock_timeout(Duration::MAX).unwrap());
    });
    drop(file);
    soon(waits).await.unwrap();
}

#[coreloop::test]
async fn the_locked_file_can_be_written() {
    let (_folder, path) = folder();
    let lock = LockFile::open(&path).unwrap();
    assert_eq!(lock.path(), path);
    let guard = lock.lock().await.unwrap();
    let mut file = guard.file();
    write!(file, "{}", std::process::id()).unwrap();
    let mut text = String::new();
    File::open(&path)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, std::process::id().to_string());
}

#[test]
fn a_folder_is_no_lock_file() {
    let folder = Folder::new();
    let error = LockFile::open(folder.as_path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IsADirectory, "{error}");
    let error = LockFile::open(folder.path("missing/lock")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("missing/lock"), "{error}");
}
