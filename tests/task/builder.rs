//! Tasks with names, and `abort_and_wait`.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use coreloop::task::{self, yield_now};
use coreloop::{Runtime, spawn};

/// A value that records that it was dropped.
struct Noted(Rc<Cell<bool>>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[coreloop::test]
async fn a_task_knows_its_name() {
    let named = task::Builder::new()
        .name("courier")
        .spawn(async {
            yield_now().await;
            task::name()
        })
        .unwrap();
    let nameless = spawn(async { task::name() });
    assert_eq!(named.await.unwrap().as_deref(), Some("courier"));
    assert_eq!(nameless.await.unwrap(), None);
    assert_eq!(task::name(), None, "the root has none");
}

#[test]
fn outside_a_task_there_is_no_name() {
    assert_eq!(task::name(), None);
}

#[test]
fn names_need_not_differ_and_are_reported_at_shutdown() {
    let runtime = Runtime::new().unwrap();
    {
        let _guard = runtime.enter();
        for _ in 0..2 {
            let builder = task::Builder::new().name("twin");
            drop(builder.spawn(pending::<()>()).unwrap());
        }
        drop(task::Builder::new().spawn(pending::<()>()).unwrap());
    }
    let report = runtime.shutdown(Duration::ZERO);
    let names: Vec<_> = report.tasks().iter().map(|task| task.name()).collect();
    assert_eq!(names, [Some("twin"), Some("twin"), None]);
}

#[test]
fn a_task_keeps_its_name_when_another_is_aborted() {
    let runtime = Runtime::new().unwrap();
    let (first, second) = {
        let _guard = runtime.enter();
        let spawn = |name| {
            task::Builder::new()
                .name(name)
                .spawn(async {
                    yield_now().await;
                    task::name().map(|name| name.to_string())
                })
                .unwrap()
        };
        (spawn("first"), spawn("second"))
    };
    let kept = runtime.block_on(async {
        first.abort();
        second.await.unwrap()
    });
    assert_eq!(kept.as_deref(), Some("second"));
}

#[test]
fn a_named_task_spawned_on_a_closing_runtime_is_cancelled_at_once() {
    struct Spawns(Rc<Cell<bool>>);

    impl Drop for Spawns {
        fn drop(&mut self) {
            // The runtime is closing: the task is cancelled at once.
            let task = task::Builder::new().name("late").spawn(pending::<()>());
            self.0.set(task.unwrap().is_finished());
        }
    }

    let refused = Rc::new(Cell::new(false));
    let runtime = Runtime::new().unwrap();
    let spawns = Spawns(Rc::clone(&refused));
    drop(runtime.spawn(async move {
        let _spawns = spawns;
        pending::<()>().await;
    }));
    drop(runtime);
    assert!(refused.get());
}

#[test]
#[should_panic(expected = "task::Builder::spawn called outside a coreloop runtime")]
fn a_builder_outside_a_runtime_panics() {
    let _ = task::Builder::new().name("nowhere").spawn(async {});
}

#[coreloop::test]
async fn abort_and_wait_waits_until_the_future_is_dropped() {
    let gone = Rc::new(Cell::new(false));
    let noted = Noted(Rc::clone(&gone));
    let handle = spawn(async move {
        let _noted = noted;
        pending::<()>().await;
    });
    yield_now().await;
    let error = handle.abort_and_wait().await.unwrap_err();
    assert!(error.is_cancelled());
    assert!(gone.get());
}

#[coreloop::test]
async fn abort_and_wait_returns_the_output_of_a_finished_task() {
    let handle = spawn(async { 7 });
    yield_now().await;
    assert_eq!(handle.abort_and_wait().await.unwrap(), 7);
}

#[coreloop::test]
async fn abort_and_wait_aborts_even_if_it_is_not_awaited() {
    let gone = Rc::new(Cell::new(false));
    let noted = Noted(Rc::clone(&gone));
    let handle = spawn(async move {
        let _noted = noted;
        pending::<()>().await;
    });
    yield_now().await;
    drop(handle.abort_and_wait());
    yield_now().await;
    assert!(gone.get());
}
