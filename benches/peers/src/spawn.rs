//! Spawn and join: nanoseconds per task, 100 tasks at once.

use std::io;

use clap::Args;

use crate::child::limit_time;
use crate::executors;
use crate::report::{self, Place};
use crate::samples::Samples;

/// The bound, in times monoio's.
const BOUND: f64 = 0.7;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How many tasks are alive at once.
    #[arg(long, default_value_t = 100)]
    tasks: usize,
    /// How often they are spawned and joined in one turn.
    #[arg(long, default_value_t = 1000)]
    rounds: u64,
    /// How many turns each runtime gets.
    #[arg(long, default_value_t = 15)]
    turns: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            tasks: 100,
            rounds: 1000,
            turns: 15,
        }
    }
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    limit_time(300);
    println!(
        "\nspawn and join, {} tasks at once, ns per task, {} turns",
        options.tasks, options.turns
    );
    let mut executors = executors::all()?;
    let mut samples = vec![Samples::default(); executors.len()];
    let spawned = options.tasks as f64 * options.rounds as f64;
    for _ in 0..options.turns {
        for (executor, samples) in executors.iter_mut().zip(&mut samples) {
            let time = executor.spawn_and_join(options.tasks, options.rounds);
            samples.push(time.as_secs_f64() * 1e9 / spawned);
        }
    }
    let table: Vec<_> = executors
        .iter()
        .map(|executor| executor.name())
        .zip(samples)
        .collect();
    let place = Place {
        part: "tasks",
        case: "spawn and join",
    };
    report::minima(place, "ns", &table);
    report::against("spawn and join", &table, &["monoio"], BOUND);
    Ok(())
}
