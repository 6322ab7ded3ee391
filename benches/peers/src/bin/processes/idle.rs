//! The cost of an idle master and its workers.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;

use crate::child::{Server, limit_time};
use crate::family::Family;
use crate::load::Load;
use crate::report;
use crate::serve::{self, Kind, Service};

/// The bound, in percent of a core.
const BOUND: f64 = 0.1;

/// The interval of heartbeats, a quarter of the ten seconds for which a worker may be
/// silent.
const BEAT: Duration = Duration::from_millis(2500);

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How many workers.
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// For how many seconds to measure.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    limit_time(options.seconds + 60);
    let serve = serve::Options {
        kind: Kind::Processes,
        service: Service::Echo,
        workers: options.workers,
        pin: true,
    };
    let server = Server::start(&serve.words())?;
    // Enough connections for every worker to get some, so that the workers are idle but not
    // unused.
    let load = Load::connect(server.port(), 64)?;
    let family = Family::of(server.id())?;
    // The work that follows the start has ended by then.
    sleep(BEAT);
    let (start, cpu, wake_ups) = (Instant::now(), family.cpu_time()?, family.wake_ups()?);
    sleep(Duration::from_secs(options.seconds.into()));
    let after = family.wake_ups()?;
    let (elapsed, cpu) = (start.elapsed(), family.cpu_time()?.saturating_sub(cpu));
    drop(load);
    let beats = elapsed.as_secs_f64() / BEAT.as_secs_f64();
    println!(
        "a master and {} workers with 64 connections and nothing to do, for {elapsed:.0?}",
        options.workers
    );
    println!("a beat is due {beats:.0} times in each worker");
    let names = ["master".to_owned()].into_iter();
    let names = names.chain((0..).map(|slot| format!("worker {slot}")));
    for (name, (after, before)) in names.zip(after.iter().zip(&wake_ups)) {
        println!("{name:<9} {:>4} wake-ups", after - before);
    }
    let share = 100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64();
    report::bound("CPU, percent of a core", share, BOUND);
    Ok(())
}
