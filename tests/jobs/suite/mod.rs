//! One suite for queues of all engines, which each engine runs with a [`Place`] of its own.
//!
//! The tests of engines that need a server are another package, which includes these files too.

mod failures;
mod machines;
mod runs;
mod stops;
mod versions;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coreloop::jobs::{Queue, Worker, WorkerControl, WorkerMetrics};
use coreloop::pool::Pool;
use coreloop::task::JoinHandle;

pub(crate) use failures::*;
pub(crate) use machines::*;
pub(crate) use runs::*;
pub(crate) use stops::*;
pub(crate) use versions::*;

/// An engine with its server, for one test.
pub(crate) trait Place {
    /// Connects to a queue as a new client.
    fn queue(&self, name: &str) -> impl Future<Output = Queue>;

    /// The lease of a worker that must not lose its jobs, while another one has the lease
    /// [`SHORT`].
    fn long(&self) -> Duration {
        LONG
    }
}

/// An engine that other processes can reach.
pub(crate) trait Reachable: Place {
    /// What other processes need to connect.
    fn address(&self) -> String;
}

/// Defines a test for each function of the suite. `$start` is evaluated on a loop, and returns the
/// place, or `None` if its server is not installed.
macro_rules! in_place {
    ($start:expr) => {
        $crate::suite::in_place! {
            $start;
            a_job_runs_and_its_result_has_its_type
            each_of_many_jobs_runs_once_on_several_workers
            a_producer_that_repeats_its_push_stores_one_job
            a_delayed_job_does_not_run_early
            a_result_can_be_waited_for_before_and_after_the_job_has_run
            a_wait_for_a_result_ends_with_its_time
            a_queue_does_not_run_the_jobs_of_another
            a_job_that_takes_longer_than_its_lease_runs_once
            long_jobs_of_two_functions_keep_their_leases
            a_failed_attempt_is_repeated_until_it_succeeds
            a_poison_job_is_dead_after_its_attempts_and_harms_no_other
            a_job_that_panics_or_returns_an_err_is_dead_with_a_text
            an_err_may_be_a_result
            a_job_that_does_not_decode_is_dead_at_once
            a_job_that_takes_too_long_has_failed
            a_dead_letter_can_be_discarded
            a_dead_letter_can_be_put_back
            a_worker_that_stops_finishes_what_runs_and_returns_the_rest
            a_worker_runs_until_its_shutdown_completes
            a_worker_whose_pool_is_closed_returns_its_jobs
            jobs_of_a_worker_that_is_dropped_run_elsewhere
            a_job_that_waits_for_long_behind_another_runs_elsewhere
            a_worker_leases_only_versions_that_it_has
            a_result_decodes_with_an_added_field
        }
    };
    ($start:expr; $($test:ident)*) => {
        $(
            #[test]
            fn $test() {
                coreloop::block_on(async {
                    if let Some(place) = $start {
                        $crate::suite::$test(&place).await;
                    }
                });
            }
        )*
    };
}
pub(crate) use in_place;

/// Defines a test for each function of the suite that needs worker machines, which are processes
/// here. `$connect` is a function that connects to an address, and opens a queue.
macro_rules! on_machines {
    ($start:expr, $connect:path) => {
        $crate::suite::in_place! {
            $start;
            jobs_of_a_machine_that_was_killed_run_elsewhere
            a_machine_that_was_stopped_stores_no_result_of_a_job_that_was_taken
            no_job_is_lost_while_machines_are_killed
        }

        /// The machines of the other tests. Among them, it does nothing.
        #[test]
        fn suite_machine() {
            $crate::suite::machine($connect);
        }
    };
}
pub(crate) use on_machines;

/// Long enough that a worker which runs never loses it, however slow the machine.
const LONG: Duration = Duration::from_secs(60);

/// A lease that ends while a test waits.
pub(crate) const SHORT: Duration = Duration::from_millis(800);

fn pool(workers: u32) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

/// A worker with the options of most tests: it reports nothing to the standard error, and repeats
/// failed attempts soon.
fn worker(queue: &Queue, pool: &Pool) -> Worker {
    let soon = Duration::from_millis(5);
    queue
        .worker()
        .jobs_of(pool)
        .lease(LONG)
        .backoff(soon, soon)
        .on_event(|_| ())
}

/// A worker that runs as a task.
struct Running {
    control: WorkerControl,
    task: JoinHandle<Result<WorkerMetrics, coreloop::jobs::Error>>,
}

impl Running {
    fn start(worker: Worker) -> Self {
        let control = worker.control();
        let task = coreloop::spawn(worker.run());
        Self { control, task }
    }

    async fn stop(self) -> WorkerMetrics {
        self.control.stop();
        self.task.await.unwrap().unwrap()
    }

    /// Ends the worker without an orderly end.
    async fn abort(self) {
        self.task.abort();
        assert!(self.task.await.is_err());
    }
}

/// A file to which jobs of all processes append lines.
struct Log {
    folder: coreloop_test_support::folder::Folder,
}

impl Log {
    fn new() -> Self {
        let folder = coreloop_test_support::folder::Folder::new();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path("log")
    }

    fn lines(&self) -> Vec<String> {
        coreloop_test_support::meeting::lines(&self.path())
    }
}

/// Appends a line in one write.
fn append(path: &Path, line: &str) {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).append(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}
