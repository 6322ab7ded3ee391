//! Many tasks from other threads at once: the loop runs its own tasks, timers and
//! descriptors in between.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use coreloop::net::UnixStream;
use coreloop::runtime::{Handle, TaskMeta};
use coreloop::task::{RemoteJoinHandle, yield_now};
use coreloop::time::sleep;
use coreloop::{Runtime, spawn};
use coreloop_test_support::clock::paused;
use coreloop_test_support::deadline::in_time;
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::on_thread::wait_for;
use coreloop_test_support::panics::recorded;

const MANY: u32 = 10_000;

/// The maximum number of remote tasks that start before a ready local task runs.
const BOUND: u32 = 128;

thread_local! {
    static STARTED: Cell<u32> = const { Cell::new(0) };
}

/// Spawns tasks that count themselves in `STARTED`, on another thread.
fn flood(handle: Handle, count: u32) -> Vec<RemoteJoinHandle<u32>> {
    let flooding = thread::spawn(move || {
        let start = || async { STARTED.replace(STARTED.get() + 1) };
        (0..count).map(|_| handle.spawn(start)).collect()
    });
    flooding.join().expect("the thread does not panic")
}

/// Runs local tasks that are always ready beside a flood, and returns the maximum number
/// of remote tasks that started between two polls of one local task.
fn most_between_polls(runtime: &Runtime, tasks: u32) -> u32 {
    STARTED.set(0);
    let handles = flood(runtime.handle(), MANY);
    let most = Rc::new(Cell::new(0));
    let local: Vec<_> = (0..tasks)
        .map(|_| {
            let most = Rc::clone(&most);
            runtime.spawn(async move {
                while STARTED.get() < MANY {
                    let before = STARTED.get();
                    yield_now().await;
                    most.set(most.get().max(STARTED.get() - before));
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for task in local {
            task.await.unwrap();
        }
        // First in, first out, and none is lost.
        for (number, task) in (0..MANY).zip(handles) {
            assert_eq!(task.await.unwrap(), number);
        }
    });
    most.get()
}

#[test]
#[cfg_attr(miri, ignore = "ten thousand tasks")]
fn a_ready_task_waits_for_few_remote_tasks() {
    for tasks in [1, 2, 10] {
        let runtime = Runtime::new().unwrap();
        let most = most_between_polls(&runtime, tasks);
        assert!(most <= BOUND, "{most} at {tasks}");
        // The bound also holds after the runtime was idle.
        runtime.block_on(async { sleep(Duration::from_millis(1)).await });
        let most = most_between_polls(&runtime, tasks);
        assert!(most <= BOUND, "{most} at {tasks}, later");
    }
}

/// Remote tasks start even while local tasks are always ready.
#[test]
#[cfg_attr(miri, ignore = "ten thousand tasks")]
fn a_busy_loop_starts_remote_tasks() {
    for tasks in [1, 10, 1000] {
        let runtime = Runtime::new().unwrap();
        let polls = Rc::new(Cell::new(0_u64));
        STARTED.set(0);
        let handles = flood(runtime.handle(), 100);
        for _ in 0..tasks {
            let polls = Rc::clone(&polls);
            drop(runtime.spawn(async move {
                loop {
                    polls.set(polls.get() + 1);
                    yield_now().await;
                }
            }));
        }
        runtime.block_on(async {
            for handle in handles {
                handle.await.unwrap();
            }
        });
        // As in tokio, at least one of 31 polls takes spawn requests, and a started task
        // waits for one round of the queue.
        let most = 100 * 31 + 100 * 2 * tasks;
        assert!(polls.get() <= most, "{} at {tasks}", polls.get());
    }
}

/// While a thread spawns without end, timers fire and descriptors are polled.
#[test]
#[cfg_attr(miri, ignore = "thousands of tasks")]
fn an_endless_flood_stops_no_timer_and_no_descriptor() {
    in_time(|| {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.handle();
        let started = Arc::new(AtomicU32::new(0));
        let (stop, stopped) = mpsc::channel::<()>();
        let flooding = thread::spawn({
            let started = Arc::clone(&started);
            move || {
                let mut sent = 0_u32;
                while stopped.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
                    // There are always spawn requests, but not more than memory can hold.
                    if sent - started.load(Ordering::Relaxed) > MANY {
                        thread::yield_now();
                        continue;
                    }
                    let started = Arc::clone(&started);
                    drop(handle.spawn(move || async move {
                        started.fetch_add(1, Ordering::Relaxed);
                    }));
                    sent += 1;
                }
            }
        });
        runtime.block_on(async {
            let (mut near, mut far) = UnixStream::pair().unwrap();
            drop(spawn(async move {
                let mut byte = [0];
                while far.read(&mut byte).await.unwrap() == 1 {
                    far.write_all(&byte).await.unwrap();
                }
            }));
            for _ in 0..20 {
                sleep(Duration::from_micros(100)).await;
                near.write_all(b"x").await.unwrap();
                let mut byte = [0];
                assert_eq!(near.read(&mut byte).await.unwrap(), 1);
            }
        });
        drop(stop);
        flooding.join().unwrap();
    });
}

#[test]
#[cfg_attr(miri, ignore = "ten thousand tasks")]
fn a_shutdown_runs_tasks_that_were_spawned_before() {
    STARTED.set(0);
    let runtime = paused();
    let handles = flood(runtime.handle(), MANY);
    assert!(runtime.shutdown(Duration::MAX).is_clean());
    assert_eq!(STARTED.get(), MANY);
    for (number, task) in (0..MANY).zip(handles) {
        assert_eq!(wait_for(task).unwrap(), number);
    }
}

#[test]
fn a_shutdown_without_time_names_tasks_that_have_not_started() {
    let count = if cfg!(miri) { 200 } else { MANY };
    STARTED.set(0);
    let runtime = paused();
    let handles = flood(runtime.handle(), count);
    let report = runtime.shutdown(Duration::ZERO);
    let started = STARTED.get();
    assert!(started < count);
    assert_eq!(report.tasks().len(), (count - started) as usize);
    let here = report
        .tasks()
        .iter()
        .all(|task| task.spawned_at().file() == file!());
    assert!(here, "{report}");
    let ids: Vec<_> = handles[started as usize..]
        .iter()
        .map(RemoteJoinHandle::id)
        .collect();
    assert!(report.tasks().iter().map(TaskMeta::id).eq(ids));
    for (number, task) in (0..count).zip(handles) {
        let joined = wait_for(task);
        assert_eq!(joined.is_ok(), number < started);
    }
}

/// Every closure is dropped, though some panic or spawn when they are dropped, and every
/// handle becomes ready.
#[test]
fn spawn_requests_that_are_left_at_the_end_are_dropped() {
    let count = if cfg!(miri) { 50 } else { 1000 };
    for shut_down in [false, true] {
        let dropped = Arc::new(AtomicU32::new(0));
        let runtime = paused();
        let (handle, counter) = (runtime.handle(), Arc::clone(&dropped));
        let ((), panics) = recorded(|| {
            let flooding = thread::spawn(move || -> Vec<_> {
                (0..count)
                    .map(|number| {
                        let (own, counter) = (handle.clone(), Arc::clone(&counter));
                        let bomb = OnDrop::new(move || {
                            counter.fetch_add(1, Ordering::Relaxed);
                            // This request is cancelled at once, or dropped with the
                            // others.
                            drop(own.spawn(|| async {}));
                            assert!(number % 2 == 0, "a closure that panics");
                        });
                        handle.spawn(move || async move { drop(bomb) })
                    })
                    .collect()
            });
            let handles = flooding.join().unwrap();
            if shut_down {
                drop(runtime.shutdown(Duration::ZERO));
            } else {
                drop(runtime);
            }
            let resolved = handles.into_iter().map(wait_for).filter(Result::is_ok);
            assert!(shut_down || resolved.count() == 0);
        });
        assert_eq!(dropped.load(Ordering::Relaxed), count);
        assert_eq!(panics.len(), count as usize / 2);
    }
}
