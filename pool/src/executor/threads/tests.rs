//! Tests of jobs on threads.

use std::cell::Cell;
use std::io;
use std::panic::panic_any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;

use coreloop_runtime::block_on;
use coreloop_runtime::task::Refusal;
use coreloop_test_support::gate::{Gate, gate};
use coreloop_test_support::on_drop::OnDrop;

use super::{Initializer, ThreadFailure, ThreadJob, Threads};
use crate::job;
use crate::job::context::{Context, Sink, Stage};
use crate::job::encoded::Encoded;
use crate::job::worker_state::WorkerState;

fn threads(count: usize) -> Threads {
    Threads::new(count, "job".to_owned(), None)
}

/// Creates one thread with this initializer.
fn initialized(initializer: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Threads {
    let initializer: Initializer = Arc::new(initializer);
    Threads::new(1, "job".to_owned(), Some(initializer))
}

/// Creates one thread, which is busy.
fn busy() -> (Threads, Gate) {
    let threads = threads(1);
    let (gate, work) = gate();
    drop(threads.spawn(None, work));
    gate.wait();
    (threads, gate)
}

/// Waits until `is_cancelled` returns true.
fn until_cancelled() {
    while !job::is_cancelled() {
        thread::yield_now();
    }
}

#[test]
fn a_job_knows_its_id_and_that_it_has_one_attempt() {
    block_on(async {
        let threads = threads(2);
        let jobs: Vec<_> = (0..20)
            .map(|_| threads.spawn(None, || (job::id(), job::attempt())))
            .collect();
        for (number, job) in (1..).zip(jobs) {
            assert_eq!(job.await.unwrap(), (Some(number), Some(1)));
        }
    });
}

#[test]
fn a_panic_is_returned_with_its_payload_and_the_thread_stays() {
    block_on(async {
        let threads = threads(1);
        let failed: ThreadJob<()> = threads.spawn(None, || panic_any(5));
        let Err(ThreadFailure::Panicked(payload)) = failed.await else {
            panic!("it panicked");
        };
        assert_eq!(*payload.downcast::<i32>().unwrap(), 5);
        let after = threads.spawn(None, || {
            (job::id(), thread::current().name() == Some("job-0"))
        });
        assert_eq!(after.await.unwrap(), (Some(2), true));
    });
}

#[test]
fn an_aborted_job_that_waits_never_runs() {
    block_on(async {
        let (threads, gate) = busy();
        let before = threads.spawn(None, || 1);
        let aborted = threads.spawn(None, || unreachable!("it was aborted"));
        let after = threads.spawn(None, || 2);
        assert_eq!(aborted.abort(), Some(Stage::Waiting));
        assert!(aborted.is_finished() && !aborted.is_started());
        assert!(matches!(aborted.await, Err(ThreadFailure::Aborted)));
        assert!(!before.is_started());
        gate.open();
        assert_eq!(before.await.unwrap(), 1);
        assert_eq!(after.await.unwrap(), 2);
    });
}

#[test]
fn an_aborted_job_that_runs_is_asked_to_end_and_returns_its_result() {
    block_on(async {
        let threads = threads(2);
        let (gate, work) = gate();
        let job = threads.spawn(None, move || {
            work();
            until_cancelled();
            5
        });
        gate.wait();
        gate.open();
        assert!(job.is_started() && !job.is_finished());
        assert_eq!(job.abort(), Some(Stage::Running));
        let other = threads.spawn(None, job::is_cancelled);
        assert_eq!(job.await.unwrap(), 5);
        assert!(!other.await.unwrap(), "another job is not cancelled");
    });
}

/// Records the progress of jobs.
#[derive(Default)]
struct Reports(Mutex<Vec<(u64, Vec<u8>)>>);

impl Sink for Reports {
    fn send(&self, job: &Context, value: Encoded) -> io::Result<()> {
        self.0.lock().unwrap().push((job.id, value.bytes));
        Ok(())
    }
}

#[test]
fn progress_goes_to_the_sink_of_its_job() {
    block_on(async {
        let threads = threads(1);
        let reports = Arc::new(Reports::default());
        let sink = Arc::clone(&reports) as Arc<dyn Sink + Send + Sync>;
        let with = threads.spawn(Some(sink), || job::progress(&7_u8).unwrap());
        let without = threads.spawn(None, || job::progress(&8_u8).unwrap());
        with.await.unwrap();
        without.await.unwrap();
        assert_eq!(*reports.0.lock().unwrap(), [(1, vec![7])]);
    });
}

/// A closure that is called when the state of a thread is dropped.
type AtEnd = OnDrop<Box<dyn FnOnce()>>;

#[test]
fn each_thread_has_a_state_that_need_not_be_send() {
    block_on(async {
        let made = Arc::new(AtomicUsize::new(0));
        let (send, dropped) = mpsc::channel();
        let initializer: Initializer = Arc::new({
            let made = Arc::clone(&made);
            move || {
                made.fetch_add(1, Ordering::Relaxed);
                let send = send.clone();
                let at_end: AtEnd = OnDrop::new(Box::new(move || {
                    send.send(thread::current().id()).unwrap();
                    panic!("a panic of the destructor is caught");
                }));
                WorkerState::new((Cell::new(0_u32), at_end)).install();
                Ok(())
            }
        });
        let threads = Threads::new(2, "job".to_owned(), Some(initializer));
        let count = || {
            let state = job::worker_state::<(Cell<u32>, AtEnd)>();
            state.0.set(state.0.get() + 1);
            (thread::current().id(), state.0.get())
        };
        let both = Arc::new(std::sync::Barrier::new(2));
        let jobs: Vec<_> = (0..2)
            .map(|_| {
                let both = Arc::clone(&both);
                threads.spawn(None, move || {
                    both.wait();
                    count()
                })
            })
            .collect();
        let mut ids = Vec::new();
        for job in jobs {
            let (id, jobs) = job.await.unwrap();
            assert_eq!(jobs, 1);
            ids.push(id);
        }
        let (id, jobs) = threads.spawn(None, count).await.unwrap();
        assert!(ids.contains(&id));
        assert_eq!(jobs, 2);
        assert_eq!(made.load(Ordering::Relaxed), 2);
        threads.close();
        threads.ended().await;
        let mut ended: Vec<_> = dropped.try_iter().collect();
        ended.sort_by_key(|id| ids.iter().position(|own| own == id));
        assert_eq!(ended, ids, "the states are dropped on their threads");
    });
}

#[test]
fn a_failed_initializer_fails_all_jobs() {
    block_on(async {
        let threads = initialized(|| Err("no model".to_owned()));
        let jobs: Vec<_> = (0..3).map(|_| threads.spawn(None, || ())).collect();
        let expected = Refusal::Initializer("no model".to_owned());
        for job in jobs {
            let failure = job.await.unwrap_err();
            assert!(matches!(failure, ThreadFailure::Refused(found) if found == expected));
        }
        let late = threads.spawn(None, || ());
        assert!(matches!(late.await, Err(ThreadFailure::Refused(_))));
        threads.ended().await;
    });
}

#[test]
fn an_initializer_that_panics_fails_all_jobs_with_its_message() {
    block_on(async {
        let threads = initialized(|| panic!("no model"));
        let failure = threads.spawn(None, || ()).await.unwrap_err();
        let ThreadFailure::Refused(refusal) = failure else {
            panic!("unexpected: {failure:?}");
        };
        let text = refusal.to_string();
        assert_eq!(text, "the initializer of a thread failed: no model");
    });
}

#[test]
fn close_runs_the_jobs_that_wait() {
    block_on(async {
        let (threads, gate) = busy();
        let waiting = threads.spawn(None, || 1);
        threads.close();
        let late = threads.spawn(None, || 2);
        assert!(matches!(late.await, Err(ThreadFailure::ShutDown)));
        gate.open();
        threads.ended().await;
        assert!(waiting.is_finished());
        assert_eq!(waiting.await.unwrap(), 1);
    });
}

#[test]
fn shut_down_fails_the_jobs_that_wait_and_cancels_those_that_run() {
    block_on(async {
        let threads = threads(1);
        let (gate, work) = gate();
        let running = threads.spawn(None, move || {
            work();
            until_cancelled();
            1
        });
        gate.wait();
        gate.open();
        let waiting = threads.spawn(None, || 2);
        assert_eq!(threads.shut_down(), (1, 1));
        assert!(matches!(waiting.await, Err(ThreadFailure::ShutDown)));
        threads.ended().await;
        assert_eq!(running.await.unwrap(), 1);
        assert_eq!(threads.finished(), 1);
    });
}

#[test]
fn dropping_the_threads_is_a_shutdown() {
    block_on(async {
        let threads = threads(1);
        let (gate, work) = gate();
        let running = threads.spawn(None, move || {
            work();
            until_cancelled();
        });
        gate.wait();
        gate.open();
        let waiting = threads.spawn(None, || ());
        drop(threads);
        running.await.unwrap();
        assert!(matches!(waiting.await, Err(ThreadFailure::ShutDown)));
    });
}

/// The threads end at each of the moments of a run, and every job resolves.
#[test]
fn every_job_resolves_whenever_the_threads_end() {
    for spawned in 0..30 {
        let shut_down: fn(&Threads) = |threads| {
            threads.shut_down();
        };
        for how in [Threads::close, shut_down, |_: &Threads| ()] {
            block_on(async {
                let threads = threads(2);
                let ran = Arc::new(AtomicUsize::new(0));
                let spawn = |_| {
                    let ran = Arc::clone(&ran);
                    threads.spawn(None, move || ran.fetch_add(1, Ordering::Relaxed))
                };
                let mut jobs: Vec<_> = (0..spawned).map(spawn).collect();
                how(&threads);
                jobs.extend((spawned..30).map(spawn));
                drop(threads);
                let mut results = 0;
                for job in jobs {
                    match job.await {
                        Ok(_) => results += 1,
                        Err(failure) => assert!(matches!(failure, ThreadFailure::ShutDown)),
                    }
                }
                assert_eq!(results, ran.load(Ordering::Relaxed));
            });
        }
    }
}
