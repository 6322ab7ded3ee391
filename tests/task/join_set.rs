//! `JoinSet`: tasks that are joined as they finish, and aborted with the set.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use coreloop::cleanup::defer;
use coreloop::task::{self, JoinSet, yield_now};
use coreloop::time::{Instant, sleep};
use coreloop::{Runtime, spawn};
use coreloop_test_support::deadline::yield_until;
use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::trace::TICK;

#[coreloop::test(start_paused = true)]
async fn tasks_are_joined_in_the_order_in_which_they_finish() {
    let mut set = JoinSet::new();
    for seconds in [3, 1, 2] {
        set.spawn(async move {
            sleep(Duration::from_secs(seconds)).await;
            seconds
        });
    }
    let mut order = Vec::new();
    while let Some(result) = set.join_next().await {
        order.push(result.unwrap());
        assert_eq!(set.len(), 3 - order.len());
    }
    assert_eq!(order, [1, 2, 3]);
    assert!(set.is_empty());
}

#[coreloop::test]
async fn an_empty_set_has_no_task_to_join() {
    let mut set = JoinSet::<()>::new();
    assert!(set.join_next().await.is_none());
    assert!(set.join_next_with_id().await.is_none());
    assert!(set.try_join_next().is_none());
    assert!(set.try_join_next_with_id().is_none());
    set.abort_all();
    set.detach_all();
    set.shutdown().await;
    assert!(set.join_all().await.is_empty());
}

#[coreloop::test]
async fn outputs_need_not_be_send() {
    let mut set = JoinSet::default();
    let shared = Rc::new(5);
    set.spawn({
        let shared = Rc::clone(&shared);
        async move { shared }
    });
    assert!(Rc::ptr_eq(
        &set.join_next().await.unwrap().unwrap(),
        &shared
    ));
}

#[coreloop::test]
async fn ids_and_aborts_name_the_task() {
    let mut set = JoinSet::new();
    let stays = set.spawn(async {
        yield_now().await;
        task::id()
    });
    let goes = set.spawn(pending());
    goes.abort();
    let mut seen = Vec::new();
    while let Some(result) = set.join_next_with_id().await {
        match result {
            Ok((id, output)) => {
                assert_eq!(id, output);
                seen.push(id);
            }
            Err(error) => {
                assert!(error.is_cancelled());
                seen.push(error.id());
            }
        }
    }
    seen.sort();
    assert_eq!(seen, [stays.id(), goes.id()]);
    assert!(stays.is_finished() && goes.is_finished());
}

#[coreloop::test]
async fn try_join_next_takes_only_finished_tasks() {
    let mut set = JoinSet::new();
    set.spawn(async { 1 });
    set.spawn(pending());
    assert!(set.try_join_next().is_none(), "no task has run yet");
    yield_now().await;
    assert_eq!(set.try_join_next().unwrap().unwrap(), 1);
    assert!(set.try_join_next().is_none());
    assert_eq!(set.len(), 1);
}

#[coreloop::test]
async fn a_panic_is_joined_like_an_output() {
    let mut set = JoinSet::new();
    set.spawn(async { panic!("in a member") });
    set.spawn(async {});
    let mut panics = 0;
    while let Some(result) = set.join_next().await {
        if let Err(error) = result {
            assert!(error.is_panic());
            panics += 1;
        }
    }
    assert_eq!(panics, 1);
}

#[coreloop::test]
async fn dropping_the_set_aborts_its_tasks() {
    let gone = Rc::new(Cell::new(0));
    let mut set = JoinSet::new();
    for _ in 0..3 {
        let gone = Rc::clone(&gone);
        set.spawn(async move {
            let _guard = OnDrop::new(|| gone.set(gone.get() + 1));
            pending::<()>().await;
        });
    }
    yield_now().await;
    drop(set);
    yield_now().await;
    assert_eq!(gone.get(), 3);
}

#[coreloop::test]
async fn detached_tasks_keep_running_and_are_not_joined() {
    let done = Rc::new(Cell::new(0));
    let mut set = JoinSet::new();
    for _ in 0..3 {
        let done = Rc::clone(&done);
        set.spawn(async move {
            yield_now().await;
            done.set(done.get() + 1);
        });
    }
    set.detach_all();
    assert!(set.is_empty());
    // This task takes the place of a detached one in the set.
    set.spawn(async {
        for _ in 0..5 {
            yield_now().await;
        }
    });
    set.join_next().await.unwrap().unwrap();
    assert_eq!(done.get(), 3);
    assert!(set.join_next().await.is_none());
}

#[coreloop::test]
async fn a_shutdown_waits_until_every_future_is_dropped() {
    let gone = Rc::new(Cell::new(0));
    let mut set = JoinSet::new();
    for _ in 0..3 {
        let gone = Rc::clone(&gone);
        set.spawn(async move {
            let _guard = OnDrop::new(|| gone.set(gone.get() + 1));
            pending::<()>().await;
        });
    }
    set.spawn(async { panic!("seen by the shutdown only") });
    yield_now().await;
    set.shutdown().await;
    assert_eq!(gone.get(), 3);
    assert!(set.is_empty());
}

#[coreloop::test]
async fn join_all_returns_all_outputs() {
    let set: JoinSet<_> = (0..100).map(|number| async move { number }).collect();
    let mut outputs = set.join_all().await;
    outputs.sort_unstable();
    assert!(outputs.into_iter().eq(0..100));
}

#[test]
fn join_all_propagates_a_panic_and_aborts_the_other_tasks() {
    let gone = Rc::new(Cell::new(false));
    let runtime = Runtime::new().unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let mut set = JoinSet::new();
            let gone = Rc::clone(&gone);
            set.spawn(async move {
                let _guard = OnDrop::new(|| gone.set(true));
                pending::<()>().await;
            });
            set.spawn(async { panic!("of a member") });
            set.join_all().await;
        });
    }));
    let panic = panic.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"of a member"));
    runtime.block_on(yield_now());
    assert!(gone.get());
}

#[test]
fn join_all_panics_for_an_aborted_member() {
    let panic = catch_unwind(|| {
        coreloop::block_on(async {
            let mut set = JoinSet::new();
            set.spawn(pending::<()>()).abort();
            set.join_all().await;
        });
    });
    let panic = panic.unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("was cancelled"), "{text}");
}

#[coreloop::test]
async fn a_dropped_join_loses_no_task() {
    let mut set: JoinSet<_> = [1, 2, 3]
        .map(|number| async move { number })
        .into_iter()
        .collect();
    let mut sum = 0;
    while !set.is_empty() {
        let mut join = Box::pin(set.join_next());
        let polled = poll_fn(|context| Poll::Ready(join.as_mut().poll(context))).await;
        drop(join);
        if let Poll::Ready(Some(result)) = polled {
            sum += result.unwrap();
        }
        yield_now().await;
    }
    assert_eq!(sum, 6);
}

#[coreloop::test]
#[cfg_attr(miri, ignore = "other tests join fewer tasks in the same way")]
async fn members_may_be_added_while_others_are_joined() {
    let mut set = JoinSet::new();
    let members = if cfg!(miri) { 50_u32 } else { 1000 };
    set.spawn(async move { members });
    let mut joined = 0;
    while let Some(result) = set.join_next().await {
        joined += 1;
        if let Some(left) = result.unwrap().checked_sub(1) {
            set.extend([async move { left }]);
        }
    }
    assert_eq!(joined, members + 1);
}

#[coreloop::test]
#[cfg_attr(miri, ignore = "hundreds of tasks, to use up five budgets")]
async fn a_set_that_is_never_empty_lets_others_run() {
    let others = Rc::new(Cell::new(0));
    let counter = spawn({
        let others = Rc::clone(&others);
        async move {
            loop {
                others.set(others.get() + 1);
                yield_now().await;
            }
        }
    });
    // Enough joins to spend five budgets.
    let mut set: JoinSet<_> = (0..640).map(|_| async {}).collect();
    yield_now().await;
    // All tasks have finished, so every join is ready at once.
    while set.join_next().await.is_some() {}
    assert!(
        others.get() > 4,
        "the other task ran {} times in 640 joins",
        others.get()
    );
    counter.abort();
}

#[coreloop::test]
#[cfg_attr(miri, ignore = "other tests join fewer tasks in the same way")]
async fn ten_thousand_members_are_each_joined_once() {
    let members = if cfg!(miri) { 100 } else { 10_000 };
    let mut set = JoinSet::new();
    for number in 0..members {
        set.spawn(async move {
            for _ in 0..number % 7 {
                yield_now().await;
            }
            number
        });
    }
    let mut seen = vec![false; members];
    while let Some(result) = set.join_next().await {
        assert!(!std::mem::replace(&mut seen[result.unwrap()], true));
    }
    assert!(seen.into_iter().all(|seen| seen));
}

#[test]
fn a_destructor_joins_the_set_while_its_member_ends() {
    // While the future of a member is dropped, its outcome is not stored yet, so that the
    // member cannot be joined.
    let runtime = Runtime::new().unwrap();
    let set = Rc::new(RefCell::new(JoinSet::new()));
    let polled = Rc::new(Cell::new(None));
    let joins = {
        let (set, polled) = (Rc::clone(&set), Rc::clone(&polled));
        OnDrop::new(move || {
            let mut set = set.borrow_mut();
            let context = &mut Context::from_waker(Waker::noop());
            polled.set(Some(set.poll_join_next(context).is_ready()));
            assert!(set.try_join_next().is_none());
        })
    };
    runtime.block_on(async {
        /// Drops its parts in this order.
        struct Ends<A, B>(A, B);

        impl<A: Unpin, B: Unpin> Future for Ends<A, B> {
            type Output = u8;

            fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u8> {
                Poll::Ready(7)
            }
        }

        let abort = set.borrow_mut().spawn(Ends((), joins));
        yield_until(|| abort.is_finished()).await;
        let result = set.borrow_mut().try_join_next();
        assert_eq!(result.unwrap().unwrap(), 7);
    });
    assert_eq!(polled.get(), Some(false));
}

#[test]
fn a_set_outlives_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let mut set = JoinSet::new();
    {
        let _guard = runtime.enter();
        set.spawn(pending::<()>());
        set.spawn(async {});
    }
    drop(runtime);
    coreloop::block_on(async {
        for _ in 0..2 {
            let error = set.join_next().await.unwrap().unwrap_err();
            assert!(error.is_cancelled());
        }
        assert!(set.join_next().await.is_none());
    });
}

#[test]
fn a_spawn_outside_a_runtime_leaves_the_set_as_it_was() {
    let mut set = JoinSet::new();
    let panic = catch_unwind(AssertUnwindSafe(|| set.spawn(async {})));
    let panic = panic.unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("JoinSet::spawn called outside"), "{text}");
    assert!(set.is_empty());
    coreloop::block_on(async {
        set.spawn(async {});
        set.join_next().await.unwrap().unwrap();
        assert!(set.join_next().await.is_none());
    });
}

#[test]
fn the_report_names_where_a_member_was_spawned() {
    let runtime = Runtime::new().unwrap();
    let mut set = JoinSet::new();
    let lines = {
        let _guard = runtime.enter();
        set.spawn(pending::<()>());
        set.build_task().name("built").spawn(pending()).unwrap();
        set.extend([pending()]);
        line!() - 3..line!()
    };
    let report = runtime.shutdown(Duration::ZERO);
    assert_eq!(report.tasks().len(), 3);
    assert_eq!(report.tasks()[1].name(), Some("built"));
    for (task, line) in report.tasks().iter().zip(lines) {
        assert_eq!(task.spawned_at().file(), file!());
        assert_eq!(task.spawned_at().line(), line);
    }
}

/// A member that is flushing is not finished, and does not keep other members from being
/// joined. Regression: it was joined first, because its future was dropped first.
#[coreloop::test(start_paused = true)]
async fn members_are_joined_in_the_order_in_which_their_cleanups_end() {
    /// Creates a guard whose cleanup drops another guard.
    fn guard(ticks: u32) -> impl Any {
        let inner = defer(async move { sleep(ticks * TICK).await });
        defer(async move {
            sleep(ticks * TICK).await;
            drop(inner);
        })
    }

    let start = Instant::now();
    let mut set = JoinSet::new();
    let mut ids = Vec::new();
    for (number, (works, cleans_up)) in [(1, 6), (2, 0), (3, 2), (4, 0)].into_iter().enumerate() {
        let task = set.spawn(async move {
            let _guard = (cleans_up > 0).then(|| guard(cleans_up));
            sleep(works * TICK).await;
            number
        });
        ids.push(task.id());
    }
    let ticks = || start.elapsed().as_millis() / TICK.as_millis();
    assert_eq!(set.join_next().await.unwrap().unwrap(), 1);
    assert_eq!(ticks(), 2);
    assert!(set.try_join_next().is_none());
    sleep(2 * TICK).await;
    assert_eq!(set.try_join_next_with_id().unwrap().unwrap(), (ids[3], 3));
    assert!(set.try_join_next_with_id().is_none());
    assert_eq!(set.join_next_with_id().await.unwrap().unwrap(), (ids[2], 2));
    assert_eq!(ticks(), 7);
    assert_eq!(set.join_all().await, [0]);
    assert_eq!(ticks(), 13);
}
