//! How the ends of a `TaskGroup`'s tasks are counted, joined and forgotten.

use std::cell::Cell;
use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;

use coreloop::scope::{MemberError, TaskGroup};
use coreloop::task::yield_now;
use coreloop::time::{Instant, timeout};
use futures_util::FutureExt as _;

use coreloop_test_support::on_drop::OnDrop;
use coreloop_test_support::trace::{TICK, Trace, ticks};
use coreloop_test_support::wakers::{Call, calling};

/// A member that does not fail.
async fn fine<E>(future: impl Future<Output = ()>) -> Result<(), E> {
    future.await;
    Ok(())
}

#[coreloop::test(start_paused = true)]
async fn join_next_returns_each_task_once() {
    let mut group = TaskGroup::<()>::new();
    assert_eq!(group.join_next().await, None);
    drop(group.spawn_daemon(pending::<Result<(), _>>()));
    assert_eq!(group.join_next().await, None, "daemons are not waited for");
    for count in [3, 1, 1, 2] {
        drop(group.spawn(fine(ticks(count))));
    }
    let start = Instant::now();
    let mut ended = Vec::new();
    while group.join_next().await.is_some() {
        ended.push(start.elapsed().as_millis() / TICK.as_millis());
    }
    assert_eq!(ended, [1, 1, 2, 3]);
    // A task that ends while no call waits for it, after the call before was dropped.
    for _ in 0..2 {
        let task = group.spawn(fine(ticks(1)));
        assert!(timeout(TICK / 2, group.join_next()).await.is_err());
        task.await.unwrap();
        assert_eq!(group.join_next().await, Some(()));
        assert_eq!(group.join_next().await, None);
    }
    assert_eq!(group.len(), 1);
    group.join().await.unwrap();
}

/// A task that ended before the last spawn has made room for it, and is not counted.
#[coreloop::test(start_paused = true)]
async fn join_next_makes_room_in_a_group_with_a_limit() {
    const LIMIT: usize = 3;

    let mut group = TaskGroup::<()>::new();
    let (running, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    for number in 0..50_u32 {
        if group.len() == LIMIT {
            group.join_next().await;
        }
        assert!(group.len() < LIMIT);
        let (running, most) = (Rc::clone(&running), Rc::clone(&most));
        drop(group.spawn(async move {
            running.set(running.get() + 1);
            most.set(most.get().max(running.get()));
            ticks(number % 4).await;
            running.set(running.get() - 1);
            Ok(())
        }));
        ticks(number % 2).await;
    }
    group.join().await.unwrap();
    assert_eq!(most.get(), LIMIT);
}

#[coreloop::test(start_paused = true)]
async fn the_length_counts_the_tasks_that_have_not_ended() {
    let trace = Trace::new();
    let mut group = TaskGroup::new();
    assert!(group.is_empty());
    let guard = trace.guard("a", 2);
    let cleans_up = group.spawn(async {
        drop(guard);
        Ok(())
    });
    drop(group.spawn(async { Err::<(), _>("failed") }));
    drop(group.spawn(pending::<Result<(), _>>()));
    assert_eq!((group.len(), group.is_cancelled()), (3, false));
    yield_now().await;
    yield_now().await;
    assert_eq!((group.len(), group.is_cancelled()), (1, true));
    // Only `join` returns the failure.
    while group.join_next().await.is_some() {}
    trace.note("empty");
    assert!(group.is_empty());
    assert_eq!(cleans_up.await, Ok(()));
    trace.assert(&["0 a begin", "2 a end", "2 empty"]);
    assert_eq!(group.join().await.unwrap_err().into_first(), "failed");
}

#[coreloop::test(start_paused = true)]
async fn a_supervisor_counts_the_errors_that_it_does_not_keep() {
    let mut group = TaskGroup::supervisor();
    for number in 0..150 {
        drop(group.spawn(async move { Err::<(), _>(number) }));
    }
    let error = group.join().await.unwrap_err();
    assert_eq!(*error.first(), 0);
    assert!(error.others().iter().map(|(_, error)| *error).eq(1..100));
    assert_eq!(error.omitted(), 50);
    assert!(
        error.to_string().ends_with("failed: 0 (and 149 more)"),
        "{error}"
    );
}

/// The members are spawned like any task, but a panic of theirs is not the outcome of
/// their task.
#[coreloop::test(start_paused = true)]
async fn the_first_panic_of_a_group_propagates_after_all_cleanups() {
    let trace = Trace::new();
    let mut group = TaskGroup::<()>::new();
    for text in ["first", "second"] {
        let guard = trace.guard(text, 2);
        drop(group.spawn(async move {
            let _guard = guard;
            ticks(1).await;
            std::panic::panic_any(text);
            #[expect(unreachable_code, reason = "gives the type")]
            Ok(())
        }));
    }
    let panic = AssertUnwindSafe(group.join()).catch_unwind().await;
    trace.note("joined");
    let panic = panic.map(drop).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"first"));
    trace.assert(&[
        "1 first begin",
        "1 second begin",
        "3 first end",
        "3 second end",
        "3 joined",
    ]);
}

/// The destructor of a future panics, or the destructor of an output that is not taken,
/// or a waker: the group still counts the member as ended.
#[coreloop::test(start_paused = true)]
async fn a_member_ends_even_if_a_destructor_or_a_waker_panics() {
    let panics = || OnDrop::new(|| panic!("in a destructor"));

    let mut group = TaskGroup::<()>::supervisor();
    let guard = panics();
    let aborted = group.spawn(async move {
        let _guard = guard;
        pending::<Result<(), _>>().await
    });
    drop(aborted);
    let output = panics();
    drop(group.spawn(async move { Ok(output) }));
    let mut woken = group.spawn(fine(ticks(1)));
    let waker = calling(|call| {
        if call == Call::Wake {
            panic!("in a waker");
        }
    });
    let polled = Pin::new(&mut woken).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    ticks(2).await;
    assert_eq!(group.len(), 1);
    group.cancel();
    assert!(timeout(TICK, group.join()).await.unwrap().is_ok());
    assert_eq!(woken.await, Ok(()));

    let mut group = TaskGroup::<()>::new();
    let guard = panics();
    let aborted = group.spawn(async move {
        let _guard = guard;
        pending::<Result<(), _>>().await
    });
    yield_now().await;
    group.cancel();
    assert_eq!(aborted.await, Err(MemberError::Panicked));
    let panic = AssertUnwindSafe(group.join()).catch_unwind().await;
    assert!(panic.is_err());
}
