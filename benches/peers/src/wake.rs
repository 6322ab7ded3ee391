//! Self-wake through the queue: nanoseconds per poll, 100 tasks.

use std::io;

use clap::Args;

use crate::child::limit_time;
use crate::executors;
use crate::report::{self, Place};
use crate::samples::Samples;
use crate::waking::Wake;

/// The bound, in times the best peer's.
const BOUND: f64 = 0.5;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How many tasks take turns.
    #[arg(long, default_value_t = 100)]
    tasks: usize,
    /// How often each wakes itself in one turn.
    #[arg(long, default_value_t = 2000)]
    wakes: u64,
    /// How many turns each runtime gets.
    #[arg(long, default_value_t = 15)]
    turns: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            tasks: 100,
            wakes: 2000,
            turns: 15,
        }
    }
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    limit_time(300);
    for (title, wake) in [
        ("self-wake", Wake::ByRef),
        ("self-wake by a clone", Wake::ByClone),
    ] {
        println!(
            "\n{title}, {} tasks, ns per poll, {} turns",
            options.tasks, options.turns
        );
        let mut executors = executors::all()?;
        let mut samples = vec![Samples::default(); executors.len()];
        let polls = options.tasks as f64 * options.wakes as f64;
        for _ in 0..options.turns {
            for (executor, samples) in executors.iter_mut().zip(&mut samples) {
                let time = executor.wake(options.tasks, options.wakes, wake);
                samples.push(time.as_secs_f64() * 1e9 / polls);
            }
        }
        let table: Vec<_> = executors
            .iter()
            .map(|executor| executor.name())
            .zip(samples)
            .collect();
        let place = Place {
            part: "tasks",
            case: title,
        };
        report::minima(place, "ns", &table);
        if matches!(wake, Wake::ByRef) {
            let peers: Vec<_> = table
                .iter()
                .map(|(name, _)| *name)
                .filter(|name| *name != "coreloop")
                .collect();
            report::against(title, &table, &peers, BOUND);
        }
    }
    Ok(())
}
