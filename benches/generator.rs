//! Items through a generator, against `async-stream`, both on a loop of
//! coreloop's: small items, large ones, and those of one generator through
//! another.
//!
//! `cargo bench --bench generator -- --tight 20000000` runs one contestant alone
//! for callgrind and `perf`.

#[path = "workload/samples.rs"]
mod samples;

use std::env;
use std::hint::black_box;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use coreloop::Runtime;
use coreloop::stream::stream;
use criterion::{Criterion, Throughput};
use futures_core::Stream;
use futures_lite::StreamExt;

use crate::samples::Samples;

/// How many items a generator yields before the next is made.
const ITEMS: u64 = 1000;
/// How many generators make a turn of some milliseconds.
const PIECES: u64 = 1000;
const TURNS: usize = 41;

/// A large item: what is moved counts then.
type Row = [u64; 16];

fn counted() -> impl Stream<Item = u64> {
    stream(async |mut co| {
        for number in 0..ITEMS {
            co.yield_(number).await?;
        }
        Ok(())
    })
}

fn counted_by_async_stream() -> impl Stream<Item = u64> {
    async_stream::stream! {
        for number in 0..ITEMS {
            yield number;
        }
    }
}

fn rows() -> impl Stream<Item = Row> {
    stream(async |mut co| {
        for number in 0..ITEMS {
            co.yield_([number; 16]).await?;
        }
        Ok(())
    })
}

fn rows_by_async_stream() -> impl Stream<Item = Row> {
    async_stream::stream! {
        for number in 0..ITEMS {
            yield [number; 16];
        }
    }
}

/// One generator inside another.
fn nested() -> impl Stream<Item = u64> {
    stream(async |mut co| {
        let mut inner = pin!(counted());
        while let Some(number) = inner.next().await {
            co.yield_(number).await?;
        }
        Ok(())
    })
}

fn nested_by_async_stream() -> impl Stream<Item = u64> {
    async_stream::stream! {
        let mut inner = pin!(counted_by_async_stream());
        while let Some(number) = inner.next().await {
            yield number;
        }
    }
}

/// Runs so many generators to their ends, and answers how long that took.
type Work = Box<dyn FnMut(u64) -> Duration>;

fn work<S: Stream + 'static>(make: fn() -> S) -> io::Result<Work> {
    let runtime = Runtime::new()?;
    Ok(Box::new(move |pieces| {
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..pieces {
                let mut items = pin!(make());
                while let Some(item) = items.next().await {
                    black_box(item);
                }
            }
            start.elapsed()
        })
    }))
}

fn main() -> io::Result<()> {
    let mut contests = [
        (
            "generator/u64",
            work(counted)?,
            work(counted_by_async_stream)?,
        ),
        ("generator/row", work(rows)?, work(rows_by_async_stream)?),
        (
            "generator/nested",
            work(nested)?,
            work(nested_by_async_stream)?,
        ),
    ];
    let mut arguments = env::args().skip_while(|argument| argument != "--tight");
    if arguments.next().is_some() {
        let items: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let contestant = arguments.next();
        let [(_, ours, theirs), ..] = &mut contests;
        let took = match contestant.as_deref() {
            Some("async-stream") => theirs(items / ITEMS),
            _ => ours(items / ITEMS),
        };
        println!("{:.2} ns an item", took.as_secs_f64() * 1e9 / items as f64);
        return Ok(());
    }

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
        .configure_from_args();
    for (name, ours, theirs) in &mut contests {
        let mut group = criterion.benchmark_group(*name);
        group.throughput(Throughput::Elements(ITEMS));
        group.bench_function("coreloop", |bencher| bencher.iter_custom(&mut *ours));
        group.bench_function("async-stream", |bencher| bencher.iter_custom(&mut *theirs));
        group.finish();
    }
    criterion.final_summary();
    let wanted = |word| env::args().any(|argument| argument == word);
    // Not when `cargo test --benches` only tries whether all of this runs.
    if wanted("--bench") && !wanted("--list") && !wanted("--test") {
        for (name, ours, theirs) in &mut contests {
            print_ratio(name, ours, theirs);
        }
    }
    Ok(())
}

/// criterion measures one after the other, and a machine's pace changes in
/// between; so the ratio is measured in turns.
fn print_ratio(name: &str, ours: &mut Work, theirs: &mut Work) {
    let (mut our_times, mut their_times) = (Samples::default(), Samples::default());
    let per_item = |time: Duration| time.as_secs_f64() * 1e9 / (PIECES * ITEMS) as f64;
    for _ in 0..TURNS {
        our_times.push(per_item(ours(PIECES)));
        their_times.push(per_item(theirs(PIECES)));
    }
    println!(
        "{name}: ratio coreloop/async-stream {:.3} (coreloop {:.2} ns, async-stream {:.2} ns at best)",
        our_times.ratio_to(&their_times),
        our_times.minimum(),
        their_times.minimum(),
    );
}
