//! Generators, scopes and guards beside their alternatives, and the sizes of locks.
//!
//! A separate binary, like `timers`: the code that it instantiates would change how the
//! compiler divides and inlines the code whose instructions `instructions` counts.
//! `README.md` describes the measurements.

#[path = "../report.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod report;
#[path = "../samples.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod samples;

use std::hint::black_box;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use clap::Parser;
use coreloop::Runtime;
use coreloop::cleanup::{AsyncGuard, flush};
use coreloop::scope::scope;
use coreloop::stream::stream;
use coreloop::task::yield_now;
use futures_lite::{Stream, StreamExt};
use futures_util::stream::FuturesUnordered;
use nix::unistd::alarm;

use crate::report::{Figure, Place};
use crate::samples::Samples;

/// The bound on the time of an item, in times `async-stream`'s.
const GENERATOR_BOUND: f64 = 1.0;
/// The bound on the time of a child, in times `FuturesUnordered`'s.
const CHILD_BOUND: f64 = 1.1;
/// The bound on a dropped guard, in nanoseconds.
const GUARD_BOUND: f64 = 25.0;

/// The number of items that a generator yields before the next one is created.
const ITEMS: u64 = 1000;
/// The number of children of a scope.
const CHILDREN: u64 = 100;
/// The number of guards that are dropped before their cleanups run.
const GUARDS: u64 = 1000;

/// A large item, for which moving matters.
type Row = [u64; 16];

/// Measures generators, scopes and guards.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Options {
    /// How many turns each contestant gets.
    #[arg(long, default_value_t = 25)]
    turns: usize,
    /// How many thousand items, children and guards make a turn.
    #[arg(long, default_value_t = 1000)]
    thousands: u64,
}

/// Does a number of thousands of pieces of work, and returns the time that it took.
type Work = Box<dyn Fn(u64) -> Duration>;

fn main() -> io::Result<()> {
    let options = Options::parse();
    // No measurement may hang.
    alarm::set(300);
    let generators: [(&str, Work, Work); 3] = [
        (
            "generator, items of 8 bytes",
            items(numbers)?,
            items(numbers_by_async_stream)?,
        ),
        (
            "generator, items of 128 bytes",
            items(rows)?,
            items(rows_by_async_stream)?,
        ),
        (
            "generator in a generator",
            items(nested)?,
            items(nested_by_async_stream)?,
        ),
    ];
    for (case, own, other) in &generators {
        contest(
            &options,
            case,
            own,
            ("async-stream", other),
            GENERATOR_BOUND,
        );
    }
    for (case, yields) in [
        ("child of 100, ready at once", 0),
        ("child of 100, yields once", 1),
        ("child of 100, yields thrice", 3),
    ] {
        let own = children(yields, in_scope)?;
        let other = children(yields, in_futures_unordered)?;
        let other = ("FuturesUnordered", &other);
        contest(&options, case, &own, other, CHILD_BOUND);
    }
    measure_guard(&options)?;
    compare_sizes();
    Ok(())
}

fn contest(options: &Options, case: &str, own: &Work, (name, other): (&str, &Work), bound: f64) {
    println!("\n{case}, ns each, {} turns", options.turns);
    let mut table = [("coreloop", Samples::default()), (name, Samples::default())];
    // The first turn warms up and does not count.
    for turn in 0..=options.turns {
        for ((_, samples), work) in table.iter_mut().zip([own, other]) {
            let figure = each(work(options.thousands), options.thousands);
            if turn > 0 {
                samples.push(figure);
            }
        }
    }
    report::minima(structure(case), "ns", &table);
    let [(_, own), (_, other)] = &table;
    report::bound(case, own.ratios_to(other), bound);
}

fn measure_guard(options: &Options) -> io::Result<()> {
    println!(
        "\na guard's cleanup handed over, ns, {} turns",
        options.turns
    );
    let runtime = Runtime::new()?;
    let mut samples = Samples::default();
    for turn in 0..=options.turns {
        let figure = runtime.block_on(hand_over(options.thousands));
        if turn > 0 {
            samples.push(each(figure, options.thousands));
        }
    }
    let case = "guard handed over";
    report::minima(structure(case), "ns", &[("coreloop", samples.clone())]);
    report::bound(case, Figure::best(&samples), GUARD_BOUND);
    Ok(())
}

/// Checks that coreloop's locks are no larger than tokio's.
fn compare_sizes() {
    println!("\nbytes of a lock");
    let sizes = [
        (
            "Mutex<()>",
            size_of::<coreloop::sync::Mutex<()>>(),
            size_of::<tokio::sync::Mutex<()>>(),
        ),
        (
            "Semaphore",
            size_of::<coreloop::sync::Semaphore>(),
            size_of::<tokio::sync::Semaphore>(),
        ),
        (
            "Notify",
            size_of::<coreloop::sync::Notify>(),
            size_of::<tokio::sync::Notify>(),
        ),
    ];
    for (name, own, tokio) in sizes {
        println!("{name:<20} coreloop {own}, tokio {tokio}");
        let place = Place {
            part: "sizes",
            case: name,
        };
        place.note("coreloop", ("size", "bytes"), own as f64);
        place.note("tokio", ("size", "bytes"), tokio as f64);
        report::bound(&format!("bytes of {name}"), own as f64, tokio as f64);
    }
}

fn structure(case: &str) -> Place<'_> {
    Place {
        part: "structure",
        case,
    }
}

fn each(time: Duration, thousands: u64) -> f64 {
    time.as_secs_f64() * 1e9 / (thousands * 1000) as f64
}

/// Runs generators to their ends.
fn items<S: Stream + 'static>(make: fn() -> S) -> io::Result<Work> {
    let runtime = Runtime::new()?;
    Ok(Box::new(move |thousands| {
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..thousands {
                let mut items = pin!(make());
                while let Some(item) = items.next().await {
                    black_box(item);
                }
            }
            start.elapsed()
        })
    }))
}

fn numbers() -> impl Stream<Item = u64> {
    stream(async |mut co| {
        for number in 0..ITEMS {
            co.yield_(number).await?;
        }
        Ok(())
    })
}

fn numbers_by_async_stream() -> impl Stream<Item = u64> {
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

/// A generator inside another.
fn nested() -> impl Stream<Item = u64> {
    stream(async |mut co| {
        let mut inner = pin!(numbers());
        while let Some(number) = inner.next().await {
            co.yield_(number).await?;
        }
        Ok(())
    })
}

fn nested_by_async_stream() -> impl Stream<Item = u64> {
    async_stream::stream! {
        let mut inner = pin!(numbers_by_async_stream());
        while let Some(number) = inner.next().await {
            yield number;
        }
    }
}

/// Runs children to their ends, a hundred at once.
fn children<F: Future<Output = u64> + 'static>(
    yields: u32,
    hundred: fn(u32) -> F,
) -> io::Result<Work> {
    let runtime = Runtime::new()?;
    Ok(Box::new(move |thousands| {
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..thousands * 1000 / CHILDREN {
                black_box(hundred(yields).await);
            }
            start.elapsed()
        })
    }))
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

/// Measures the time to drop guards, in a task that has dropped some before. The run of
/// their cleanups is not measured.
async fn hand_over(thousands: u64) -> Duration {
    let mut elapsed = Duration::ZERO;
    for _ in 0..thousands * 1000 / GUARDS {
        let dropped: Vec<_> = (0..GUARDS).map(guard).collect();
        let start = Instant::now();
        drop(dropped);
        elapsed += start.elapsed();
        flush().await;
    }
    elapsed
}

fn guard(number: u64) -> AsyncGuard<u64, impl AsyncFnOnce(u64) + 'static> {
    AsyncGuard::new(number, async |number| {
        black_box(number);
    })
}
