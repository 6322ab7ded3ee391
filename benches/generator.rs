//! Items through a generator, against `async-stream` on tokio, which has no generators:
//! small items, large items, and the items of one generator through another.
//!
//! `cargo bench --bench generator -- --tight 20000000` runs only coreloop, for callgrind
//! and `perf`; `--tight 20000000 async-stream` runs only the other.

#[path = "workload/samples.rs"]
mod samples;
#[path = "workload/suite.rs"]
mod suite;

use std::env;
use std::hint::black_box;
use std::pin::pin;
use std::time::{Duration, Instant};

use coreloop::stream::stream;
use futures_core::Stream;
use futures_lite::StreamExt;

use crate::suite::{Parameter, Suite};

/// The number of items that a generator yields before the next one is created.
const ITEMS: [usize; 3] = [1, 10, 1000];

/// A large item, for which moving matters.
type Row = [usize; 16];

fn main() {
    let mut arguments = env::args().skip_while(|argument| argument != "--tight");
    if arguments.next().is_some() {
        let items: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        run_one(items, arguments.next().as_deref());
        return;
    }
    let mut suite = Suite::new();
    let mut group = suite
        .group("generator/u64", Parameter::Operations)
        .against("async-stream");
    for items in ITEMS {
        group.contest(
            items,
            move |pieces| drain(pieces, move || counted(items)),
            move |pieces| drain(pieces, move || counted_by_async_stream(items)),
        );
    }
    group.finish();
    let mut group = suite
        .group("generator/row", Parameter::Operations)
        .against("async-stream");
    for items in ITEMS {
        group.contest(
            items,
            move |pieces| drain(pieces, move || rows(items)),
            move |pieces| drain(pieces, move || rows_by_async_stream(items)),
        );
    }
    group.finish();
    let mut group = suite
        .group("generator/nested", Parameter::Operations)
        .against("async-stream");
    for items in ITEMS {
        group.contest(
            items,
            move |pieces| drain(pieces, move || nested(items)),
            move |pieces| drain(pieces, move || nested_by_async_stream(items)),
        );
    }
    group.finish();
    suite.finish();
}

fn run_one(items: u64, contestant: Option<&str>) {
    let each = 1000;
    let pieces = items / each as u64;
    let runtime = coreloop::Runtime::new().expect("the kernel has descriptors left");
    let took = runtime.block_on(async {
        match contestant {
            Some("async-stream") => drain(pieces, || counted_by_async_stream(each)).await,
            _ => drain(pieces, || counted(each)).await,
        }
    });
    println!("{:.2} ns an item", took.as_secs_f64() * 1e9 / items as f64);
}

/// Runs generators to their ends, for a number of items.
async fn drain<S: Stream>(pieces: u64, make: impl Fn() -> S) -> Duration {
    let start = Instant::now();
    for _ in 0..pieces {
        let mut items = pin!(make());
        while let Some(item) = items.next().await {
            black_box(item);
        }
    }
    start.elapsed()
}

fn counted(items: usize) -> impl Stream<Item = usize> {
    stream(async move |mut co| {
        for number in 0..items {
            co.yield_(number).await?;
        }
        Ok(())
    })
}

fn counted_by_async_stream(items: usize) -> impl Stream<Item = usize> {
    async_stream::stream! {
        for number in 0..items {
            yield number;
        }
    }
}

fn rows(items: usize) -> impl Stream<Item = Row> {
    stream(async move |mut co| {
        for number in 0..items {
            co.yield_([number; 16]).await?;
        }
        Ok(())
    })
}

fn rows_by_async_stream(items: usize) -> impl Stream<Item = Row> {
    async_stream::stream! {
        for number in 0..items {
            yield [number; 16];
        }
    }
}

/// One generator inside another.
fn nested(items: usize) -> impl Stream<Item = usize> {
    stream(async move |mut co| {
        let mut inner = pin!(counted(items));
        while let Some(number) = inner.next().await {
            co.yield_(number).await?;
        }
        Ok(())
    })
}

fn nested_by_async_stream(items: usize) -> impl Stream<Item = usize> {
    async_stream::stream! {
        let mut inner = pin!(counted_by_async_stream(items));
        while let Some(number) = inner.next().await {
            yield number;
        }
    }
}
