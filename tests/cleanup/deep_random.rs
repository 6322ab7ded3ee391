//! Random trees of scopes, races, brackets and tasks, with guards whose cleanups drop
//! guards. When one part returns, none of its cleanups is left.

use std::cell::Cell;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;

use coreloop::cleanup::{AsyncGuard, bracket, defer, shield};
use coreloop::scope::{TaskGroup, cancel_scope, scope, timeout_at};
use coreloop::task::{JoinSet, yield_now};
use coreloop::time::Instant;
use coreloop::{join, race, select, spawn};
use fastrand::Rng;

use coreloop_test_support::clock::paused;
use coreloop_test_support::size::pick;
use coreloop_test_support::trace::{TICK, ticks};

type Boxed = Pin<Box<dyn Future<Output = ()>>>;

/// The number of guards of a part, and of the parts in it, that are not closed.
struct Count {
    open: Cell<u32>,
    outer: Option<Rc<Count>>,
}

impl Count {
    fn new(outer: Option<&Rc<Count>>) -> Rc<Count> {
        Rc::new(Count {
            open: Cell::new(0),
            outer: outer.cloned(),
        })
    }

    fn add(&self, change: i32) {
        let mut next = Some(self);
        while let Some(count) = next {
            count.open.set(count.open.get().strict_add_signed(change));
            next = count.outer.as_deref();
        }
    }
}

/// Creates a guard that is counted until its cleanup has run, or was dropped.
fn guard(count: &Rc<Count>, rng: &mut Rng, levels: u32) -> impl Sized + 'static {
    struct Open(Rc<Count>);

    impl Drop for Open {
        fn drop(&mut self) {
            self.0.add(-1);
        }
    }

    count.add(1);
    let (open, mut rng) = (Open(Rc::clone(count)), rng.fork());
    let cleanup: Boxed = Box::pin(async move {
        let mut left = Vec::new();
        for _ in 0..rng.u32(..3).min(levels) {
            left.push(Box::new(guard(&open.0, &mut rng, levels - 1)) as Box<dyn std::any::Any>);
        }
        match rng.u32(..3) {
            0 => {}
            1 => yield_now().await,
            _ => ticks(1).await,
        }
        drop(left);
    });
    defer(cleanup)
}

/// Some steps in a part, each of which may be a part in turn.
fn work(count: Rc<Count>, mut rng: Rng, depth: u32) -> Boxed {
    Box::pin(async move {
        for _ in 0..rng.u32(1..4) {
            step(&count, &mut rng, depth).await;
        }
    })
}

async fn step(count: &Rc<Count>, rng: &mut Rng, depth: u32) {
    match rng.u32(..6) {
        0 => drop(guard(count, rng, 2)),
        1 => {
            let _guard = guard(count, rng, 2);
            ticks(rng.u32(..3)).await;
        }
        2 => {
            let (dropped, _guard) = (work(Rc::clone(count), rng.fork(), 0), guard(count, rng, 1));
            select! {
                biased;
                () = dropped => {}
                () = ticks(1) => {}
            }
        }
        _ if depth == 0 => yield_now().await,
        _ => {
            let inner = Count::new(Some(count));
            part(&inner, rng, depth - 1).await;
            assert_eq!(inner.open.get(), 0, "cleanups are left");
        }
    }
}

/// Runs a part of a random kind, whose guards `count` counts.
async fn part(count: &Rc<Count>, rng: &mut Rng, depth: u32) {
    let (kind, number) = (rng.u32(..12), rng.u32(..4));
    let mut body = |count: &Rc<Count>| work(Rc::clone(count), rng.fork(), depth);
    match kind {
        0 | 1 => {
            scope(async |scope| {
                let first = scope.spawn(body(count));
                drop(scope.spawn(body(count)));
                body(count).await;
                if kind == 1 {
                    first.await;
                }
            })
            .await;
        }
        2 => {
            let body = body(count);
            let result = cancel_scope(async |canceller| {
                let cancels = async {
                    ticks(number).await;
                    canceller.cancel();
                    pending::<()>().await;
                };
                select! {
                    () = body => {}
                    () = cancels => {}
                }
            });
            let _ = result.await;
        }
        3 => drop(
            timeout_at(Instant::now() + number * TICK, body(count))
                .await
                .is_ok(),
        ),
        4 => race!(body(count), body(count), ticks(number)),
        5 => {
            let (opened, used) = (guard(count, &mut Rng::with_seed(1), 1), body(count));
            let close = async |opened| drop(opened);
            bracket(async || opened, async |_| used.await, close).await;
        }
        6 => shield(body(count)).await,
        7 => {
            let body = body(count);
            AsyncGuard::new(body, async |body| body.await).close().await;
        }
        8 => {
            let (first, second) = (body(count), body(count));
            let _ = cancel_scope(async |_| join!(first, second)).await;
        }
        9 => {
            // Its tasks end with the group, which is dropped in the scope.
            let (first, second) = (body(count), body(count));
            let dropped = cancel_scope(async |_| {
                let mut group = TaskGroup::<()>::new();
                for member in [first, second] {
                    drop(group.spawn(async {
                        member.await;
                        Ok(())
                    }));
                }
                ticks(number).await;
            });
            let _ = dropped.await;
        }
        10 => {
            // A task of its own, which continues if this part is dropped.
            let own = Count::new(None);
            spawn(body(&own)).await.unwrap();
            assert_eq!(own.open.get(), 0, "cleanups of a task are left");
        }
        _ => {
            let counts = [(); 3].map(|()| Count::new(None));
            let mut set: JoinSet<_> = (0..3)
                .map(|at| {
                    let body = body(&counts[at]);
                    async move {
                        body.await;
                        at
                    }
                })
                .collect();
            while let Some(result) = set.join_next().await {
                assert_eq!(counts[result.unwrap()].open.get(), 0);
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "thousands of tasks, in safe code")]
fn no_cleanup_is_left_when_a_part_returns() {
    let runtime = paused();
    for seed in 0..pick(1_000, 20_000) {
        let mut rng = Rng::with_seed(seed);
        let aborts = rng.bool().then(|| rng.u32(..6));
        let count = Count::new(None);
        runtime.block_on(async {
            let mut task = spawn(work(Rc::clone(&count), rng.fork(), 3));
            if let Some(after) = aborts {
                ticks(after).await;
                task = task.abort_and_wait();
            }
            let result = task.await;
            assert!(
                result.is_ok() || aborts.is_some(),
                "seed {seed}: {result:?}"
            );
            assert!(!result.is_err_and(|error| error.is_panic()), "seed {seed}");
            assert_eq!(count.open.get(), 0, "seed {seed}");
        });
    }
    // Detached tasks end, too.
    assert!(runtime.shutdown(1000 * TICK).is_clean());
}
