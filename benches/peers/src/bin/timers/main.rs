//! Timers: the cost of setting, cancelling and firing them, their delays, and the time
//! until a wake from another thread arrives.
//!
//! A separate binary, because the code that it instantiates would change how the compiler
//! divides and inlines the code whose instructions `instructions` counts.

mod runtimes;

#[path = "../../../../workload/posting.rs"]
mod posting;
#[path = "../../report.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod report;
#[path = "../../samples.rs"]
#[expect(dead_code, reason = "the other programs use all of it")]
mod samples;
#[path = "../../../../workload/timing.rs"]
mod timing;
#[path = "../../../../workload/yielding.rs"]
mod yielding;

use std::io;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use nix::time::ClockId;
use nix::unistd::alarm;

use self::report::Place;
use self::runtimes::TimerRuntime;
use self::samples::Samples;

/// The bound on setting and cancelling, in times the best peer's.
const BOUND_CANCEL: f64 = 0.45;
/// The bound on the CPU time of a timer that fires, in times the best peer's.
const BOUND_FIRE: f64 = 0.5;
/// The bound on the median overshoot, in microseconds.
const BOUND_OVERSHOOT: f64 = 70.0;
/// The bound on a wake from another thread, in times tokio's.
const BOUND_WAKE: f64 = 1.0;

/// The length of the sleeps whose overshoot is measured.
const SHORT: Duration = Duration::from_micros(100);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Set and cancel a timer while others are live.
    Cancel,
    /// Tasks that each sleep 1 to 20 ms: the CPU time of each.
    Fire,
    /// The overshoot of a sleep of 100 µs.
    Overshoot,
    /// The time from the wake by another thread to the poll, with the loop parked.
    Wake,
}

/// Measures timers of coreloop and of its peers.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Options {
    /// What to measure; by default all.
    #[arg(long, value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
    /// How many timers are live while others are set and cancelled.
    #[arg(long, default_value_t = 1000)]
    live: u64,
    /// How many are set and cancelled in one turn.
    #[arg(long, default_value_t = 100_000)]
    cancelled: u64,
    /// How many tasks sleep.
    #[arg(long, default_value_t = 10_000)]
    tasks: u64,
    /// How many short sleeps, and wakes by a thread, make one turn.
    #[arg(long, default_value_t = 200)]
    waits: usize,
    /// How many turns each runtime gets.
    #[arg(long, default_value_t = 15)]
    turns: usize,
}

fn main() -> io::Result<()> {
    let options = &Options::parse();
    let wanted = |part| options.parts.is_empty() || options.parts.contains(&part);
    if wanted(Part::Cancel) {
        measure_cancel(options)?;
    }
    if wanted(Part::Fire) {
        measure_fire(options)?;
    }
    if wanted(Part::Overshoot) {
        measure_overshoot(options)?;
    }
    if wanted(Part::Wake) {
        measure_wake(options)?;
    }
    Ok(())
}

fn measure_cancel(options: &Options) -> io::Result<()> {
    println!(
        "\nset and cancel a timer, {} live, ns, {} turns",
        options.live, options.turns
    );
    let table = in_turns(options, |runtime| {
        let time = runtime.set_and_cancel(options.live, options.cancelled);
        Some(time.as_secs_f64() * 1e9 / options.cancelled as f64)
    })?;
    let case = "set and cancel, 1000 live";
    report::minima(timers(case), "ns", &table);
    report::against(case, &table, &peers(&table), BOUND_CANCEL);
    Ok(())
}

fn measure_fire(options: &Options) -> io::Result<()> {
    println!(
        "\n{} tasks each sleeping 1 to 20 ms, CPU ns per timer, {} turns",
        options.tasks, options.turns
    );
    let table = in_turns(options, |runtime| {
        let before = cpu_time()?;
        runtime.sleep_in_tasks(options.tasks);
        let used = cpu_time()?.saturating_sub(before);
        Some(used.as_secs_f64() * 1e9 / options.tasks as f64)
    })?;
    let case = "sleep in a task, CPU time";
    report::minima(timers(case), "ns", &table);
    report::compare(case, &table, &peers(&table), BOUND_FIRE, Samples::median);
    Ok(())
}

fn measure_overshoot(options: &Options) -> io::Result<()> {
    println!(
        "\novershoot of a sleep of {SHORT:?} on an idle loop, median, us, {} turns of {}",
        options.turns, options.waits
    );
    let table = in_turns(options, |runtime| {
        Some(median_micros(runtime.overshoots(SHORT, options.waits)))
    })?;
    report::minima(timers("overshoot of 100 µs"), "µs", &table);
    if let Some((_, own)) = table.first() {
        report::bound("median overshoot", own, BOUND_OVERSHOOT);
    }
    Ok(())
}

fn measure_wake(options: &Options) -> io::Result<()> {
    println!(
        "\nfrom another thread's wake to the poll, loop asleep, median, us, {} turns of {}",
        options.turns, options.waits
    );
    let table = in_turns(options, |runtime| {
        Some(median_micros(runtime.woken_by_a_thread(options.waits)?))
    })?;
    report::minima(timers("wake from another thread"), "µs", &table);
    let row = |name| table.iter().find(|(row, _)| *row == name);
    if let (Some((_, own)), Some((_, tokio))) = (row("coreloop"), row("tokio")) {
        report::bound(
            "wake, ratio coreloop/tokio",
            own.ratios_to(tokio),
            BOUND_WAKE,
        );
    }
    Ok(())
}

/// Gives each runtime its turns, and leaves out runtimes that cannot do the work. The first
/// turn warms up and does not count.
fn in_turns(
    options: &Options,
    mut turn: impl FnMut(&mut dyn TimerRuntime) -> Option<f64>,
) -> io::Result<Vec<(&'static str, Samples)>> {
    // No measurement may hang.
    alarm::set(600);
    let mut runtimes = runtimes::all()?;
    let mut samples = vec![Samples::default(); runtimes.len()];
    for number in 0..=options.turns {
        for (runtime, samples) in runtimes.iter_mut().zip(&mut samples) {
            if let Some(figure) = turn(&mut **runtime)
                && number > 0
            {
                samples.push(figure);
            }
        }
    }
    let names = runtimes.iter().map(|runtime| runtime.name());
    let table = names.zip(samples);
    Ok(table
        .filter(|(_, samples)| samples.median().is_finite())
        .collect())
}

/// Returns the CPU time of this process, user and system, of all threads together.
fn cpu_time() -> Option<Duration> {
    let time = ClockId::CLOCK_PROCESS_CPUTIME_ID.now().ok()?;
    Some(time.into())
}

/// Returns the place of these figures in the report.
fn timers(case: &str) -> Place<'_> {
    Place {
        part: "timers",
        case,
    }
}

/// Returns the names of all runtimes except coreloop.
fn peers(table: &[(&'static str, Samples)]) -> Vec<&'static str> {
    let names = table.iter().map(|(name, _)| *name);
    names.filter(|name| *name != "coreloop").collect()
}

fn median_micros(durations: Vec<Duration>) -> f64 {
    let mut samples = Samples::default();
    for duration in durations {
        samples.push(duration.as_secs_f64() * 1e6);
    }
    samples.median()
}
