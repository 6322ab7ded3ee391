//! Server CPU time per 64-byte echo, with a worker for each core.
//!
//! The cost of an echo depends on the circumstances: a slower server finds larger batches,
//! and a server whose threads run on the client's core wakes the client at less cost. So
//! all contestants are measured pinned and not pinned, compared only with those placed the
//! same, in a closed loop and at a rate that is the same for all.

use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use crate::child::{Server, limit_time, raise_descriptor_limit};
use crate::family::Family;
use crate::load::Load;
use crate::pace;
use crate::report::{self, Place};
use crate::samples::Samples;
use crate::serve::{self, Kind, Service};

/// The bound on the CPU time per echo, in times tokio's.
const BOUND: f64 = 0.88;

/// The number of turns per second at a fixed rate.
const TURNS_PER_SECOND: u64 = 5;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The servers.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["processes", "tokio", "bare"])]
    kinds: Vec<Kind>,
    /// How many workers, and cores.
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// How many connections in all.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How often all servers are restarted.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// How many turns each server gets per start.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// How many echoes make a turn of the closed loop.
    #[arg(long, default_value_t = 32_000)]
    echoes: u64,
    /// How many threads of the client share the connections.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    clients: Vec<usize>,
    /// How many messages the client sends each second; 0 is the closed loop.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 20_000])]
    rates: Vec<u64>,
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    raise_descriptor_limit()?;
    println!(
        "server CPU per 64-byte echo, {} workers, {} connections, {} turns each",
        options.workers,
        options.connections,
        options.starts * options.turns
    );
    for &rate in &options.rates {
        for &clients in &options.clients {
            let demand = Demand {
                clients,
                rate: (rate > 0).then_some(rate),
                echoes: options.echoes,
            };
            measure_with(options, &demand)?;
        }
    }
    Ok(())
}

fn measure_with(options: &Options, demand: &Demand) -> io::Result<()> {
    limit_time(600);
    let rows: Vec<(Kind, bool)> = [true, false]
        .into_iter()
        .flat_map(|pin| options.kinds.iter().map(move |kind| (*kind, pin)))
        .collect();
    let mut scores = vec![Score::default(); rows.len()];
    for _ in 0..options.starts {
        let mut contestants = Vec::with_capacity(rows.len());
        for &(kind, pin) in &rows {
            contestants.push(Contestant::start(kind, pin, options, demand)?);
        }
        // The first turn warms up and does not count.
        for turn in 0..=options.turns {
            for (contestant, score) in contestants.iter_mut().zip(&mut scores) {
                let figures = contestant.turn(demand, turn as u64)?;
                if turn > 0 {
                    score.push(&figures);
                }
            }
        }
    }
    println!("\n{demand}");
    println!(
        "{:<28} {:>7} {:>7} {:>7} {:>9} {:>8} {:>10}",
        "", "CPU, ns", "/tokio", "/bare", "echoes/s", "wake-ups", "reply, µs"
    );
    let cost_of = |kind: Kind, pin: bool| {
        let row = rows.iter().position(|row| *row == (kind, pin))?;
        Some(&scores[row].cpu)
    };
    for (&(kind, pin), score) in rows.iter().zip(&scores) {
        let to = |peer| cost_of(peer, pin).map_or(f64::NAN, |peer| score.cpu.ratio_to(peer));
        println!(
            "{:<28} {:>7.0} {:>7.3} {:>7.3} {:>9.0} {:>8.3} {:>10.0}",
            format!("{kind}, {}", placement(pin)),
            score.cpu.median(),
            to(Kind::Tokio),
            to(Kind::Bare),
            score.rate.median(),
            score.wake_ups.median(),
            score.reply.median()
        );
        let case = format!("{demand}, {}", placement(pin));
        let place = Place {
            part: "cores",
            case: &case,
        };
        place.note(kind, ("CPU", "ns"), &score.cpu);
        place.note(kind, ("throughput", "/s"), &score.rate);
        place.note(kind, ("wake-ups", ""), &score.wake_ups);
        place.note(kind, ("reply", "µs"), &score.reply);
    }
    for pin in [true, false] {
        for kind in [Kind::Processes, Kind::Threads] {
            if let (Some(own), Some(tokio)) = (cost_of(kind, pin), cost_of(Kind::Tokio, pin)) {
                let what = format!("ratio {kind}/tokio, {demand}, {}", placement(pin));
                report::bound(&what, own.ratios_to(tokio), BOUND);
            }
        }
    }
    Ok(())
}

fn placement(pin: bool) -> &'static str {
    if pin { "pinned" } else { "free" }
}

/// The work of the client, the same for every server.
#[derive(Debug)]
struct Demand {
    /// How many threads the client has.
    clients: usize,
    /// Messages per second; without a rate, the client answers each reply with the next
    /// message.
    rate: Option<u64>,
    /// How many echoes make a turn of the closed loop.
    echoes: u64,
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = if self.clients == 1 {
            "thread"
        } else {
            "threads"
        };
        match self.rate {
            Some(rate) => write!(f, "{rate} echoes a second, ")?,
            None => write!(f, "closed loop, ")?,
        }
        write!(f, "{} {threads} of the client", self.clients)
    }
}

/// The figures of a turn.
#[derive(Debug)]
struct Figures {
    /// Nanoseconds of CPU time per echo.
    cpu: f64,
    /// Echoes per second.
    rate: f64,
    /// How often a thread of the server slept and was woken, per echo.
    wake_ups: f64,
    /// Microseconds until a reply arrived, on average.
    reply: f64,
}

/// The figures of all turns.
#[derive(Clone, Debug, Default)]
struct Score {
    cpu: Samples,
    rate: Samples,
    wake_ups: Samples,
    reply: Samples,
}

impl Score {
    fn push(&mut self, figures: &Figures) {
        self.cpu.push(figures.cpu);
        self.rate.push(figures.rate);
        self.wake_ups.push(figures.wake_ups);
        self.reply.push(figures.reply);
    }
}

/// A server and its clients, which are threads of this process and not pinned.
#[derive(Debug)]
struct Contestant {
    _server: Server,
    family: Family,
    loads: Vec<Load>,
}

impl Contestant {
    fn start(kind: Kind, pin: bool, options: &Options, demand: &Demand) -> io::Result<Contestant> {
        let serve = serve::Options {
            kind,
            service: Service::Echo,
            workers: options.workers,
            pin,
        };
        let server = Server::start(&serve.words())?;
        let cores = usize::try_from(options.workers).map_err(io::Error::other)?;
        let loads = (0..demand.clients)
            .map(|client| {
                let share = (options.connections + client) / demand.clients;
                Load::connect(server.port(), share)
            })
            .collect::<io::Result<_>>()?;
        // All workers have started, because each connection has been served.
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

    /// Runs a turn. Turns with the same number have the same arrivals.
    fn turn(&mut self, demand: &Demand, number: u64) -> io::Result<Figures> {
        let clients = self.loads.len() as u64;
        let echoes = demand
            .rate
            .map_or(demand.echoes, |rate| rate / TURNS_PER_SECOND);
        let share = echoes / clients;
        let rate = demand.rate.map(|rate| rate as f64 / clients as f64);
        let (cpu, wake_ups) = (self.family.cpu_time()?, self.wake_ups()?);
        let start = Instant::now();
        let delays = thread::scope(|scope| {
            let clients: Vec<_> = (0..)
                .zip(&mut self.loads)
                .map(|(client, load)| {
                    let seed = number * clients + client;
                    scope.spawn(move || drive(load, share, rate, seed))
                })
                .collect();
            let ended = clients.into_iter().map(|client| {
                let ended = client.join();
                ended.unwrap_or_else(|_| Err(io::Error::other("a client panicked")))
            });
            ended.sum::<io::Result<Duration>>()
        })?;
        let elapsed = start.elapsed();
        let cpu = self.family.cpu_time()?.saturating_sub(cpu);
        let done = (share * clients) as f64;
        Ok(Figures {
            cpu: cpu.as_secs_f64() * 1e9 / done,
            rate: done / elapsed.as_secs_f64(),
            wake_ups: (self.wake_ups()? - wake_ups) as f64 / done,
            reply: delays.as_secs_f64() * 1e6 / done,
        })
    }

    fn wake_ups(&self) -> io::Result<u64> {
        Ok(self.family.wake_ups()?.iter().sum())
    }
}

/// Returns the sum of the times for which messages were in flight.
fn drive(load: &mut Load, echoes: u64, rate: Option<f64>, seed: u64) -> io::Result<Duration> {
    if let Some(rate) = rate {
        return pace::drive(load, echoes, rate, seed);
    }
    let start = Instant::now();
    load.stream(echoes)?;
    // There was one message in flight on each connection all the time.
    Ok(start.elapsed().mul_f64(load.streams.len() as f64))
}
