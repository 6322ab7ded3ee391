//! How a pool ends: closed, shut down or dropped, at any time.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use coreloop::pool::{JobHandle, Pool, Report};
use coreloop::process::Restarts;
use coreloop_test_support::deadline::{wait_until, yield_until};
use coreloop_test_support::meeting::soon;
use coreloop_test_support::stop::stop;
use futures_lite::StreamExt;
use futures_lite::future::{poll_once, zip};
use rustix::process::{Pid, Signal, getpid, kill_process, test_kill_process};

use crate::meeting::{Meeting, wait_at};

#[coreloop::job]
fn wait(place: String) {
    wait_at(&place, "");
}

#[coreloop::job]
fn double(number: u64) -> u64 {
    number * 2
}

#[coreloop::job]
fn length(text: String) -> usize {
    text.len()
}

#[coreloop::job]
fn die() {
    kill_process(getpid(), Signal::KILL).unwrap();
    loop {
        std::thread::park();
    }
}

fn is_there(pid: u32) -> bool {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    test_kill_process(pid).is_ok()
}

fn pids(pool: &Pool) -> Vec<u32> {
    pool.metrics()
        .workers
        .iter()
        .map(|worker| worker.pid)
        .collect()
}

fn report(done: usize, dropped: usize, killed: usize) -> Report {
    let mut report = Report::default();
    report.done = done;
    report.dropped = dropped;
    report.killed = killed;
    report
}

/// A pool with one job that runs, one in the socket of its worker, and one in the queue.
async fn busy(meeting: &Meeting) -> (Pool, [JobHandle<()>; 3]) {
    let pool = Pool::builder().workers(1).prefetch(2).build().unwrap();
    let running = pool.submit(wait, meeting.place()).await.unwrap();
    let handles = [
        running,
        pool.submit(wait, meeting.place()).await.unwrap(),
        pool.submit(wait, meeting.place()).await.unwrap(),
    ];
    (pool, handles)
}

#[coreloop::test]
async fn a_closed_pool_finishes_its_jobs() {
    let meeting = Meeting::new();
    let (pool, handles) = busy(&meeting).await;
    let guest = meeting.guest().await;
    assert!(!pool.is_closed());
    pool.close();
    pool.close();
    assert!(pool.is_closed());
    let error = pool.run(double, 1).await.unwrap_err();
    assert!(error.is_shut_down() && !error.has_started());
    assert!(
        error
            .to_string()
            .ends_with("has no result, because the pool is closed"),
        "{error}"
    );
    assert!(pool.ready().await.unwrap_err().is_shut_down());
    assert!(poll_once(pool.join()).await.is_none());
    guest.release();
    zip(pool.join(), async {
        meeting.guest().await.release();
        meeting.guest().await.release();
    })
    .await;
    for handle in handles {
        handle.await.unwrap();
    }
    assert_eq!(pool.metrics().workers, []);
    assert_eq!(pool.shutdown(Duration::ZERO).await, report(0, 0, 0));
}

#[coreloop::test]
async fn closing_a_pool_wakes_the_tasks_that_wait_for_it() {
    let meeting = Meeting::new();
    let (pool, handles) = busy(&meeting).await;
    let guest = meeting.guest().await;
    zip(pool.join(), async {
        coreloop::task::yield_now().await;
        let report = pool.shutdown(Duration::ZERO).await;
        assert_eq!(report, self::report(0, 2, 1));
    })
    .await;
    for handle in handles {
        assert!(handle.await.unwrap_err().is_shut_down());
    }
    guest.release();
    // No worker has become ready yet.
    let pool = Pool::builder().workers(1).build().unwrap();
    let (ready, ()) = zip(pool.ready(), async {
        pool.close();
    })
    .await;
    assert!(ready.unwrap_err().is_shut_down());
}

#[coreloop::test]
async fn a_pool_without_workers_is_closed_at_once() {
    let restarts = Restarts::new()
        .max_immediate(0)
        .min_wait(Duration::from_secs(3_600))
        .max_wait(Duration::from_secs(3_600));
    let pool = Pool::builder()
        .workers(1)
        .restarts(restarts)
        .build()
        .unwrap();
    assert!(pool.run(die, ()).await.unwrap_err().is_broken_worker());
    yield_until(|| pool.metrics().workers.is_empty()).await;
    let waiting = pool.submit(double, 1).await.unwrap();
    let (((), ready), ()) = zip(zip(pool.join(), pool.ready()), async {
        coreloop::task::yield_now().await;
        pool.close();
        // The job would wait for a worker.
        waiting.abort();
    })
    .await;
    assert!(ready.unwrap_err().is_shut_down());
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(pool.shutdown(Duration::MAX).await, report(0, 0, 0));
}

#[coreloop::test]
async fn shutting_down_without_a_limit_finishes_all_jobs() {
    let meeting = Meeting::new();
    let (pool, handles) = busy(&meeting).await;
    let (report, ()) = zip(pool.shutdown(Duration::MAX), async {
        for _ in 0..3 {
            meeting.guest().await.release();
        }
    })
    .await;
    assert_eq!(report, self::report(3, 0, 0));
    for handle in handles {
        handle.await.unwrap();
    }
}

#[coreloop::test]
async fn shutting_down_at_once_kills_what_runs() {
    let meeting = Meeting::new();
    let (pool, handles) = busy(&meeting).await;
    let guest = meeting.guest().await;
    let workers = pids(&pool);
    assert_eq!(pool.shutdown(Duration::ZERO).await, report(0, 2, 1));
    let [running, sent, queued] = handles;
    let error = running.await.unwrap_err();
    assert!(error.is_shut_down() && error.has_started());
    assert_eq!(error.worker_pid(), Some(guest.pid));
    for handle in [sent, queued] {
        let error = handle.await.unwrap_err();
        assert!(error.is_shut_down() && !error.has_started());
    }
    assert!(workers.into_iter().all(|pid| !is_there(pid)));
    assert_eq!(pool.metrics().killed, 1);
}

/// What was sent to the worker in part can be neither completed nor taken back.
#[coreloop::test]
async fn a_stopped_worker_that_does_not_read_its_socket_is_killed_at_the_end() {
    let pool = Pool::builder().workers(1).build().unwrap();
    pool.ready().await.unwrap();
    let worker = pids(&pool)[0];
    let process = Pid::from_raw(worker.try_into().unwrap()).unwrap();
    stop(process);
    let job = pool.submit(length, "a".repeat(4 << 20)).await.unwrap();
    yield_until(|| job.worker() == Some(worker)).await;
    let at_once = pool.shutdown(Duration::ZERO);
    assert_eq!(soon(at_once).await, report(0, 1, 0));
    assert!(job.await.unwrap_err().is_shut_down());
}

#[coreloop::test]
async fn a_shutdown_that_is_dropped_kills_nothing() {
    let meeting = Meeting::new();
    let (pool, [first, ..]) = busy(&meeting).await;
    let guest = meeting.guest().await;
    assert!(
        poll_once(pool.shutdown(Duration::from_secs(60)))
            .await
            .is_none()
    );
    assert!(pool.is_closed());
    guest.release();
    first.await.unwrap();
    // Then it has the rest to do.
    meeting.guest().await.release();
    let (report, ()) = zip(pool.shutdown(Duration::MAX), async {
        meeting.guest().await.release();
    })
    .await;
    assert!(report.done >= 1 && report.killed == 0, "{report:?}");
}

#[coreloop::test]
async fn a_pool_that_is_dropped_kills_its_workers() {
    let meeting = Meeting::new();
    let (pool, handles) = busy(&meeting).await;
    let guest = meeting.guest().await;
    let workers = pids(&pool);
    let clone = pool.clone();
    drop(pool);
    assert!(!handles[0].is_finished());
    drop(clone);
    for (handle, has_started) in handles.into_iter().zip([true, false, false]) {
        let error = handle.await.unwrap_err();
        assert!(error.is_shut_down());
        assert_eq!(error.has_started(), has_started);
    }
    for pid in workers {
        yield_until(|| !is_there(pid)).await;
    }
    guest.release();
}

#[coreloop::test]
async fn the_jobs_of_a_closed_pool_whose_workers_died_run_when_new_ones_may_start() {
    let restarts = Restarts::new()
        .max_immediate(0)
        .min_wait(Duration::from_millis(50));
    let pool = Pool::builder()
        .workers(1)
        .prefetch(2)
        .restarts(restarts)
        .build()
        .unwrap();
    let broken = pool.submit(die, ()).await.unwrap();
    let rest = pool.submit(double, 4).await.unwrap();
    pool.close();
    assert!(broken.await.unwrap_err().is_broken_worker());
    // No worker is left, and the next one may not be started yet.
    pool.join().await;
    assert!(rest.is_finished());
    assert_eq!(rest.await.unwrap(), 8);
}

#[test]
fn a_pool_ends_with_its_runtime() {
    let runtime = coreloop::Runtime::new().unwrap();
    let (pool, handles, workers) = runtime.block_on(async {
        let meeting = Meeting::new();
        let (pool, handles) = busy(&meeting).await;
        let guest = meeting.guest().await;
        assert!(is_there(guest.pid));
        let workers = pids(&pool);
        // Its worker waits for it as long as the runtime is there.
        std::mem::forget(guest);
        (pool, handles, workers)
    });
    drop(runtime);
    for handle in handles {
        assert!(coreloop::block_on(handle).unwrap_err().is_shut_down());
    }
    drop(pool);
    for pid in workers {
        // They are collected when the next process starts.
        wait_until(|| {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .map_or(true, |stat| stat.contains(") Z "))
        });
    }
}

#[derive(Debug, Clone, Copy)]
enum End {
    Drop,
    Close,
    ShutDown,
    Wait,
    Runtime,
}

/// Runs jobs and maps for ever, and keeps the handles of the jobs.
async fn run(pool: Pool, handles: Rc<RefCell<Vec<JobHandle<u64>>>>) {
    loop {
        for number in 0..3 {
            let request = pool.job(double, number).timeout(Duration::from_secs(3_600));
            match request.try_submit() {
                Ok(handle) => handles.borrow_mut().push(handle),
                Err(_) => break,
            }
        }
        let map = pool.map(double, 0..20).chunks(3).take(5);
        assert_eq!(map.collect::<Vec<_>>().await.len(), 5);
        drop(pool.submit(double, 1).await);
    }
}

/// Ends a pool after this many polls of a run, and checks that all handles resolve.
fn run_and_end(polls: usize, end: End) {
    let runtime = coreloop::Runtime::new().unwrap();
    let handles = Rc::new(RefCell::new(Vec::new()));
    let pool = runtime.block_on(async {
        let pool = Pool::builder()
            .workers(2)
            .max_jobs(50)
            .queue(16)
            .build()
            .unwrap();
        let mut run = Box::pin(run(pool.clone(), Rc::clone(&handles)));
        let mut left = polls;
        poll_fn(|cx| {
            assert!(run.as_mut().poll(cx).is_pending());
            left = left.saturating_sub(1);
            match left {
                0 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
        match end {
            End::Drop => return None,
            End::Close => pool.close(),
            End::ShutDown => drop(pool.shutdown(Duration::ZERO).await),
            End::Wait => drop(pool.shutdown(Duration::MAX).await),
            End::Runtime => return Some(pool),
        }
        drop(run);
        pool.join().await;
        assert_eq!(pool.metrics().workers, []);
        assert!(handles.borrow().iter().all(JobHandle::is_finished));
        Some(pool)
    });
    let runtime = match end {
        End::Runtime => {
            drop(runtime);
            coreloop::Runtime::new().unwrap()
        }
        _ => runtime,
    };
    for handle in handles.take() {
        match runtime.block_on(handle) {
            Ok(number) => assert!(number < 6),
            Err(error) => assert!(error.is_shut_down(), "{error}"),
        }
    }
    drop(pool);
}

#[test]
fn every_handle_resolves_wherever_the_pool_ends() {
    for polls in 0..100 {
        let end = match polls % 5 {
            0 => End::Drop,
            1 => End::Close,
            2 => End::ShutDown,
            3 => End::Wait,
            _ => End::Runtime,
        };
        run_and_end(polls, end);
    }
}
