//! What structure costs: a child of a scope, from spawn to join, against one in
//! `FuturesUnordered`; and a guard that is dropped, up to the end of its cleanup.

use std::hint::black_box;
use std::io;
use std::time::{Duration, Instant};

use coreloop::Runtime;
use coreloop::cleanup::{AsyncGuard, cleanups};
use coreloop::scope::scope;
use coreloop::task::yield_now;
use criterion::{Criterion, Throughput};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

const CHILDREN: u64 = 100;

fn main() -> io::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Runtime::new()?;
    for (name, yields) in [("ready", 0), ("waits_once", 1), ("waits_thrice", 3)] {
        let mut group = criterion.benchmark_group(format!("child_of_100/{name}"));
        group.throughput(Throughput::Elements(CHILDREN));
        group.bench_function("scope", |bencher| {
            bencher.iter(|| runtime.block_on(in_scope(yields)));
        });
        group.bench_function("futures_unordered", |bencher| {
            bencher.iter(|| runtime.block_on(in_futures_unordered(yields)));
        });
        group.finish();
    }
    criterion.bench_function("guard/hand_over", |bencher| {
        bencher.iter_custom(|guards| runtime.block_on(hand_over(guards)));
    });
    criterion.bench_function("guard/to_the_end", |bencher| {
        bencher.iter_custom(|guards| runtime.block_on(to_the_end(guards)));
    });
    criterion.final_summary();
    Ok(())
}

async fn child(number: u64, yields: u32) -> u64 {
    for _ in 0..yields {
        yield_now().await;
    }
    black_box(number)
}

async fn in_scope(yields: u32) -> u64 {
    scope(async |scope| {
        let handles: Vec<_> = (0..CHILDREN)
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

async fn in_futures_unordered(yields: u32) -> u64 {
    let mut children: FuturesUnordered<_> =
        (0..CHILDREN).map(|number| child(number, yields)).collect();
    let mut sum = 0;
    while let Some(number) = children.next().await {
        sum += number;
    }
    sum
}

/// How long it takes to drop so many guards, in a task that has dropped some
/// before. Running their cleanups does not count.
async fn hand_over(guards: u64) -> Duration {
    let mut elapsed = Duration::ZERO;
    let mut left = guards;
    while left > 0 {
        let some = left.min(1000);
        let dropped: Vec<_> = (0..some).map(guard).collect();
        let start = Instant::now();
        drop(dropped);
        elapsed += start.elapsed();
        cleanups().await;
        left -= some;
    }
    elapsed
}

async fn to_the_end(guards: u64) -> Duration {
    let start = Instant::now();
    for number in 0..guards {
        drop(guard(number));
        if number % 100 == 0 {
            cleanups().await;
        }
    }
    cleanups().await;
    start.elapsed()
}

fn guard(number: u64) -> AsyncGuard<u64, impl AsyncFnOnce(u64) + 'static> {
    AsyncGuard::new(number, async |number| {
        black_box(number);
    })
}
