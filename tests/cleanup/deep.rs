//! Cleanups that leave cleanups: a handle, a scope or a race is ready when all of them
//! have run, however deep they are.

use std::any::Any;
use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use coreloop::cleanup::{AsyncGuard, bracket, cleanups, defer, shield};
use coreloop::runtime::Handle;
use coreloop::scope::{MemberError, TaskGroup, cancel_scope, deadline, scope};
use coreloop::stream::stream;
use coreloop::sync::oneshot;
use coreloop::task::{JoinSet, RemoteJoinHandle, yield_now};
use coreloop::time::{Instant, timeout};
use coreloop::{race, select, spawn};

use coreloop_test_support::reports::Reports;
use coreloop_test_support::trace::{TICK, Trace, ticks};

const LEVELS: u32 = 4;

/// Counts the cleanups that have run.
#[derive(Clone)]
struct Closed {
    count: Rc<Cell<u32>>,
    start: Instant,
}

impl Closed {
    fn new() -> Closed {
        Closed {
            count: Rc::default(),
            start: Instant::now(),
        }
    }

    /// A guard whose cleanup takes a tick and drops a guard, and so on.
    fn guard(&self) -> impl Any + use<> {
        defer(self.cleanup(LEVELS))
    }

    fn cleanup(&self, levels: u32) -> Pin<Box<dyn Future<Output = ()>>> {
        let closed = self.clone();
        Box::pin(async move {
            let next = (levels > 1).then(|| defer(closed.cleanup(levels - 1)));
            ticks(1).await;
            closed.count.set(closed.count.get() + 1);
            drop(next);
        })
    }

    /// A future that never ends and holds a guard.
    async fn waits(self) {
        let _guard = self.guard();
        pending::<()>().await;
    }

    /// A future that returns, and drops a guard.
    async fn returns(self) -> u32 {
        let _guard = self.guard();
        yield_now().await;
        7
    }

    async fn panics(self) -> u32 {
        let _guard = self.guard();
        yield_now().await;
        panic!("with a guard")
    }

    /// All cleanups have run, one after the other, and no time went by since.
    #[track_caller]
    fn assert(&self) {
        self.assert_after(0);
    }

    /// Likewise, if the first of them began after so many ticks.
    #[track_caller]
    fn assert_after(&self, ticks: u32) {
        let waited = self.start.elapsed().as_millis() / TICK.as_millis();
        let expected = (LEVELS, u128::from(ticks + LEVELS));
        assert_eq!((self.count.get(), waited), expected);
    }
}

#[coreloop::test(start_paused = true)]
async fn the_handle_of_a_task_waits() {
    let closed = Closed::new();
    assert_eq!(spawn(closed.clone().returns()).await.unwrap(), 7);
    closed.assert();

    let closed = Closed::new();
    assert!(spawn(closed.clone().panics()).await.unwrap_err().is_panic());
    closed.assert();

    let closed = Closed::new();
    let task = spawn(closed.clone().waits());
    yield_now().await;
    assert!(task.cancel().await.unwrap_err().is_cancelled());
    closed.assert();
}

#[coreloop::test(start_paused = true)]
async fn a_join_set_waits() {
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
async fn the_handle_of_a_task_from_elsewhere_waits() {
    /// Makes what is not sent anywhere look as if it could be.
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
async fn the_members_of_a_group_wait() {
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
async fn a_cancelled_scope_waits() {
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
    assert!(deadline(Instant::now(), body).await.is_err());
    closed.assert();
}

#[coreloop::test(start_paused = true)]
async fn a_scope_that_is_not_cancelled_waits() {
    let closed = Closed::new();
    let body = closed.clone().returns();
    assert_eq!(cancel_scope(async |_| body.await).await, Ok(7));
    closed.assert();

    let closed = Closed::new();
    let later = Instant::now() + TICK;
    assert_eq!(deadline(later, closed.clone().returns()).await, Ok(7));
    closed.assert();
}

#[coreloop::test(start_paused = true)]
async fn a_race_waits() {
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
async fn a_scope_waits_for_its_children() {
    // One that has returned, and whose handle has been dropped.
    let closed = Closed::new();
    scope(async |scope| drop(scope.spawn(closed.clone().returns()))).await;
    closed.assert();

    // The body itself.
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

    // A child of a scope in it.
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
async fn the_handle_of_a_child_waits() {
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
async fn a_scope_that_panics_waits() {
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
async fn shields_and_brackets_wait() {
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
async fn the_barrier_waits() {
    let closed = Closed::new();
    drop(closed.guard());
    cleanups().await;
    closed.assert();
    cleanups().await;
    closed.assert();
}

/// The generator is closed, and with it what its body has dropped.
#[coreloop::test(start_paused = true)]
async fn a_scope_around_a_generator_waits() {
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

/// A cleanup that takes a tick and drops a guard of the same kind, until the flag is
/// set.
fn endless(stop: &Rc<Cell<bool>>) -> Pin<Box<dyn Future<Output = ()>>> {
    let stop = Rc::clone(stop);
    Box::pin(async move {
        ticks(1).await;
        if !stop.get() {
            drop(defer(endless(&stop)));
        }
    })
}

/// What other parts of the same task leave does not hold up a part that has ended.
#[coreloop::test(start_paused = true)]
async fn a_part_does_not_wait_for_the_cleanups_of_others() {
    let trace = Trace::new();
    let stop = Rc::new(Cell::new(false));
    let guard = || defer(ticks(1));
    let others = async {
        drop(defer(endless(&stop)));
        loop {
            drop(guard());
            ticks(2).await;
        }
    };
    let waits = async || {
        let _guard = guard();
        pending::<()>().await;
    };
    let parts = async {
        let soon = Instant::now() + TICK;
        assert!(deadline(soon, waits()).await.is_err());
        trace.note("deadline");
        race!(waits(), ticks(1));
        trace.note("race");
        scope(async |scope| drop(scope.spawn(async { drop(guard()) }))).await;
        trace.note("scope");
        bracket(async || (), async |()| drop(guard()), async |()| ()).await;
        trace.note("bracket");
        let before = Instant::now();
        assert!(cancel_scope(async |_| ()).await.is_ok());
        assert_eq!(before.elapsed(), Duration::ZERO, "it has left nothing");
    };
    let both = async {
        select! {
            () = others => unreachable!(),
            () = parts => {}
        }
    };
    timeout(200 * TICK, both).await.expect("each part ends");
    stop.set(true);
    let events = trace.events();
    let names = events.iter().map(|event| event.split_once(' ').unwrap().1);
    assert!(
        names.eq(["deadline", "race", "scope", "bracket"]),
        "{events:?}"
    );
}

/// The barrier waits for what was dropped before, not for what comes later.
#[coreloop::test(start_paused = true)]
async fn the_barrier_does_not_wait_for_what_is_dropped_later() {
    let closed = Closed::new();
    let others = async {
        loop {
            drop(defer(ticks(2)));
            yield_now().await;
            ticks(1).await;
        }
    };
    let barrier = async {
        drop(closed.guard());
        cleanups().await;
        assert_eq!(closed.count.get(), LEVELS);
    };
    let both = async {
        select! {
            () = others => unreachable!(),
            () = barrier => {}
        }
    };
    timeout(200 * TICK, both).await.expect("the barrier ends");
}

/// In a cleanup nothing waits for what it leaves, which runs after it.
#[coreloop::test(start_paused = true)]
async fn a_cleanup_does_not_wait_for_what_it_leaves() {
    let closed = Closed::new();
    let count = Rc::clone(&closed.count);
    let inner = closed.clone();
    cancel_scope(async |_| {
        drop(defer(async move {
            inner.clone().returns().await;
            cleanups().await;
            race!(inner.clone().returns(), pending::<u32>());
            scope(async |scope| scope.spawn(inner.clone().returns()).await).await;
            shield(inner.clone().returns()).await;
            AsyncGuard::new(inner.guard(), async |guard| drop(guard))
                .close()
                .await;
            assert_eq!(inner.count.get(), 0);
        }));
    })
    .await
    .unwrap();
    assert_eq!(count.get(), 5 * LEVELS);
}

/// A cleanup that panics or takes too long drops the guards that it has.
#[test]
fn a_cleanup_that_fails_leaves_cleanups_too() {
    let reports = Reports::new();
    let runtime = reports.builder().start_paused(true).build().unwrap();
    runtime.block_on(async {
        for hangs in [false, true] {
            let closed = Closed::new();
            let count = Rc::clone(&closed.count);
            let body = async || {
                drop(defer(async move {
                    let _guard = closed.guard();
                    if hangs {
                        pending::<()>().await;
                    }
                    panic!("in a cleanup");
                }));
            };
            assert!(cancel_scope(async |_| body().await).await.is_ok());
            assert_eq!(count.get(), LEVELS);
        }
    });
    let failures = reports.cleanups();
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(failures[0].is_panic() && failures[1].is_timeout());
}

/// A scope that moves to another task waits for the cleanups that the first one has to
/// run, and for its own.
#[coreloop::test(start_paused = true)]
async fn a_scope_that_moves_waits_for_both_tasks() {
    let (first, second) = (Closed::new(), Closed::new());
    let (here, there) = (first.clone(), second.clone());
    let mut moves = Box::pin(cancel_scope(async move |_| {
        let inner = cancel_scope(async |_| {
            drop(here.guard());
            let mut is_first = true;
            poll_fn(|_| match std::mem::take(&mut is_first) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
            drop(there.guard());
        });
        assert!(inner.await.is_ok());
    }));
    let (send, receive) = oneshot::channel();
    let begins = spawn(async move {
        poll_fn(|context| Poll::Ready(assert!(moves.as_mut().poll(context).is_pending()))).await;
        assert!(send.send(moves).is_ok());
    });
    let moved = receive.await.unwrap();
    let goes_on = spawn(moved);
    assert!(goes_on.await.unwrap().is_ok());
    first.assert();
    second.assert();
    begins.await.unwrap();
}

/// What a task leaves when it is aborted while it waits for cleanups.
#[coreloop::test(start_paused = true)]
async fn a_part_that_waits_may_be_aborted() {
    for at in 0..LEVELS {
        let closed = Closed::new();
        let waits = closed.clone();
        let task = spawn(async move {
            let inner = scope(async |scope| scope.spawn(waits.clone().returns()).await);
            race!(inner, pending());
            unreachable!("it was aborted before");
        });
        ticks(at).await;
        yield_now().await;
        assert!(task.cancel().await.unwrap_err().is_cancelled());
        closed.assert();
    }
}
