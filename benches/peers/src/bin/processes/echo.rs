//! Server CPU time per 64-byte echo, with a worker for each core.

use std::io;
use std::thread;

use clap::Args;

use crate::child::{Server, limit_time, raise_descriptor_limit};
use crate::family::Family;
use crate::load::Load;
use crate::report;
use crate::samples::Samples;
use crate::serve::{self, Kind, Service};

/// How many times tokio's CPU time an echo may cost.
const BOUND: f64 = 0.88;

const KINDS: [Kind; 4] = [Kind::Processes, Kind::Threads, Kind::Tokio, Kind::Bare];

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How many workers, and cores.
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// How many connections in all.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How often all servers are started anew.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// How many turns each server gets per start.
    #[arg(long, default_value_t = 20)]
    turns: usize,
    /// How many echoes make a turn.
    #[arg(long, default_value_t = 32_000)]
    echoes: u64,
    /// How many threads of the client share the connections.
    #[arg(long, default_value_t = 1)]
    clients: usize,
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    raise_descriptor_limit()?;
    limit_time(600);
    println!(
        "server CPU per 64-byte echo, {} workers, {} connections, {} turns of {} echoes each",
        options.workers,
        options.connections,
        options.starts * options.turns,
        options.echoes
    );
    let mut samples = vec![Samples::default(); KINDS.len()];
    for _ in 0..options.starts {
        let mut contestants = Vec::with_capacity(KINDS.len());
        for kind in KINDS {
            contestants.push(Contestant::start(kind, options)?);
        }
        // The first turn warms up and does not count.
        for turn in 0..=options.turns {
            for (contestant, samples) in contestants.iter_mut().zip(&mut samples) {
                let used = contestant.turn(options.echoes)?;
                if turn > 0 {
                    samples.push(used);
                }
            }
        }
    }
    let [processes, threads, tokio, bare] = &samples[..] else {
        return Ok(());
    };
    println!(
        "{:<20} {:>9} {:>9} {:>12} {:>12}",
        "", "minimum", "median", "ratio/tokio", "ratio/bare"
    );
    for (kind, own) in KINDS.iter().zip(&samples) {
        println!(
            "{kind:<20} {:>9.0} {:>9.0} {:>12.3} {:>12.3}",
            own.minimum(),
            own.median(),
            own.ratio_to(tokio),
            own.ratio_to(bare)
        );
    }
    report::bound("ratio processes/tokio", processes.ratio_to(tokio), BOUND);
    report::bound("ratio threads/tokio", threads.ratio_to(tokio), BOUND);
    Ok(())
}

/// A server and its clients, which are threads of this process and on no certain
/// core, as the servers are on all of them.
#[derive(Debug)]
struct Contestant {
    _server: Server,
    family: Family,
    loads: Vec<Load>,
}

impl Contestant {
    fn start(kind: Kind, options: &Options) -> io::Result<Contestant> {
        let serve = serve::Options {
            kind,
            service: Service::Echo,
            workers: options.workers,
        };
        let server = Server::start(&serve.words())?;
        let cores = usize::try_from(options.workers).map_err(io::Error::other)?;
        let loads = (0..options.clients)
            .map(|client| {
                let share = (options.connections + client) / options.clients;
                Load::connect(server.port(), share)
            })
            .collect::<io::Result<_>>()?;
        // All workers are there, as each connection has been served.
        let family = Family::of(server.id())?;
        let expected = match kind {
            Kind::Processes => 1 + cores,
            Kind::Threads | Kind::Tokio | Kind::Bare => 1,
        };
        if family.members.len() != expected {
            let count = family.members.len();
            return Err(io::Error::other(format!("{kind}: {count} processes")));
        }
        Ok(Contestant {
            _server: server,
            family,
            loads,
        })
    }

    /// Nanoseconds of CPU time for each echo.
    fn turn(&mut self, echoes: u64) -> io::Result<f64> {
        let share = echoes / self.loads.len() as u64;
        let before = self.family.cpu_time()?;
        thread::scope(|scope| {
            let loads = self.loads.iter_mut();
            let clients: Vec<_> = loads
                .map(|load| scope.spawn(move || load.stream(share)))
                .collect();
            clients.into_iter().try_for_each(|client| {
                let ended = client.join();
                ended.unwrap_or_else(|_| Err(io::Error::other("a client panicked")))
            })
        })?;
        let used = self.family.cpu_time()?.saturating_sub(before);
        let done = share * self.loads.len() as u64;
        Ok(used.as_secs_f64() * 1e9 / done as f64)
    }
}
