//! Pools of threads beside the threads of the runtime: their size, their hooks and their end.

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use coreloop::runtime::{Builder, Handle, TaskMeta};
use coreloop::task::{Refusal, ThreadPool, ThreadPoolOptions, yield_now};
use coreloop::time::{Instant, sleep};
use coreloop::{Runtime, block_on, spawn};

use coreloop_test_support::gate::{Gate, gate};
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::on_thread::wait_for;

const HOUR: Duration = Duration::from_secs(3600);

fn options(max_threads: usize) -> ThreadPoolOptions {
    ThreadPoolOptions {
        max_threads,
        name: "mine".to_owned(),
        stack_size: None,
        on_start: None,
        on_stop: None,
    }
}

/// Creates a pool of one thread, which is busy.
fn busy() -> (ThreadPool, Gate) {
    let pool = ThreadPool::new(options(1));
    let (gate, work) = gate();
    drop(pool.spawn(work));
    gate.wait();
    (pool, gate)
}

async fn ended(pool: &ThreadPool) {
    poll_fn(|cx| pool.poll_ended(cx)).await;
}

fn name_of_thread() -> String {
    thread::current().name().unwrap().to_owned()
}

#[test]
fn a_pool_has_threads_of_its_own_up_to_its_maximum() {
    block_on(async {
        let pool = ThreadPool::new(options(2));
        assert_eq!(pool.stats().threads, 0);
        let (gates, work): (Vec<_>, Vec<_>) = (0..2).map(|_| gate()).unzip();
        let jobs: Vec<_> = work.into_iter().map(|work| pool.spawn(work)).collect();
        for gate in &gates {
            gate.wait();
        }
        let third = pool.spawn(name_of_thread);
        let stats = pool.stats();
        assert_eq!((stats.threads, stats.running, stats.queued), (2, 2, 1));
        for gate in gates {
            gate.open();
        }
        for job in jobs {
            job.await.unwrap().unwrap();
        }
        let name = third.await.unwrap().unwrap();
        assert!(["mine-0", "mine-1"].contains(&&*name), "{name}");
        assert_eq!(pool.stats().threads, 2);
    });
}

#[test]
fn a_job_belongs_to_the_runtime_of_its_pool() {
    block_on(async {
        let pool = ThreadPool::new(options(1));
        let job = pool.spawn(|| Handle::current().spawn(|| async { 5 }));
        assert_eq!(job.await.unwrap().unwrap().await.unwrap(), 5);
    });
}

#[test]
fn a_pool_outside_a_runtime_or_without_threads_panics() {
    assert!(catch_unwind(|| ThreadPool::new(options(1))).is_err());
    let none = AssertUnwindSafe(|| block_on(async { ThreadPool::new(options(0)) }));
    assert!(catch_unwind(none).is_err());
}

#[test]
fn each_thread_calls_the_hooks_once() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let record = |what| {
        let calls = Arc::clone(&calls);
        move || calls.lock().unwrap().push((what, name_of_thread()))
    };
    let (start, stop) = (record("start"), record("stop"));
    block_on(async {
        let pool = ThreadPool::new(ThreadPoolOptions {
            on_start: Some(Arc::new(move || {
                start();
                Ok(())
            })),
            on_stop: Some(Arc::new(move || {
                stop();
                panic!("a panic of the hook is caught");
            })),
            ..options(1)
        });
        for _ in 0..3 {
            pool.spawn(record("job")).await.unwrap().unwrap();
        }
        pool.close();
        ended(&pool).await;
        let calls = calls.lock().unwrap();
        assert!(calls.iter().all(|(_, name)| name == "mine-0"));
        let calls: Vec<_> = calls.iter().map(|(call, _)| *call).collect();
        assert_eq!(calls, ["start", "job", "job", "job", "stop"]);
    });
}

#[test]
fn a_failed_initializer_refuses_waiting_and_later_jobs() {
    block_on(async {
        let (gate, work) = gate();
        let work = Mutex::new(Some(work));
        let pool = ThreadPool::new(ThreadPoolOptions {
            on_start: Some(Arc::new(move || {
                let work = work.lock().unwrap().take();
                work.unwrap()();
                Err("no model".to_owned())
            })),
            ..options(1)
        });
        let (send, dropped) = mpsc::channel::<()>();
        let first = pool.spawn(move || send.send(()).unwrap());
        let second = pool.spawn(|| ());
        gate.wait();
        gate.open();
        let refusal = Refusal::Initializer("no model".to_owned());
        assert_eq!(first.await.unwrap(), Err(refusal.clone()));
        assert_eq!(second.await.unwrap(), Err(refusal.clone()));
        assert_eq!(dropped.recv(), Err(RecvError), "the work is dropped");
        assert_eq!(pool.spawn(|| ()).await.unwrap(), Err(refusal));
        ended(&pool).await;
        let stats = pool.stats();
        assert_eq!((stats.threads, stats.running, stats.queued), (0, 0, 0));
    });
}

#[test]
fn a_panic_of_the_initializer_is_a_refusal_with_its_message() {
    block_on(async {
        let on_start = || panic!("no model");
        let pool = ThreadPool::new(ThreadPoolOptions {
            on_start: Some(Arc::new(on_start)),
            ..options(3)
        });
        let jobs: Vec<_> = (0..5).map(|_| pool.spawn(|| ())).collect();
        let refusal = Refusal::Initializer("no model".to_owned());
        for job in jobs {
            assert_eq!(job.await.unwrap(), Err(refusal.clone()));
        }
        ended(&pool).await;
    });
}

/// The first thread runs a job while the second one fails.
#[test]
fn a_job_that_runs_finishes_in_a_broken_pool() {
    block_on(async {
        let started = AtomicUsize::new(0);
        let on_start = move || match started.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err("only one".to_owned()),
        };
        let pool = ThreadPool::new(ThreadPoolOptions {
            on_start: Some(Arc::new(on_start)),
            ..options(2)
        });
        let (gate, work) = gate();
        let running = pool.spawn(move || {
            work();
            1
        });
        gate.wait();
        let refusal = Refusal::Initializer("only one".to_owned());
        assert_eq!(pool.spawn(|| 2).await.unwrap(), Err(refusal));
        gate.open();
        assert_eq!(running.await.unwrap(), Ok(1));
        ended(&pool).await;
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri gives a thread any stack")]
#[cfg_attr(not(target_os = "linux"), ignore = "elsewhere std may refuse the size")]
fn a_thread_that_cannot_be_started_is_a_refusal() {
    block_on(async {
        // More bytes than there are addresses.
        let pool = ThreadPool::new(ThreadPoolOptions {
            stack_size: Some(1 << 60),
            ..options(1)
        });
        for _ in 0..2 {
            let refusal = pool.spawn(|| ()).await.unwrap().unwrap_err();
            assert!(matches!(refusal, Refusal::NoThread(_)), "{refusal}");
            let text = refusal.to_string();
            assert!(text.starts_with("cannot start a thread"), "{text}");
        }
        pool.close();
        ended(&pool).await;
    });
}

#[test]
fn close_runs_the_waiting_jobs_and_takes_no_more() {
    block_on(async {
        let (pool, gate) = busy();
        let waiting = pool.spawn(|| 1);
        pool.close();
        let late = pool.spawn(|| 2);
        assert!(late.await.unwrap_err().is_cancelled());
        let end = spawn(async move { ended(&pool).await });
        yield_now().await;
        assert!(!waiting.is_finished() && !end.is_finished());
        gate.open();
        end.await.unwrap();
        assert!(waiting.is_finished(), "the jobs run before the pool ends");
        assert_eq!(waiting.await.unwrap(), Ok(1));
    });
}

/// A regression: an idle thread that was chosen for a job ended without it if the pool was
/// closed before the thread had woken.
#[test]
fn a_job_of_an_idle_thread_runs_although_the_pool_is_closed() {
    for _ in 0..if cfg!(miri) { 5 } else { 200 } {
        block_on(async {
            let pool = ThreadPool::new(options(1));
            pool.spawn(|| ()).await.unwrap().unwrap();
            let job = pool.spawn(|| 5);
            pool.close();
            assert_eq!(job.await.unwrap(), Ok(5));
            ended(&pool).await;
        });
    }
}

#[test]
fn a_pool_without_threads_ends_at_once() {
    block_on(async {
        let pool = ThreadPool::new(options(1));
        pool.close();
        ended(&pool).await;
        assert!(pool.spawn(|| ()).await.unwrap_err().is_cancelled());
    });
}

#[test]
fn shut_down_cancels_the_waiting_jobs_and_leaves_the_running_one() {
    block_on(async {
        let pool = ThreadPool::new(options(1));
        let (gate, work) = gate();
        let running = pool.spawn(move || {
            work();
            1
        });
        gate.wait();
        let waiting = pool.spawn(|| 2);
        pool.shut_down();
        assert!(waiting.is_finished());
        assert!(waiting.await.unwrap_err().is_cancelled());
        gate.open();
        assert_eq!(running.await.unwrap(), Ok(1));
        ended(&pool).await;
    });
}

#[test]
fn dropping_the_pool_cancels_the_waiting_jobs() {
    block_on(async {
        let (pool, gate) = busy();
        let waiting = pool.spawn(|| ());
        drop(pool);
        assert!(waiting.await.unwrap_err().is_cancelled());
        gate.open();
    });
}

#[test]
fn an_abort_drops_a_waiting_job_and_no_other() {
    block_on(async {
        let (pool, gate) = busy();
        let (send, dropped) = mpsc::channel();
        let guard = OnDrop::new(move || send.send(()).unwrap());
        let jobs: Vec<_> = (0..3).map(|number| pool.spawn(move || number)).collect();
        let aborted = pool.spawn(move || drop(guard));
        let last = pool.spawn(|| 3);
        aborted.abort();
        assert_eq!(dropped.try_recv(), Ok(()), "at once");
        assert!(aborted.await.unwrap_err().is_cancelled());
        gate.open();
        for (number, job) in jobs.into_iter().chain([last]).enumerate() {
            assert_eq!(job.await.unwrap(), Ok(number));
        }
    });
}

#[test]
fn several_tasks_wait_for_the_end() {
    block_on(async {
        let (pool, gate) = busy();
        let pool = Rc::new(pool);
        pool.close();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let pool = Rc::clone(&pool);
                spawn(async move { ended(&pool).await })
            })
            .collect();
        yield_now().await;
        gate.open();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_paused_clock_waits_for_the_jobs_and_the_end_of_a_pool() {
    let runtime = Builder::new().start_paused(true).build().unwrap();
    let (job_gate, job) = gate();
    let (stop_gate, stop) = gate();
    let stop = Mutex::new(Some(stop));
    let on_stop = move || stop.lock().unwrap().take().unwrap()();
    let sleeper = runtime.spawn(async { sleep(HOUR).await });
    let (closed, is_closed) = mpsc::channel();
    let user = runtime.spawn(async move {
        let start = Instant::now();
        let pool = ThreadPool::new(ThreadPoolOptions {
            on_stop: Some(Arc::new(on_stop)),
            ..options(1)
        });
        pool.spawn(job).await.unwrap().unwrap();
        pool.close();
        closed.send(()).unwrap();
        ended(&pool).await;
        start.elapsed()
    });
    let turn = || runtime.turn(Some(Duration::from_millis(1))).unwrap();
    for _ in 0..3 {
        turn();
    }
    job_gate.wait();
    job_gate.open();
    while is_closed.try_recv().is_err() {
        turn();
    }
    stop_gate.wait();
    for _ in 0..3 {
        turn();
    }
    assert!(!sleeper.is_finished());
    stop_gate.open();
    assert_eq!(runtime.block_on(user).unwrap(), Duration::ZERO);
    runtime.block_on(sleeper).unwrap();
}

#[test]
fn the_end_of_the_runtime_closes_its_pools() {
    let runtime = Runtime::new().unwrap();
    let (gate, work) = gate();
    let (pool, running, waiting) = runtime.block_on(async {
        let pool = ThreadPool::new(options(1));
        let running = pool.spawn(work);
        gate.wait();
        let waiting = pool.spawn(|| ());
        (pool, running, waiting)
    });
    drop(runtime);
    assert!(wait_for(waiting).unwrap_err().is_cancelled());
    assert!(!running.is_finished());
    gate.open();
    assert_eq!(wait_for(running).unwrap(), Ok(()));
    assert!(wait_for(pool.spawn(|| ())).unwrap_err().is_cancelled());
    wait_for(ended(&pool));
}

#[test]
fn a_pool_that_a_destructor_creates_while_the_runtime_ends_is_closed() {
    let runtime = Runtime::new().unwrap();
    let (send, receive) = mpsc::channel();
    let guard = OnDrop::new(move || {
        let pool = ThreadPool::new(options(1));
        send.send((pool.spawn(|| ()), pool)).unwrap();
    });
    drop(runtime.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    }));
    runtime.block_on(yield_now());
    drop(runtime);
    let (job, pool) = receive.recv().unwrap();
    // Its thread may have run the job before the pool was closed.
    let _ = wait_for(job);
    assert!(wait_for(pool.spawn(|| ())).unwrap_err().is_cancelled());
    wait_for(ended(&pool));
}

#[test]
fn a_shutdown_waits_for_jobs_and_reports_those_that_are_left() {
    let runtime = Runtime::new().unwrap();
    let (pool, finished) = runtime.block_on(async {
        let pool = ThreadPool::new(options(1));
        let finished = pool.spawn(|| 1);
        (pool, finished)
    });
    let report = runtime.shutdown(Duration::from_secs(60));
    assert!(report.blocking().is_empty());
    assert_eq!(wait_for(finished).unwrap(), Ok(1));
    drop(pool);

    let runtime = Runtime::new().unwrap();
    let (gate, work) = gate();
    let (pool, ids) = runtime.block_on(async {
        let pool = ThreadPool::new(options(1));
        let running = pool.spawn(work);
        gate.wait();
        let waiting = pool.spawn(|| ());
        (pool, [running.id(), waiting.id()])
    });
    let report = runtime.shutdown(Duration::ZERO);
    assert!(report.blocking().iter().map(TaskMeta::id).eq(ids));
    gate.open();
    drop(pool);
}
