//! Cleanups that queue cleanups: a handle, a scope or a race is ready when all of them
//! have run, however deep they are nested.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;

use coreloop::cleanup::{AsyncGuard, bracket, flush, shield};
use coreloop::runtime::Handle;
use coreloop::scope::{MemberError, TaskGroup, cancel_scope, scope, timeout_at};
use coreloop::stream::stream;
use coreloop::task::{JoinSet, RemoteJoinHandle, yield_now};
use coreloop::time::Instant;
use coreloop::{race, select, spawn};

use super::closed::{Closed, LEVELS};
use coreloop_test_support::trace::{TICK, Trace, ticks};

#[coreloop::test(start_paused = true)]
async fn the_handle_of_a_task_waits_for_nested_cleanups() {
    let closed = Closed::new();
    assert_eq!(spawn(closed.clone().returns()).await.unwrap(), 7);
    closed.assert();

    let closed = Closed::new();
    assert!(spawn(closed.clone().panics()).await.unwrap_err().is_panic());
    closed.assert();

    let closed = Closed::new();
    let task = spawn(closed.clone().waits());
    yield_now().await;
    assert!(task.abort_and_wait().await.unwrap_err().is_cancelled());
    closed.assert();
}

#[coreloop::test(start_paused = true)]
async fn a_join_set_waits_for_nested_cleanups() {
    let closed = Closed::new();
    let mut set = JoinSet::new();
    set.spawn(closed.clone().returns());
    assert_eq!(set.join_next().await.unwrap().unwrap(), 7);
    closed.assert();

    let closed = Closed::new();
    set.spawn(closed.clone().panics());
    let error = set.join_next_with_id().await.unwrap().unwrap_err();
    assert!(error.is_panic());
    closed.assert();

    let closed = Closed::new();
    set.spawn(closed.clone().returns());
    while set.try_join_next().is_none() {
        ticks(1).await;
    }
    assert_eq!(closed.count.get(), LEVELS);

    let closed = Closed::new();
    let mut set = JoinSet::new();
    let abort = set.spawn(closed.clone().waits());
    yield_now().await;
    abort.abort();
    let error = poll_fn(|context| set.poll_join_next(context)).await;
    assert!(error.unwrap().unwrap_err().is_cancelled());
    closed.assert();

    let closed = Closed::new();
    set.spawn(closed.clone().waits());
    yield_now().await;
    set.shutdown().await;
    closed.assert();

    let closed = Closed::new();
    let mut set = JoinSet::new();
    set.spawn(closed.clone().returns());
    assert_eq!(set.join_all().await, [7]);
    closed.assert();
}

#[coreloop::test(start_paused = true)]
async fn the_handle_of_a_remote_task_waits_for_nested_cleanups() {
    /// Spawns a future that is not `Send` by a handle, by way of a thread-local.
    fn spawn_by_handle<F>(future: fn(Closed) -> F, closed: &Closed) -> RemoteJoinHandle<F::Output>
    where
        F: Future<Output: Send> + 'static,
    {
        thread_local! {
            static CLOSED: Cell<Option<Closed>> = const { Cell::new(None) };
        }
        CLOSED.set(Some(closed.clone()));
        Handle::current().spawn(move || future(CLOSED.take().unwrap()))
    }

    let closed = Closed::new();
    assert_eq!(spawn_by_handle(Closed::returns, &closed).await.unwrap(), 7);
    closed.assert();

    let closed = Closed::new();
    let error = spawn_by_handle(Closed::panics, &closed).await.unwrap_err();
    assert!(error.is_panic());
    closed.assert();

    let closed = Closed::new();
    let task = spawn_by_handle(Closed::waits, &closed);
    ticks(1).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    closed.assert_after(1);
}

#[coreloop::test(start_paused = true)]
async fn the_members_of_a_group_wait_for_nested_cleanups() {
    let closed = Closed::new();
    let mut group = TaskGroup::<()>::new();
    let returning = closed.clone().returns();
    let member = group.spawn(async { Ok(returning.await) });
    assert_eq!(member.await, Ok(7));
    closed.assert();

    let closed = Closed::new();
    let waiting = closed.clone().waits();
    let member = group.spawn(async {
        waiting.await;
        Ok(())
    });
    yield_now().await;
    group.cancel();
    assert_eq!(member.await, Err(MemberError::Cancelled));
    closed.assert();

    // The guard is dropped with a future that is never polled.
    let closed = Closed::new();
    let guard = closed.guard();
    let member = group.spawn(async move {
        drop(guard);
        Ok(())
    });
    assert_eq!(member.await, Err(MemberError::Cancelled));
    closed.assert();
    group.join().await.unwrap();

    let closed = Closed::new();
    let mut group = TaskGroup::<()>::supervisor();
    let panicking = closed.clone().panics();
    let member = group.spawn(async { Ok(panicking.await) });
    assert_eq!(member.await, Err(MemberError::Panicked));
    closed.assert();

    let closed = Closed::new();
    let returning = closed.clone().returns();
    drop(group.spawn(async { Ok(returning.await) }));
    group.join().await.unwrap();
    closed.assert();
}

#[coreloop::test(start_paused = true)]
async fn a_cancelled_scope_waits_for_nested_cleanups() {
    let closed = Closed::new();
    let body = closed.clone().waits();
    let result = cancel_scope(async |canceller| {
        canceller.cancel();
        body.await;
    });
    assert!(result.await.is_err());
    closed.assert();

    let closed = Closed::new();
    let body = closed.clone().waits();
    assert!(timeout_at(Instant::now(), body).await.is_err());
    closed.assert();
}

#[coreloop::test(start_paused = true)]
async fn a_scope_that_is_not_cancelled_waits_for_nested_cleanups() {
    let closed = Closed::new();
    let body = closed.clone().returns();
    assert_eq!(cancel_scope(async |_| body.await).await, Ok(7));
    closed.assert();

    let closed = Closed::new();
    let later = Instant::now() + TICK;
    assert_eq!(timeout_at(later, closed.clone().returns()).await, Ok(7));
    closed.assert();
}

#[coreloop::test(start_paused = true)]
async fn a_race_waits_for_nested_cleanups() {
    let closed = Closed::new();
    let loser = async {
        closed.clone().waits().await;
        1
    };
    assert_eq!(race!(loser, async { 2 }), 2);
    closed.assert();

    let closed = Closed::new();
    assert_eq!(race!(closed.clone().returns(), pending()), 7_u32);
    closed.assert();
}

#[coreloop::test(start_paused = true)]
async fn a_scope_waits_for_the_nested_cleanups_of_its_children() {
    // A child that has returned, and whose handle was dropped.
    let closed = Closed::new();
    scope(async |scope| drop(scope.spawn(closed.clone().returns()))).await;
    closed.assert();

    // The guard of the body.
    let closed = Closed::new();
    assert_eq!(scope(async |_| closed.clone().returns().await).await, 7);
    closed.assert();

    // A part of a child that was dropped.
    let closed = Closed::new();
    scope(async |scope| {
        let closed = &closed;
        drop(scope.spawn(async move {
            select! {
                biased;
                () = closed.clone().waits() => unreachable!(),
                () = yield_now() => {}
            }
        }));
    })
    .await;
    closed.assert();

    // A child of a scope inside the scope.
    let closed = Closed::new();
    scope(async |outer| {
        let closed = &closed;
        drop(outer.spawn(async move {
            scope(async |inner| drop(inner.spawn(closed.clone().returns()))).await;
            assert_eq!(closed.count.get(), LEVELS);
        }));
    })
    .await;
    closed.assert();
}

#[coreloop::test(start_paused = true)]
async fn the_handle_of_a_child_waits_for_nested_cleanups() {
    let closed = Closed::new();
    let trace = Trace::new();
    scope(async |scope| {
        let quick = scope.spawn(async { 1 });
        let child = scope.spawn(closed.clone().returns());
        // The guard of another child does not concern this one.
        assert_eq!(quick.await, 1);
        trace.note("quick");
        assert_eq!(child.await, 7);
        closed.assert();
    })
    .await;
    trace.assert(&["0 quick"]);
}

#[coreloop::test(start_paused = true)]
async fn a_scope_that_panics_waits_for_nested_cleanups() {
    let closed = Closed::new();
    let task = spawn({
        let closed = closed.clone();
        async move {
            scope(async |scope| {
                drop(scope.spawn(closed.clone().waits()));
                yield_now().await;
                panic!("in the body");
            })
            .await;
        }
    });
    assert!(task.await.unwrap_err().is_panic());
    closed.assert();
}

#[coreloop::test(start_paused = true)]
async fn shields_and_brackets_wait_for_nested_cleanups() {
    let closed = Closed::new();
    assert_eq!(shield(closed.clone().returns()).await, 7);
    closed.assert();

    let closed = Closed::new();
    let body = closed.clone().returns();
    let result = cancel_scope(async |canceller| {
        shield(async {
            canceller.cancel();
            yield_now().await;
            body.await
        })
        .await
    });
    assert!(result.await.is_err());
    closed.assert();

    let closed = Closed::new();
    let seen = closed.clone();
    bracket(
        async || (),
        async |()| closed.clone().returns().await,
        async move |()| assert_eq!(seen.count.get(), LEVELS),
    )
    .await;
    closed.assert();

    let closed = Closed::new();
    let guard = closed.guard();
    bracket(async || guard, async |_| (), async |guard| drop(guard)).await;
    closed.assert();

    let closed = Closed::new();
    AsyncGuard::new(closed.guard(), async |guard| drop(guard))
        .close()
        .await;
    closed.assert();
}

#[coreloop::test(start_paused = true)]
async fn flush_waits_for_nested_cleanups() {
    let closed = Closed::new();
    drop(closed.guard());
    flush().await;
    closed.assert();
    flush().await;
    closed.assert();
}

/// The scope waits for the guard that the generator's body drops when it is closed.
#[coreloop::test(start_paused = true)]
async fn a_scope_around_a_generator_waits_for_nested_cleanups() {
    let closed = Closed::new();
    cancel_scope(async |_| {
        let mut numbers = pin!(stream(async |mut co| {
            let _guard = closed.guard();
            co.yield_(1).await
        }));
        assert_eq!(numbers.next().await, Some(1));
        numbers.close().await;
    })
    .await
    .unwrap();
    closed.assert();
}
