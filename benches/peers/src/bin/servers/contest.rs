//! Servers in turns: the cost of a request on each.
//!
//! Each server is a process on one core, and the client is on another. The servers take
//! short turns, so that a disturbance of the machine affects all of them. They are
//! restarted several times, because the memory layout of a process matters too.

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use crate::callgrind;
use crate::child::{Server, limit_time, pin_to_core, raise_descriptor_limit};
use crate::report::{self, Place};
use crate::samples::Samples;
use crate::serve::{self, Runtime, Service};

/// The options of all contests.
#[derive(Args, Clone, Debug)]
pub(crate) struct Turns {
    /// How often all servers are restarted.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// How many turns each server gets per start.
    #[arg(long, default_value_t = 20)]
    turns: usize,
    /// The server's core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The client's core.
    #[arg(long, default_value_t = 1)]
    client_core: usize,
    /// Counts user-space instructions by callgrind instead of measuring the time.
    #[arg(long)]
    pub(crate) instructions: bool,
    /// Keeps callgrind's files in this folder, for `callgrind_annotate`.
    #[arg(long, requires = "instructions")]
    keep: Option<PathBuf>,
}

/// A contestant.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) server: serve::Options,
}

impl Contestant {
    pub(crate) fn new(service: Service, runtime: Runtime) -> Contestant {
        Contestant {
            name: runtime.name(),
            server: serve::Options::new(service, runtime),
        }
    }
}

/// Drives a server: sends a number of requests, and returns how many it sent.
pub(crate) type Drive = Box<dyn FnMut(u64) -> io::Result<u64>>;

/// The work in a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) requests: u64,
    pub(crate) connections: Connections,
}

/// Whether requests share connections.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Connections {
    /// This number of connections, for the server's life.
    Kept(u64),
    PerRequest,
}

/// The figures of a contestant, per request.
#[derive(Debug)]
pub(crate) struct Score {
    pub(crate) name: &'static str,
    /// The server's CPU time, user and system, in nanoseconds.
    pub(crate) cpu: Samples,
    /// The elapsed time, in nanoseconds.
    pub(crate) wall: Samples,
}

/// Gives each contestant its turns, and prints the figures. `connect` creates the client of
/// the server at a port. Returns `None` if instructions were counted instead.
pub(crate) fn run(
    title: &str,
    choice: &Turns,
    turn: Turn,
    contestants: &[Contestant],
    connect: impl Fn(u16) -> io::Result<Drive>,
) -> io::Result<Option<Vec<Score>>> {
    raise_descriptor_limit()?;
    if choice.instructions {
        println!("\n{title}: user-space instructions per request");
        count(choice, turn, contestants, connect)?;
        return Ok(None);
    }
    println!(
        "\n{title}: ns per request, {} turns of {} requests",
        choice.starts * choice.turns,
        turn.requests
    );
    limit_time(900);
    pin_to_core(choice.client_core)?;
    let mut scores: Vec<Score> = contestants
        .iter()
        .map(|contestant| Score {
            name: contestant.name,
            cpu: Samples::default(),
            wall: Samples::default(),
        })
        .collect();
    for _ in 0..choice.starts {
        let mut running = Vec::with_capacity(contestants.len());
        for contestant in contestants {
            let mut options = contestant.server.clone();
            options.core = Some(choice.server_core);
            let server = Server::start(&options.words())?;
            let drive = connect(server.port())?;
            running.push((server, drive));
        }
        // The first turn warms up and does not count.
        for number in 0..=choice.turns {
            for ((server, drive), score) in running.iter_mut().zip(&mut scores) {
                let before = server.cpu_time()?;
                let start = Instant::now();
                let requests = drive(turn.requests)? as f64;
                let wall = start.elapsed();
                let cpu = server.cpu_time()?.saturating_sub(before);
                if number > 0 {
                    score.cpu.push(cpu.as_secs_f64() * 1e9 / requests);
                    score.wall.push(wall.as_secs_f64() * 1e9 / requests);
                }
            }
        }
    }
    print(title, &scores);
    Ok(Some(scores))
}

/// Like [`run`], but with callgrind: each server runs twice, the second time with twice the
/// requests. The difference excludes the cost of starting, connecting and ending.
fn count(
    choice: &Turns,
    turn: Turn,
    contestants: &[Contestant],
    connect: impl Fn(u16) -> io::Result<Drive>,
) -> io::Result<()> {
    if !callgrind::is_installed() {
        return Ok(());
    }
    pin_to_core(choice.server_core)?;
    for contestant in contestants {
        let count = |requests| {
            let mut server = contestant.server.clone();
            server.core = Some(choice.server_core);
            server.connections = match turn.connections {
                Connections::Kept(connections) => connections,
                Connections::PerRequest => requests,
            };
            let keep = choice.keep.as_deref();
            callgrind::count(contestant.name, &server.words(), keep, |port| {
                connect(port)?(requests).map(drop)
            })
        };
        let (short, long) = (count(turn.requests)?, count(2 * turn.requests)?);
        let instructions = long.saturating_sub(short) as f64 / turn.requests as f64;
        println!("{:<24} {instructions:>9.1}", contestant.name);
    }
    Ok(())
}

fn print(title: &str, scores: &[Score]) {
    let place = Place {
        part: "servers",
        case: title,
    };
    println!(
        "{:<24} {:>9} {:>9} {:>9} {:>9}   times the last row's",
        "", "cpu min", "cpu", "time min", "time"
    );
    let Some(last) = scores.last() else { return };
    for score in scores {
        println!(
            "{:<24} {:>9.0} {:>9.0} {:>9.0} {:>9.0}   cpu {:.3}, time {:.3}",
            score.name,
            score.cpu.minimum(),
            score.cpu.median(),
            score.wall.minimum(),
            score.wall.median(),
            score.cpu.ratio_to(&last.cpu),
            score.wall.ratio_to(&last.wall),
        );
        place.note(score.name, ("CPU", "ns"), &score.cpu);
        place.note(score.name, ("throughput", "/s"), score.wall.per_second());
    }
}

/// Prints the verdict on the ratio of the first contestant's CPU time to the other's, which
/// has an upper bound. `title` is the title of the contest.
pub(crate) fn judge_cpu(title: &str, own: &Score, other: &Score, bound: f64) {
    let what = format!("{title}: CPU per request, {}/{}", own.name, other.name);
    report::bound(&what, own.cpu.ratios_to(&other.cpu), bound);
}

/// Prints the verdict on the ratio of the first contestant's throughput to the other's,
/// which has a lower bound.
pub(crate) fn judge_throughput(title: &str, own: &Score, other: &Score, bound: f64) {
    let what = format!("{title}: throughput, {}/{}", own.name, other.name);
    report::bound_below(&what, other.wall.ratios_to(&own.wall), bound);
}
