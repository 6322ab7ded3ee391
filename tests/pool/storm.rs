//! Workers that are killed all the time, at random. Each worker writes the start and the end
//! of its jobs to a log, with which the outcomes are compared.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use coreloop::pool::{JobError, JobHandle, Pool, job};
use coreloop::process::Restarts;
use coreloop::task::{JoinHandle, spawn, yield_now};
use coreloop::time::sleep;
use coreloop_test_support::folder::Folder;
use coreloop_test_support::meeting::{lines, soon};
use coreloop_test_support::size;
use futures_lite::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Deserializer, Serialize};

/// How long a job takes.
const JOB: Duration = Duration::from_micros(300);

/// Opens the log of this worker, in the folder of all logs.
#[coreloop::job(initializer)]
fn open_log(folder: PathBuf) -> File {
    let mut options = OpenOptions::new();
    let path = folder.join(std::process::id().to_string());
    options.create(true).append(true).open(path).unwrap()
}

/// The number of a job. A worker writes it to the log as soon as it begins to decode it,
/// because a job has started then.
#[derive(Serialize)]
struct Logged(u64);

impl<'de> Deserialize<'de> for Logged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        log('s', number);
        Ok(Self(number))
    }
}

#[coreloop::job]
fn work(number: Logged) -> u64 {
    let start = Instant::now();
    while start.elapsed() < JOB {
        std::hint::spin_loop();
    }
    log('e', number.0);
    number.0 * 3
}

fn log(what: char, number: u64) {
    let file = job::worker_state::<File>();
    // One write, so that no line is cut.
    let line = format!("{what} {number}\n");
    (&*file).write_all(line.as_bytes()).unwrap();
}

/// What the logs say.
#[derive(Default)]
struct Logs {
    /// How often each job was started.
    starts: HashMap<u64, usize>,
    /// The jobs that have come to their end.
    ends: HashSet<u64>,
    /// The job that each worker ran when it ended, if it had written the start and not the
    /// end.
    running: HashMap<u32, u64>,
}

impl Logs {
    fn read(folder: &Path) -> Self {
        let mut logs = Self::default();
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let worker = entry.file_name().to_str().unwrap().parse().unwrap();
            for line in lines(&entry.path()) {
                let (what, number) = line.split_once(' ').unwrap();
                let number = number.parse().unwrap();
                if what == "s" {
                    *logs.starts.entry(number).or_default() += 1;
                    logs.running.insert(worker, number);
                } else {
                    logs.ends.insert(number);
                    logs.running.remove(&worker);
                }
            }
        }
        logs
    }

    fn starts(&self, job: u64) -> usize {
        self.starts.get(&job).copied().unwrap_or(0)
    }
}

/// A pool whose workers are killed.
struct Storm {
    pool: Pool,
    folder: Folder,
    until: Instant,
    killer: JoinHandle<u64>,
}

impl Storm {
    fn start(prefetch: usize, seed: u64) -> Self {
        let folder = Folder::new();
        // Deaths are not the fault of the program here.
        let wait = Duration::from_millis(1);
        let restarts = Restarts::new()
            .max_immediate(u32::MAX)
            .max_failed_starts(u32::MAX)
            .min_wait(wait)
            .max_wait(wait);
        let pool = Pool::builder()
            .workers(3)
            .prefetch(prefetch)
            .queue(256)
            .restarts(restarts)
            .initializer(open_log, folder.as_path().to_owned())
            .build()
            .unwrap();
        let until = Instant::now() + size::pick(Duration::from_secs(2), Duration::from_secs(30));
        let killer = spawn(kill(pool.clone(), until, seed));
        Self {
            pool,
            folder,
            until,
            killer,
        }
    }

    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// Judges the outcomes. `blame` is how many jobs the death of one worker may fail.
    async fn judge(
        self,
        title: &str,
        outcomes: &[(u64, Result<u64, JobError>)],
        blame: usize,
    ) -> Counts {
        let kills = soon(self.killer).await.unwrap();
        let requeued = self.pool.metrics().requeued;
        soon(self.pool.shutdown(Duration::MAX)).await;
        let logs = Logs::read(self.folder.as_path());
        let mut counts = Counts {
            jobs: outcomes.len(),
            kills,
            requeued,
            ..Counts::default()
        };
        let mut blamed: HashMap<u32, Vec<u64>> = HashMap::new();
        for (number, outcome) in outcomes {
            let starts = logs.starts(*number);
            counts.twice += usize::from(starts > 1);
            match outcome {
                Ok(result) => {
                    assert_eq!(*result, number * 3);
                    assert!(logs.ends.contains(number), "job {number} has not ended");
                    counts.retried += usize::from(starts > 1);
                }
                Err(error) => {
                    assert!(error.is_broken_worker() && error.has_started(), "{error}");
                    counts.broken += 1;
                    counts.unlogged += usize::from(starts == 0);
                    counts.unknown += usize::from(logs.ends.contains(number));
                    let worker = error.worker_pid().unwrap();
                    blamed.entry(worker).or_default().push(*number);
                }
            }
        }
        for (worker, jobs) in blamed {
            assert!(
                jobs.len() <= blame,
                "worker {worker} has failed the jobs {jobs:?}"
            );
            // It is the one that ran, and no other.
            if let Some(job) = logs.running.get(&worker) {
                assert_eq!(
                    jobs.last(),
                    Some(job),
                    "worker {worker} has failed {jobs:?}"
                );
            }
        }
        let known = outcomes.len() - counts.unlogged;
        assert_eq!(logs.starts.len(), known, "a job without an outcome ran");
        println!("{title}: {counts}");
        counts
    }
}

/// Kills a worker every 20 to 60 ms, whatever it does. Returns how many.
async fn kill(pool: Pool, until: Instant, seed: u64) -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut kills = 0;
    while Instant::now() < until {
        sleep(Duration::from_micros(random.u64(20_000..60_000))).await;
        let workers = pool.metrics().workers;
        if !workers.is_empty() {
            let worker = workers[random.usize(..workers.len())].pid;
            let worker = Pid::from_raw(worker.try_into().unwrap()).unwrap();
            // The pool collects its workers on this thread, so this is still one of them. It
            // may have been killed before.
            kill_process(worker, Signal::KILL).unwrap();
            kills += 1;
        }
    }
    kills
}

#[derive(Debug, Default)]
struct Counts {
    jobs: usize,
    kills: u64,
    /// Jobs that failed because their worker died.
    broken: usize,
    /// Of these, the jobs that had written their end.
    unknown: usize,
    /// Of these, the jobs that had not written their start: they were marked as started, and
    /// were about to write it.
    unlogged: usize,
    requeued: u64,
    retried: usize,
    twice: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} jobs, {} kills | broken worker {} (end was logged {}, start was not {}) | \
             requeued, never started {} | retried {} | started twice {} | lost or hung 0",
            self.jobs,
            self.kills,
            self.broken,
            self.unknown,
            self.unlogged,
            self.requeued,
            self.retried,
            self.twice,
        )
    }
}

/// Submits jobs while workers are killed, and returns the outcome of each.
async fn run_jobs(
    storm: &Storm,
    submit: impl AsyncFn(&Pool, Logged) -> Result<JobHandle<u64>, JobError>,
) -> Vec<(u64, Result<u64, JobError>)> {
    let mut handles = Vec::new();
    let mut number = 0;
    while storm.goes_on() {
        handles.push((number, submit(&storm.pool, Logged(number)).await.unwrap()));
        number += 1;
        if number % 64 == 0 {
            yield_now().await;
        }
    }
    let mut outcomes = Vec::new();
    for (number, handle) in handles {
        outcomes.push((number, soon(handle).await));
    }
    outcomes
}

/// A kill can come between the mark of a start and its line in the log. If jobs were blamed
/// that had not started, nearly every kill would be such a case.
fn rare(counts: &Counts) -> usize {
    2 + counts.broken / 4
}

async fn single_jobs(prefetch: usize) {
    let storm = Storm::start(prefetch, prefetch as u64);
    let outcomes = run_jobs(&storm, async |pool, number| pool.submit(work, number).await).await;
    let title = format!("single jobs, prefetch {prefetch}");
    let counts = storm.judge(&title, &outcomes, 1).await;
    assert_eq!(counts.twice, 0);
    assert!(counts.unlogged <= rare(&counts), "{counts}");
}

#[coreloop::test]
async fn kills_lose_no_job_and_repeat_none_with_prefetch_1() {
    single_jobs(1).await;
}

#[coreloop::test]
async fn kills_lose_no_job_and_repeat_none_with_prefetch_4() {
    single_jobs(4).await;
}

#[coreloop::test]
async fn kills_lose_no_job_and_repeat_none_with_prefetch_32() {
    single_jobs(32).await;
}

async fn idempotent_jobs(prefetch: usize) {
    let storm = Storm::start(prefetch, prefetch as u64 + 100);
    let outcomes = run_jobs(&storm, async |pool, number| {
        pool.job(work, number)
            .idempotent(true)
            .attempts(4)
            .submit()
            .await
    });
    let outcomes = outcomes.await;
    for (_, outcome) in &outcomes {
        if let Err(error) = outcome {
            assert_eq!(error.attempts(), 4, "{error}");
        }
    }
    let title = format!("idempotent jobs, prefetch {prefetch}");
    let counts = storm.judge(&title, &outcomes, 1).await;
    // A job whose start was not logged once was started twice and logged once.
    assert!(counts.broken <= counts.twice, "{counts}");
}

#[coreloop::test]
async fn idempotent_jobs_survive_kills_with_prefetch_1() {
    idempotent_jobs(1).await;
}

#[coreloop::test]
async fn idempotent_jobs_survive_kills_with_prefetch_4() {
    idempotent_jobs(4).await;
}

#[coreloop::test]
async fn idempotent_jobs_survive_kills_with_prefetch_32() {
    idempotent_jobs(32).await;
}

/// The number of inputs in a chunk.
const CHUNK: usize = 8;

async fn chunks(prefetch: usize, idempotent: bool) {
    let storm = Rc::new(Storm::start(prefetch, prefetch as u64 + 200));
    let still = Rc::clone(&storm);
    let inputs = (0..).map(Logged).take_while(move |_| still.goes_on());
    let map = storm.pool.map(work, inputs).chunks(CHUNK);
    let mut results = map.idempotent(idempotent).attempts(4);
    let mut outcomes = Vec::new();
    while let Some(result) = soon(results.next()).await {
        outcomes.push((outcomes.len() as u64, result));
    }
    drop(results);
    let storm = Rc::into_inner(storm).unwrap();
    let title = format!("chunks, prefetch {prefetch}, idempotent: {idempotent}");
    let counts = storm.judge(&title, &outcomes, CHUNK).await;
    if idempotent {
        for (_, outcome) in &outcomes {
            if let Err(error) = outcome {
                assert_eq!(error.attempts(), 4, "{error}");
            }
        }
    } else {
        assert_eq!(counts.twice, 0);
        assert!(counts.unlogged <= rare(&counts), "{counts}");
    }
}

#[coreloop::test]
async fn kills_lose_no_item_of_a_chunk_and_repeat_none_with_prefetch_1() {
    chunks(1, false).await;
}

#[coreloop::test]
async fn kills_lose_no_item_of_a_chunk_and_repeat_none_with_prefetch_4() {
    chunks(4, false).await;
}

#[coreloop::test]
async fn kills_lose_no_item_of_a_chunk_and_repeat_none_with_prefetch_32() {
    chunks(32, false).await;
}

#[coreloop::test]
async fn idempotent_items_of_chunks_survive_kills() {
    chunks(4, true).await;
}
