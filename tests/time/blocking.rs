//! The paused clock waits for blocking work.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use coreloop::runtime::{Builder, Handle};
use coreloop::task::{spawn_blocking, yield_now};
use coreloop::time::{Instant, sleep};
use coreloop::{Runtime, spawn};

use coreloop_test_support::gate::gate;

const HOUR: Duration = Duration::from_secs(3600);

fn runtime() -> Runtime {
    Builder::new().start_paused(true).build().unwrap()
}

#[test]
fn a_paused_clock_waits_for_blocking_work() {
    let runtime = runtime();
    let order = Rc::new(RefCell::new(Vec::new()));
    let (gate, work) = gate();
    let (by_sleep, by_job) = (Rc::clone(&order), Rc::clone(&order));
    let sleeper = runtime.spawn(async move {
        sleep(HOUR).await;
        by_sleep.borrow_mut().push("sleep");
    });
    let job = runtime.spawn(async move {
        spawn_blocking(work).await.unwrap();
        by_job.borrow_mut().push("job");
    });
    for _ in 0..3 {
        runtime.turn(Some(Duration::from_millis(1))).unwrap();
    }
    gate.wait();
    assert!(
        !sleeper.is_finished(),
        "the clock does not move while the job runs"
    );
    gate.open();
    let start = {
        let _guard = runtime.enter();
        Instant::now()
    };
    runtime.block_on(async {
        job.await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        sleeper.await.unwrap();
        assert_eq!(start.elapsed(), HOUR);
    });
    assert_eq!(*order.borrow(), ["job", "sleep"]);
}

/// The end of the job wakes no task, so it must wake the loop itself.
#[test]
fn time_goes_on_after_a_job_that_no_task_waits_for() {
    for _ in 0..if cfg!(miri) { 3 } else { 100 } {
        let runtime = runtime();
        let (gate, work) = gate();
        drop(runtime.handle().spawn_blocking(work));
        let thread = thread::spawn(move || {
            gate.wait();
            gate.open();
        });
        runtime.block_on(async { sleep(HOUR).await });
        thread.join().unwrap();
    }
}

#[test]
fn time_goes_on_after_an_abort() {
    let runtime = Builder::new()
        .start_paused(true)
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (gate, work) = gate();
    drop(runtime.spawn_blocking(work));
    gate.wait();
    let waiting = runtime.handle().spawn_blocking(|| ());
    waiting.abort();
    gate.open();
    runtime.block_on(async { sleep(HOUR).await });
    runtime.block_on(async { assert!(waiting.await.is_err()) });
}

/// A task that the end of the job wakes runs before the next timer fires.
#[test]
fn no_timer_overtakes_a_finished_job() {
    for _ in 0..if cfg!(miri) { 3 } else { 300 } {
        runtime().block_on(async {
            let slept = Rc::new(Cell::new(false));
            let flag = Rc::clone(&slept);
            drop(spawn(async move {
                sleep(HOUR).await;
                flag.set(true);
                pending::<()>().await;
            }));
            yield_now().await;
            spawn_blocking(|| ()).await.unwrap();
            Handle::current().spawn_blocking(|| ()).await.unwrap();
            assert!(!slept.get());
        });
    }
}
