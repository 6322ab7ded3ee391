//! `ReentrantMutex`: the task that holds the lock may lock it again, and other tasks wait.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use coreloop::sync::{Event, ReentrantMutex, ReentrantMutexGuard};
use coreloop::task::{self, yield_now};
use coreloop_test_support::sequence;

#[test]
fn a_task_locks_again_and_unlocks_with_its_last_guard() {
    coreloop::block_on(async {
        let mutex = Rc::new(ReentrantMutex::new(Cell::new(0)));
        let first = mutex.lock().await;
        let second = mutex.lock().await;
        let third = mutex.try_lock().unwrap();
        third.set(1);
        let other = coreloop::spawn({
            let mutex = Rc::clone(&mutex);
            async move {
                assert!(mutex.try_lock().is_err());
                mutex.lock().await.get()
            }
        });
        drop(first);
        yield_now().await;
        drop(second);
        yield_now().await;
        assert!(!other.is_finished());
        third.set(2);
        drop(third);
        // The lock was granted to the other task, so this task has to wait now.
        assert!(mutex.try_lock().is_err());
        assert_eq!(mutex.lock().await.get(), 2);
        assert_eq!(other.await.unwrap(), 2);
    });
}

/// The lock belongs to the task, so a future of the task that waits in the queue gets it too.
#[test]
fn futures_of_one_task_do_not_exclude_each_other() {
    coreloop::block_on(async {
        let mutex = Rc::new(ReentrantMutex::new(()));
        let other = coreloop::spawn({
            let mutex = Rc::clone(&mutex);
            async move {
                let _guard = mutex.lock().await;
                yield_now().await;
                yield_now().await;
            }
        });
        yield_now().await;
        let inside = Cell::new(0);
        let both_are_inside = Event::new();
        let enter = async || {
            let _guard = mutex.lock().await;
            inside.set(inside.get() + 1);
            if inside.get() == 2 {
                both_are_inside.set();
            }
            both_are_inside.wait().await;
        };
        futures_lite::future::zip(enter(), enter()).await;
        other.await.unwrap();
        assert!(mutex.try_lock().is_ok());
    });
}

#[test]
fn a_task_that_is_dropped_while_it_waits_leaves_the_queue() {
    coreloop::block_on(async {
        let mutex = Rc::new(ReentrantMutex::new(()));
        let guard = mutex.lock().await;
        let lock = || {
            let mutex = Rc::clone(&mutex);
            coreloop::spawn(async move { drop(mutex.lock().await) })
        };
        let (aborted, next) = (lock(), lock());
        yield_now().await;
        drop(guard);
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        next.await.unwrap();
    });
}

#[test]
fn locking_outside_a_task_panics_with_advice() {
    let mutex = ReentrantMutex::new(1);
    let panic = catch_unwind(AssertUnwindSafe(|| mutex.try_lock().is_ok())).unwrap_err();
    let message = panic.downcast_ref::<&str>().unwrap();
    assert!(message.contains("outside a coreloop task"), "{message}");
    assert!(
        catch_unwind(AssertUnwindSafe(|| {
            drop(futures_lite::future::block_on(mutex.lock()));
        }))
        .is_err()
    );
    coreloop::block_on(async { assert_eq!(*mutex.lock().await, 1) });
    let mut mutex = mutex;
    *mutex.get_mut() += 1;
    assert_eq!(
        format!("{mutex:?}"),
        "ReentrantMutex { owner: None, data: 2 }"
    );
    assert_eq!(mutex.into_inner(), 2);
}

#[test]
fn a_task_that_locks_again_still_lets_others_run() {
    coreloop::block_on(async {
        let other = coreloop::spawn(async {});
        let mutex = ReentrantMutex::new(());
        let _guard = mutex.lock().await;
        let mut rounds = 0_u32;
        while !other.is_finished() {
            drop(mutex.lock().await);
            rounds += 1;
            assert!(rounds < 100_000, "the other task never ran");
        }
    });
}

#[derive(Default)]
struct Model {
    owner: Option<task::Id>,
    depth: u32,
    waiting: VecDeque<task::Id>,
}

/// Tasks lock, lock again, unlock and yield at random, while a model records which task
/// holds the lock, and which tasks are next.
#[test]
fn a_reentrant_mutex_agrees_with_its_model() {
    sequence::each(500, |numbers: &[u16]| {
        let numbers: Rc<[u16]> = numbers.into();
        let mutex = Rc::new(ReentrantMutex::new(()));
        let model = Rc::new(RefCell::new(Model::default()));
        coreloop::block_on(async {
            let tasks: Vec<_> = (0..5)
                .map(|number| {
                    let steps: Vec<_> = numbers.iter().copied().skip(number).step_by(5).collect();
                    coreloop::spawn(run(steps, Rc::clone(&mutex), Rc::clone(&model)))
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert!(mutex.try_lock().is_ok());
        });
    });
}

async fn run(steps: Vec<u16>, mutex: Rc<ReentrantMutex<()>>, model: Rc<RefCell<Model>>) {
    let own = task::id();
    let mut guards: Vec<ReentrantMutexGuard<'_, ()>> = Vec::new();
    let unlock = |guard: ReentrantMutexGuard<'_, ()>| {
        {
            let mut model = model.borrow_mut();
            assert_eq!(model.owner, Some(own));
            model.depth -= 1;
            if model.depth == 0 {
                model.owner = model.waiting.pop_front();
                model.depth = 0;
            }
        }
        drop(guard);
    };
    for step in steps {
        match step % 8 {
            0..3 => {
                let waits = {
                    let mut model = model.borrow_mut();
                    let waits = model.owner.is_some_and(|owner| owner != own);
                    if waits {
                        model.waiting.push_back(own);
                    } else {
                        model.owner = Some(own);
                    }
                    waits
                };
                assert_eq!(mutex.try_lock().is_err(), waits);
                guards.push(mutex.lock().await);
                let mut model = model.borrow_mut();
                assert_eq!(model.owner, Some(own), "it was another task's turn");
                model.depth += 1;
            }
            3..6 => {
                if let Some(guard) = guards.pop() {
                    unlock(guard);
                }
            }
            _ => yield_now().await,
        }
    }
    guards.into_iter().for_each(unlock);
}
