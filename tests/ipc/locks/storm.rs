//! Processes that are killed, and requests that are withdrawn, at random. Each process writes to a
//! log when it has the lock and when it is about to release it.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use coreloop::ipc::{Mutex, Semaphore};
use coreloop::pool::Pool;
use coreloop::process::Restarts;
use coreloop::time::sleep;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::meeting::{lines, soon};
use coreloop_test_support::size;
use rustix::process::{Pid, Signal, kill_process};

use super::locked;

const WORKERS: u32 = 4;

thread_local! {
    static LOG: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Writes a line, in one write.
fn log(path: &PathBuf, what: &str, fencing: u64) {
    LOG.with_borrow_mut(|log| {
        let log = log.get_or_insert_with(|| {
            let mut options = OpenOptions::new();
            options.create(true).append(true).open(path).unwrap()
        });
        let line = format!("{what} {fencing} {}\n", std::process::id());
        log.write_all(line.as_bytes()).unwrap();
    });
}

/// Locks several times in several tasks, and gives up now and then. Returns how often it had the
/// lock.
#[coreloop::job]
async fn compete(lock: Mutex, permits: Semaphore, path: PathBuf) -> u32 {
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let (lock, permits, path) = (lock.clone(), permits.clone(), path.clone());
        tasks.push(coreloop::spawn(async move {
            let mut had = 0;
            for _ in 0..10 {
                let permit = permits.acquire_many(2).await.unwrap();
                let limit = Duration::from_micros(fastrand::u64(0..400));
                if let Ok((guard, _)) = locked(lock.lock_timeout(limit).await) {
                    log(&path, "has", guard.fencing());
                    std::hint::black_box(0);
                    log(&path, "releases", guard.fencing());
                    had += 1;
                }
                drop(permit);
            }
            had
        }));
    }
    let mut had = 0;
    for task in tasks {
        had += task.await.unwrap();
    }
    if let Ok((guard, _)) = locked(lock.blocking_lock()) {
        log(&path, "has", guard.fencing());
        log(&path, "releases", guard.fencing());
        had += 1;
    }
    had
}

#[coreloop::test]
async fn two_processes_never_have_the_lock_at_once() {
    let folder = Folder::new();
    let path = folder.path("log");
    let wait = Duration::from_millis(1);
    let restarts = Restarts::new()
        .max_immediate(u32::MAX)
        .max_failed_starts(u32::MAX)
        .min_wait(wait)
        .max_wait(wait);
    let builder = Pool::builder().workers(WORKERS).restarts(restarts);
    let pool = builder.build().unwrap();
    let lock = Mutex::new().unwrap();
    let permits = Semaphore::new(20).unwrap();
    let until = Instant::now() + size::pick(Duration::from_secs(2), Duration::from_secs(30));
    let killer = coreloop::spawn(kill(pool.clone(), until));
    let mut had = 0;
    let mut jobs = Vec::new();
    while Instant::now() < until {
        let arguments = (lock.clone(), permits.clone(), path.clone());
        jobs.push(pool.submit(compete, arguments).await.unwrap());
        if jobs.len() >= 8 {
            had += soon(jobs.remove(0)).await.unwrap_or(0);
        }
    }
    for job in jobs {
        had += soon(job).await.unwrap_or(0);
    }
    let kills = soon(killer).await.unwrap();
    soon(pool.shutdown(Duration::MAX)).await;
    // Whatever was held is back.
    drop(locked(soon(lock.lock()).await).unwrap());
    drop(soon(permits.acquire_many(20)).await.unwrap());
    judge(&lines(&path), had);
    println!("the lock was granted {had} times to jobs that returned, {kills} were killed");
}

/// Kills a worker every 5 to 30 ms, whatever it does. Returns how many.
async fn kill(pool: Pool, until: Instant) -> u64 {
    let mut random = fastrand::Rng::with_seed(7);
    let mut kills = 0;
    while Instant::now() < until {
        sleep(Duration::from_micros(random.u64(5_000..30_000))).await;
        let workers = pool.metrics().workers;
        if !workers.is_empty() {
            let worker = workers[random.usize(..workers.len())].pid;
            let worker = Pid::from_raw(worker.try_into().unwrap()).unwrap();
            kill_process(worker, Signal::KILL).unwrap();
            kills += 1;
        }
    }
    kills
}

/// A process that has the lock releases it, or dies with it, before another one has it.
fn judge(lines: &[String], had: u32) {
    let mut last = 0;
    let mut open: Option<(u64, &str)> = None;
    let mut granted = 0;
    for line in lines {
        let words: Vec<_> = line.split(' ').collect();
        let [what, fencing, pid] = words[..] else {
            panic!("a garbled line: {line}");
        };
        let fencing: u64 = fencing.parse().unwrap();
        if what == "has" {
            assert!(fencing > last, "{fencing} after {last}");
            last = fencing;
            granted += 1;
            if let Some((_, dead)) = open {
                assert_ne!(dead, pid, "the process {pid} lives and has the lock twice");
            }
            open = Some((fencing, pid));
        } else {
            assert_eq!(open, Some((fencing, pid)), "another process was between");
            open = None;
        }
    }
    assert!(granted >= had);
    assert!(had > 0);
}
