//! Aborts: from the task itself, its loop, other threads, and too late.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;

use coreloop::task::{AbortHandle, yield_now};
use coreloop::{Runtime, block_on, spawn};

use coreloop_test_support::on_drop::OnDrop;

const ROUNDS: usize = if cfg!(miri) { 5 } else { 500 };

#[test]
fn a_task_aborted_before_its_first_poll_never_runs() {
    block_on(async {
        let ran = Rc::new(Cell::new(false));
        let flag = Rc::clone(&ran);
        let handle = spawn(async move { flag.set(true) });
        handle.abort();
        assert!(!handle.is_finished(), "an abort only schedules the task");
        assert!(handle.await.unwrap_err().is_cancelled());
        assert!(!ran.get());
    });
}

#[test]
fn an_aborted_task_drops_its_future_later_on_its_loop() {
    block_on(async {
        let dropped = Rc::new(Cell::new(false));
        let flag = Rc::clone(&dropped);
        let handle = spawn(async move {
            let _guard = OnDrop::new(move || flag.set(true));
            pending::<()>().await;
        });
        yield_now().await;
        handle.abort();
        handle.abort();
        assert!(!dropped.get(), "not dropped inside the call");
        assert!(handle.await.unwrap_err().is_cancelled());
        assert!(dropped.get());
    });
}

#[test]
fn an_abort_after_the_end_changes_nothing() {
    block_on(async {
        let handle = spawn(async { 3 });
        let abort = handle.abort_handle();
        yield_now().await;
        handle.abort();
        abort.abort();
        assert!(abort.is_finished());
        assert_eq!(handle.await.unwrap(), 3);
        abort.abort();
        assert!(abort.clone().is_finished());
    });
}

/// The task has woken itself when it is aborted, and is not polled again.
#[test]
fn an_abort_beats_a_wake_that_is_queued() {
    block_on(async {
        let polls = Rc::new(Cell::new(0));
        let count = Rc::clone(&polls);
        let handle = spawn(poll_fn(move |context| {
            count.set(count.get() + 1);
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        yield_now().await;
        handle.abort();
        assert!(handle.await.unwrap_err().is_cancelled());
        assert_eq!(polls.get(), 1);
    });
}

#[test]
fn a_task_that_aborts_itself_ends_at_its_next_wait() {
    block_on(async {
        let own: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
        let reached = Rc::new(Cell::new(false));
        let handle = spawn({
            let (own, reached) = (Rc::clone(&own), Rc::clone(&reached));
            async move {
                own.borrow().as_ref().unwrap().abort();
                reached.set(true);
                yield_now().await;
                unreachable!("polled after it aborted itself");
            }
        });
        *own.borrow_mut() = Some(handle.abort_handle());
        assert!(handle.await.unwrap_err().is_cancelled());
        assert!(reached.get());
    });
}

#[test]
fn a_task_that_aborts_itself_and_returns_is_not_cancelled() {
    block_on(async {
        let own: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
        let inner = Rc::clone(&own);
        let handle = spawn(async move {
            inner.borrow().as_ref().unwrap().abort();
            "done"
        });
        *own.borrow_mut() = Some(handle.abort_handle());
        assert_eq!(handle.await.unwrap(), "done");
    });
}

/// The future is `!Send`: it must be dropped on its own thread, whichever thread aborts
/// it.
#[test]
fn a_foreign_abort_drops_the_future_on_the_loop() {
    block_on(async {
        for _ in 0..ROUNDS {
            let home = thread::current().id();
            let dropped = Rc::new(Cell::new(false));
            let flag = Rc::clone(&dropped);
            let handle = spawn(async move {
                let _guard = OnDrop::new(move || {
                    assert_eq!(thread::current().id(), home);
                    flag.set(true);
                });
                pending::<()>().await;
            });
            let abort = handle.abort_handle();
            let thread = thread::spawn(move || {
                abort.abort();
                abort.abort();
            });
            assert!(handle.await.unwrap_err().is_cancelled());
            assert!(dropped.get());
            thread.join().unwrap();
        }
    });
}

/// Several threads abort, and one wakes, while the task ends by itself.
#[test]
fn aborts_race_with_the_end_of_the_task() {
    let runtime = Runtime::new().unwrap();
    for _ in 0..ROUNDS {
        let handle = runtime.spawn(async {
            for _ in 0..3 {
                yield_now().await;
            }
        });
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let abort = handle.abort_handle();
                thread::spawn(move || {
                    abort.abort();
                    abort.is_finished()
                })
            })
            .collect();
        let abort = handle.abort_handle();
        match runtime.block_on(handle) {
            Ok(()) => {}
            Err(error) => assert!(error.is_cancelled()),
        }
        assert!(abort.is_finished());
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn a_foreign_abort_races_with_the_end_of_the_runtime() {
    for _ in 0..ROUNDS {
        let runtime = Runtime::new().unwrap();
        let dropped = Rc::new(Cell::new(0));
        let (go, ready) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let count = Rc::clone(&dropped);
                let guard = OnDrop::new(move || count.set(count.get() + 1));
                let handle = runtime.spawn(async move {
                    let _guard = guard;
                    pending::<()>().await;
                });
                let abort = handle.abort_handle();
                let (go, ready) = (Arc::clone(&go), Arc::clone(&ready));
                thread::spawn(move || {
                    ready.fetch_add(1, Ordering::Relaxed);
                    while !go.load(Ordering::Relaxed) {
                        thread::yield_now();
                    }
                    abort.abort();
                    abort.clone().abort();
                })
            })
            .collect();
        while ready.load(Ordering::Relaxed) < 2 {
            thread::yield_now();
        }
        go.store(true, Ordering::Relaxed);
        drop(runtime);
        assert_eq!(dropped.get(), 2);
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn an_abort_handle_may_outlive_its_thread() {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Runtime::new().unwrap();
        let handle = runtime.spawn(pending::<()>());
        send.send(handle.abort_handle()).unwrap();
    })
    .join()
    .unwrap();
    let abort: AbortHandle = receive.recv().unwrap();
    assert!(abort.is_finished());
    abort.abort();
    assert!(format!("{abort:?}").contains("AbortHandle"));
}

#[test]
fn a_task_aborts_another_that_is_queued_after_it() {
    block_on(async {
        let abort: Rc<RefCell<Option<AbortHandle>>> = Rc::default();
        let first = spawn({
            let abort = Rc::clone(&abort);
            async move { abort.borrow().as_ref().unwrap().abort() }
        });
        let second = spawn(async { unreachable!("aborted before its turn") });
        *abort.borrow_mut() = Some(second.abort_handle());
        first.await.unwrap();
        let error: Result<(), _> = second.await;
        assert!(error.unwrap_err().is_cancelled());
    });
}
