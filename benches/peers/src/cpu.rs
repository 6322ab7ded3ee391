//! The server's CPU time per echo, user and system together, against the bare loop.

use std::io;
use std::time::Duration;

use clap::Args;

use crate::child::{Server, limit_time, pin_to_core, raise_descriptor_limit};
use crate::load::Load;
use crate::report::{self, Place};
use crate::samples::Samples;
use crate::server::{self, Buffer, Runtime};

/// The numbers of connections, each with the bound on the ratio to the bare loop's time.
const BOUNDS: [(usize, f64); 2] = [(64, 1.03), (1000, 1.06)];

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The servers besides the bare loop.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["coreloop", "tokio", "monoio"])]
    runtimes: Vec<Runtime>,
    /// How often all servers are restarted.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// How many turns each server gets per start.
    #[arg(long, default_value_t = 20)]
    turns: usize,
    /// How many echoes make a turn.
    #[arg(long, default_value_t = 16_000)]
    echoes: u64,
    /// The server's core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The client's core.
    #[arg(long, default_value_t = 1)]
    client_core: usize,
    /// The size of each connection's buffer.
    #[arg(long, value_enum, default_value = "1024")]
    buffer: Buffer,
    /// Sends on every connection, then awaits all replies, instead of answering
    /// each reply at once.
    #[arg(long)]
    lockstep: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            runtimes: vec![Runtime::Coreloop, Runtime::Tokio, Runtime::Monoio],
            starts: 5,
            turns: 20,
            echoes: 16_000,
            server_core: 0,
            client_core: 1,
            buffer: Buffer::Bytes1024,
            lockstep: false,
        }
    }
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    raise_descriptor_limit()?;
    pin_to_core(options.client_core)?;
    for (connections, bound) in BOUNDS {
        measure_with(options, connections, bound)?;
    }
    Ok(())
}

fn measure_with(choice: &Options, connections: usize, bound: f64) -> io::Result<()> {
    limit_time(600);
    println!(
        "\nserver CPU per 64-byte echo, {connections} connections, {} turns of {} echoes each",
        choice.starts * choice.turns,
        choice.echoes
    );
    let mut runtimes = vec![Runtime::Bare];
    runtimes.extend(
        choice
            .runtimes
            .iter()
            .filter(|runtime| **runtime != Runtime::Bare),
    );
    let mut samples = vec![Samples::default(); runtimes.len()];
    for _ in 0..choice.starts {
        let mut contestants = Vec::with_capacity(runtimes.len());
        for runtime in &runtimes {
            let mut options = server::Options::new(*runtime, connections, choice.buffer);
            options.core = Some(choice.server_core);
            let server = Server::start(&options.words())?;
            let load = Load::connect(server.port(), connections)?;
            contestants.push((server, load));
        }
        // The first turn warms up and does not count.
        for turn in 0..=choice.turns {
            for ((server, load), samples) in contestants.iter_mut().zip(&mut samples) {
                let used = turn_of(choice, server, load, connections)?;
                if turn > 0 {
                    samples.push(used.as_secs_f64() * 1e9 / choice.echoes as f64);
                }
            }
        }
    }
    println!(
        "{:<20} {:>9} {:>9} {:>12}",
        "", "minimum", "median", "ratio/bare"
    );
    let case = format!("{connections} connections");
    let place = Place {
        part: "cpu",
        case: &case,
    };
    for (runtime, own) in runtimes.iter().zip(&samples) {
        place.note(runtime, ("CPU", "ns"), own);
        place.note(runtime, ("CPU, times bare", ""), own.ratios_to(&samples[0]));
        let ratio = own.ratio_to(&samples[0]);
        println!(
            "{runtime:<20} {:>9.0} {:>9.0} {ratio:>12.3}",
            own.minimum(),
            own.median()
        );
    }
    if let Some(row) = runtimes
        .iter()
        .position(|runtime| *runtime == Runtime::Coreloop)
    {
        report::bound(
            &format!("ratio coreloop/bare epoll, {case}"),
            samples[row].ratios_to(&samples[0]),
            bound,
        );
    }
    Ok(())
}

fn turn_of(
    choice: &Options,
    server: &Server,
    load: &mut Load,
    connections: usize,
) -> io::Result<Duration> {
    let before = server.cpu_time()?;
    if choice.lockstep {
        load.rounds(choice.echoes / connections as u64)?;
    } else {
        load.stream(choice.echoes)?;
    }
    Ok(server.cpu_time()?.saturating_sub(before))
}
