//! A criterion suite of coreloop against tokio.
//!
//! 1. A group is one primitive. Its contestants are criterion's functions and
//!    share their parameters, so that criterion draws a line for each in one
//!    plot.
//! 2. Every contestant works on its own loop, which it keeps.
//! 3. The durations of measurements are defined here, for all groups.
//!
//! criterion measures one contestant after the other, and the machine's speed changes in
//! between. So their ratio is measured separately, in turns, and printed at the end.
#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "no file uses all of it"
)]

use std::cell::Cell;
use std::env;
use std::fmt;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{AxisScale, BenchmarkGroup, BenchmarkId, Criterion, PlotConfiguration, Throughput};

use crate::samples::Samples;

const WARM_UP: Duration = Duration::from_millis(300);
const MEASUREMENT: Duration = Duration::from_millis(600);
const SAMPLES: usize = 20;
const RESAMPLES: usize = 10_000;

/// The number of turns of each contestant for the ratio, the time that one turn measures, and
/// the longest time of a turn, after which it measures less. Turns are short, so that on a
/// busy machine some are not interrupted.
const TURNS: usize = 41;
const TURN: Duration = Duration::from_millis(1);
const LONG_TURN: Duration = Duration::from_millis(20);

/// The groups of one file, which `cargo bench` runs.
pub(crate) struct Suite {
    criterion: Criterion,
    ratios: Vec<Ratio>,
}

/// The meaning of a group's parameter.
#[derive(Clone, Copy)]
pub(crate) enum Parameter {
    /// The number of operations in a piece of work.
    Operations,
    /// The number of bytes that a piece of work moves.
    Bytes,
    /// The number of other objects, which take long to set up. So a piece of work has
    /// [`AMONG`] operations.
    Among,
    /// Anything else; a piece of work is one operation.
    Setting,
}

pub(crate) const AMONG: u64 = 1000;

/// The contestants' work on one primitive.
pub(crate) struct Group<'suite> {
    group: BenchmarkGroup<'suite, WallTime>,
    name: &'static str,
    parameter: Parameter,
    peer: &'static str,
    ratios: &'suite mut Vec<Ratio>,
}

/// A line of the table at the end.
struct Ratio {
    work: String,
    peer: &'static str,
    /// The median of the ratios of all pairs of turns.
    ratio: f64,
    /// The times in the best turns, to which a busy machine adds least.
    own_nanoseconds: f64,
    peer_nanoseconds: f64,
}

impl Suite {
    pub(crate) fn new() -> Suite {
        Suite {
            criterion: Criterion::default()
                .warm_up_time(WARM_UP)
                .measurement_time(MEASUREMENT)
                .sample_size(SAMPLES)
                .nresamples(RESAMPLES)
                .configure_from_args(),
            ratios: Vec::new(),
        }
    }

    /// Creates a group whose parameters grow by factors, not by steps.
    pub(crate) fn group(&mut self, name: &'static str, parameter: Parameter) -> Group<'_> {
        let mut group = self.criterion.benchmark_group(name);
        let scale = PlotConfiguration::default().summary_scale(AxisScale::Logarithmic);
        group.plot_config(scale);
        Group {
            group,
            name,
            parameter,
            peer: "tokio",
            ratios: &mut self.ratios,
        }
    }

    /// Writes criterion's index, and prints the ratios.
    pub(crate) fn finish(self) {
        self.criterion.final_summary();
        if self.ratios.is_empty() {
            return;
        }
        println!("Ratios are medians of {TURNS} pairs of turns; times are from the best turns:");
        for ratio in self.ratios {
            println!("{ratio}");
        }
    }
}

impl Group<'_> {
    /// Sets the name of the other contestant, if it is not tokio itself.
    pub(crate) fn against(mut self, peer: &'static str) -> Self {
        self.peer = peer;
        self
    }

    /// Lets both do the same work a number of times, each on its loop. Both return the time
    /// that it took.
    pub(crate) fn contest(
        &mut self,
        parameter: usize,
        coreloop: impl AsyncFn(u64) -> Duration,
        peer: impl AsyncFn(u64) -> Duration,
    ) {
        let mut coreloop = on_coreloop(coreloop);
        let mut peer = on_tokio(peer);
        let ran = [
            self.measure("coreloop", parameter, &mut coreloop),
            self.measure(self.peer, parameter, &mut peer),
        ];
        if ran == [true, true] && is_measuring() {
            let operations = match self.parameter {
                Parameter::Operations => parameter as u64,
                Parameter::Among => AMONG,
                Parameter::Bytes | Parameter::Setting => 1,
            };
            let work = format!("{}/{parameter}", self.name);
            let ratio = Ratio::of(work, self.peer, operations, &mut coreloop, &mut peer);
            self.ratios.push(ratio);
        }
    }

    /// Measures work without a peer, on a loop of coreloop.
    pub(crate) fn alone(
        &mut self,
        function: &str,
        parameter: usize,
        work: impl AsyncFn(u64) -> Duration,
    ) {
        self.measure(function, parameter, &mut on_coreloop(work));
    }

    pub(crate) fn finish(self) {
        self.group.finish();
    }

    /// Returns whether criterion was asked to run this.
    fn measure(
        &mut self,
        function: &str,
        parameter: usize,
        work: &mut impl FnMut(u64) -> Duration,
    ) -> bool {
        match self.parameter {
            Parameter::Operations => {
                self.group
                    .throughput(Throughput::Elements(parameter as u64));
            }
            Parameter::Bytes => {
                self.group.throughput(Throughput::Bytes(parameter as u64));
            }
            Parameter::Among | Parameter::Setting => {}
        }
        let ran = Cell::new(false);
        let id = BenchmarkId::new(function, parameter);
        self.group.bench_function(id, |bencher| {
            ran.set(true);
            bencher.iter_custom(&mut *work);
        });
        ran.get()
    }
}

impl Ratio {
    fn of(
        work: String,
        peer: &'static str,
        operations: u64,
        own: &mut impl FnMut(u64) -> Duration,
        other: &mut impl FnMut(u64) -> Duration,
    ) -> Ratio {
        // The turns of both take the same time, and so are disturbed equally often.
        let (own_pieces, other_pieces) = (pieces_of_a_turn(own), pieces_of_a_turn(other));
        let nanoseconds =
            |time: Duration, pieces: u64| time.as_secs_f64() * 1e9 / (pieces * operations) as f64;
        let (mut own_times, mut other_times) = (Samples::default(), Samples::default());
        for _ in 0..TURNS {
            own_times.push(nanoseconds(own(own_pieces), own_pieces));
            other_times.push(nanoseconds(other(other_pieces), other_pieces));
        }
        Ratio {
            work,
            peer,
            ratio: own_times.ratio_to(&other_times),
            own_nanoseconds: own_times.minimum(),
            peer_nanoseconds: other_times.minimum(),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:<36} coreloop {:>12.1} ns   {} {:>12.1} ns   ratio {:.3}   of the best {:.3}",
            self.work,
            self.own_nanoseconds,
            self.peer,
            self.peer_nanoseconds,
            self.ratio,
            self.own_nanoseconds / self.peer_nanoseconds,
        )
    }
}

fn on_coreloop(work: impl AsyncFn(u64) -> Duration) -> impl FnMut(u64) -> Duration {
    let runtime = coreloop::Runtime::new().expect("the kernel has descriptors left");
    move |pieces| runtime.block_on(work(pieces))
}

/// Runs the work on tokio's `LocalRuntime`, which also has one thread, and tasks that need
/// not be `Send`.
fn on_tokio(work: impl AsyncFn(u64) -> Duration) -> impl FnMut(u64) -> Duration {
    let runtime = tokio::runtime::LocalRuntime::new().expect("the kernel has descriptors left");
    move |pieces| runtime.block_on(work(pieces))
}

/// Returns how many pieces of work make a turn. A number is accepted only if it takes long in
/// several trials, so that a disturbance of one does not decide.
fn pieces_of_a_turn(work: &mut impl FnMut(u64) -> Duration) -> u64 {
    let mut lasts_long = |pieces| {
        let start = Instant::now();
        work(pieces) >= TURN || start.elapsed() >= LONG_TURN
    };
    let mut pieces = 1;
    while !(0..5).all(|_| lasts_long(pieces)) {
        pieces *= 2;
    }
    pieces
}

/// Returns whether the benches measure, and do not only check that all of this runs.
fn is_measuring() -> bool {
    let has = |word| env::args().any(|argument| argument == word);
    has("--bench") && !has("--test") && !has("--list") && !has("--profile-time")
}

/// Lets the modules `on_coreloop` and `on_tokio` of the caller do the work of one name, for
/// each of the parameters.
macro_rules! contest {
    ($suite:ident, $group:literal, $parameter:ident $parameters:expr, $($work:ident)::+) => {{
        let mut group = $suite.group($group, $crate::suite::Parameter::$parameter);
        for parameter in $parameters {
            group.contest(
                parameter,
                move |pieces| on_coreloop::$($work)::+(parameter, pieces),
                move |pieces| on_tokio::$($work)::+(parameter, pieces),
            );
        }
        group.finish();
    }};
}

pub(crate) use contest;
