//! A criterion bench of coreloop against tokio that ends with their ratio.
//!
//! criterion measures one contestant after the other, and a machine's pace
//! changes in between; so the ratio is measured apart, in turns.

use std::env;
use std::time::Duration;

use criterion::{Criterion, Throughput};

use crate::samples::Samples;

/// How many turns each contestant gets for the ratio.
const TURNS: usize = 21;

/// Does the work so many times, and answers how long that took.
type Work = Box<dyn FnMut(u64) -> Duration>;

/// One piece of work that both runtimes do.
pub(crate) struct Contest {
    pub(crate) name: &'static str,
    /// How many operations a piece of work has.
    pub(crate) operations: u64,
    /// How many pieces make a turn of some ten milliseconds.
    pub(crate) pieces: u64,
    pub(crate) coreloop: Work,
    pub(crate) tokio: Work,
}

/// Runs them all as `cargo bench` asks for, and prints the ratios.
pub(crate) fn run(contests: &mut [Contest]) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
        .configure_from_args();
    for contest in &mut *contests {
        let mut group = criterion.benchmark_group(contest.name);
        group.throughput(Throughput::Elements(contest.operations));
        group.bench_function("coreloop", |bencher| {
            bencher.iter_custom(&mut contest.coreloop);
        });
        group.bench_function("tokio", |bencher| bencher.iter_custom(&mut contest.tokio));
        group.finish();
    }
    criterion.final_summary();
    let wanted = |word| env::args().any(|argument| argument == word);
    // Not when `cargo test --benches` only tries whether all of this runs.
    if wanted("--bench") && !wanted("--list") && !wanted("--test") {
        contests.iter_mut().for_each(print_ratio);
    }
}

fn print_ratio(contest: &mut Contest) {
    let mut coreloop = Samples::default();
    let mut tokio = Samples::default();
    let nanoseconds = |time: Duration, contest: &Contest| {
        time.as_secs_f64() * 1e9 / (contest.pieces * contest.operations) as f64
    };
    for _ in 0..TURNS {
        coreloop.push(nanoseconds((contest.coreloop)(contest.pieces), contest));
        tokio.push(nanoseconds((contest.tokio)(contest.pieces), contest));
    }
    println!(
        "{}: ratio coreloop/tokio {:.3} (coreloop {:.1} ns, tokio {:.1} ns at best)",
        contest.name,
        coreloop.ratio_to(&tokio),
        coreloop.minimum(),
        tokio.minimum(),
    );
}
