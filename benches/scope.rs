//! The cost of structure: children of a scope, from spawn to join, against a
//! `FuturesUnordered`; and guards that are dropped, up to the end of their cleanups,
//! against a `Drop` that spawns a task, which is all that tokio offers.

#[path = "workload/samples.rs"]
mod samples;
#[path = "workload/suite.rs"]
mod suite;

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant};

use coreloop::cleanup::{AsyncGuard, flush};
use coreloop::scope::scope;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::task::{JoinHandle, spawn_local};

use crate::suite::{Parameter, Suite};

const CHILDREN: [usize; 3] = [10, 100, 1000];
/// The number of guards that are dropped before any of their cleanups runs.
const GUARDS: [usize; 3] = [1, 10, 100];

fn main() {
    let mut suite = Suite::new();
    let children = [
        ("scope/child", 0),
        ("scope/child_waits_once", 1),
        ("scope/child_waits_thrice", 3),
    ];
    for (name, yields) in children {
        // tokio's tasks cannot borrow, so the peer is a `FuturesUnordered`.
        let mut group = suite
            .group(name, Parameter::Operations)
            .against("futures-unordered");
        for children in CHILDREN {
            group.contest(
                children,
                async move |pieces| {
                    let start = Instant::now();
                    for _ in 0..pieces {
                        black_box(in_scope(children, yields).await);
                    }
                    start.elapsed()
                },
                async move |pieces| {
                    let start = Instant::now();
                    for _ in 0..pieces {
                        black_box(in_futures_unordered(children, yields).await);
                    }
                    start.elapsed()
                },
            );
        }
        group.finish();
    }
    for (name, part) in [
        ("scope/guard_hand_over", Part::HandOver),
        ("scope/guard_to_the_end", Part::ToTheEnd),
    ] {
        let mut group = suite.group(name, Parameter::Operations);
        for guards in GUARDS {
            group.contest(
                guards,
                move |pieces| drop_guards(guards, pieces, part),
                move |pieces| drop_spawning(guards, pieces, part),
            );
        }
        group.finish();
    }
    suite.finish();
}

/// The measured part of a guard's end.
#[derive(Clone, Copy)]
enum Part {
    /// The drop alone.
    HandOver,
    /// The drop, and the cleanup too.
    ToTheEnd,
}

impl Part {
    fn of(self, dropped: Duration, ended: Duration) -> Duration {
        match self {
            Part::HandOver => dropped,
            Part::ToTheEnd => ended,
        }
    }
}

async fn child(number: usize, yields: u32) -> usize {
    for _ in 0..yields {
        coreloop::task::yield_now().await;
    }
    black_box(number)
}

async fn in_scope(children: usize, yields: u32) -> usize {
    scope(async |scope| {
        let handles: Vec<_> = (0..children)
            .map(|number| scope.spawn(child(number, yields)))
            .collect();
        let mut sum = 0;
        for handle in handles {
            sum += handle.await;
        }
        sum
    })
    .await
}

async fn in_futures_unordered(children: usize, yields: u32) -> usize {
    let mut children: FuturesUnordered<_> =
        (0..children).map(|number| child(number, yields)).collect();
    let mut sum = 0;
    while let Some(number) = children.next().await {
        sum += number;
    }
    sum
}

async fn drop_guards(guards: usize, pieces: u64, part: Part) -> Duration {
    let mut elapsed = Duration::ZERO;
    for _ in 0..pieces {
        let held: Vec<_> = (0..guards).map(guard).collect();
        let start = Instant::now();
        drop(held);
        let dropped = start.elapsed();
        flush().await;
        elapsed += part.of(dropped, start.elapsed());
    }
    elapsed
}

fn guard(number: usize) -> AsyncGuard<usize, impl AsyncFnOnce(usize) + 'static> {
    AsyncGuard::new(number, async |number| {
        black_box(number);
    })
}

async fn drop_spawning(guards: usize, pieces: u64, part: Part) -> Duration {
    let cleanups = Rc::new(RefCell::new(Vec::with_capacity(guards)));
    let mut elapsed = Duration::ZERO;
    for _ in 0..pieces {
        let held: Vec<_> = (0..guards)
            .map(|number| Spawning(number, Rc::clone(&cleanups)))
            .collect();
        let start = Instant::now();
        drop(held);
        let dropped = start.elapsed();
        let running = cleanups.take();
        for cleanup in running {
            cleanup.await.expect("it does not panic");
        }
        elapsed += part.of(dropped, start.elapsed());
    }
    elapsed
}

/// A value whose drop spawns its cleanup, and stores the handle where others can wait for
/// it.
struct Spawning(usize, Rc<RefCell<Vec<JoinHandle<()>>>>);

impl Drop for Spawning {
    fn drop(&mut self) {
        let number = self.0;
        let cleanup = spawn_local(async move {
            black_box(number);
        });
        self.1.borrow_mut().push(cleanup);
    }
}
