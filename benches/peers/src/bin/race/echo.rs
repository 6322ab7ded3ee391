//! The race: throughput, cost and latency of echoes.

use std::io;
use std::time::Duration;

use clap::Args;

use crate::child::{Server, limit_time, pin_to_core, raise_descriptor_limit};
use crate::client::{Client, Round};
use crate::report::Place;
use crate::samples::Samples;
use crate::serve::{self, Buffer, Runtime};

/// The names of the percentiles of the latencies.
const PERCENTILES: [(&str, f64); 3] = [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)];

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The servers.
    #[arg(long, value_enum, value_delimiter = ',', default_values = serve::EVERYBODY)]
    runtimes: Vec<Runtime>,
    /// How long the messages are, in bytes.
    #[arg(long, value_delimiter = ',', default_values = ["64", "16384"])]
    sizes: Vec<usize>,
    /// How many connections.
    #[arg(long, value_delimiter = ',', default_values = ["1", "64", "1000"])]
    connections: Vec<usize>,
    /// How many messages are outstanding on each connection.
    #[arg(long, value_delimiter = ',', default_values = ["1", "16"])]
    depths: Vec<usize>,
    /// How often all servers are restarted.
    #[arg(long, default_value_t = 2)]
    starts: usize,
    /// How many turns each server gets per start.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// How many milliseconds make a turn.
    #[arg(long, default_value_t = 150)]
    milliseconds: u64,
    /// The server's core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The client's core.
    #[arg(long, default_value_t = 1)]
    client_core: usize,
}

/// A contestant.
#[derive(Debug)]
struct Contestant {
    runtime: Runtime,
    server: Server,
    client: Client,
}

/// The figures of a contestant.
#[derive(Clone, Debug, Default)]
struct Score {
    /// Echoes per second.
    throughput: Samples,
    /// Nanoseconds of the server's CPU time per echo.
    cpu: Samples,
    /// Microseconds, in the order of [`PERCENTILES`].
    latencies: [Samples; PERCENTILES.len()],
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    raise_descriptor_limit()?;
    pin_to_core(options.client_core)?;
    let runtimes = serve::those_that_start(&options.runtimes);
    for size in &options.sizes {
        for connections in &options.connections {
            for depth in &options.depths {
                race(options, &runtimes, (*size, *connections, *depth))?;
            }
        }
    }
    Ok(())
}

fn race(
    choice: &Options,
    runtimes: &[Runtime],
    (size, connections, depth): (usize, usize, usize),
) -> io::Result<()> {
    limit_time(300);
    let bytes = if size < 1024 {
        format!("{size} B")
    } else {
        format!("{} KiB", size / 1024)
    };
    let buffer = if size < 4096 {
        Buffer::Bytes4096
    } else {
        Buffer::Bytes16384
    };
    let case = format!("{bytes}, connections {connections}, depth {depth}");
    println!(
        "\necho of {case}, {} turns of {} ms",
        choice.starts * choice.turns,
        choice.milliseconds
    );
    let mut scores = vec![Score::default(); runtimes.len()];
    for _ in 0..choice.starts {
        let mut contestants = Vec::with_capacity(runtimes.len());
        for runtime in runtimes {
            let mut options = serve::Options::new(*runtime, connections, buffer);
            options.core = Some(choice.server_core);
            let server = Server::start(&options.words())?;
            let client = Client::connect(server.port(), connections, size, depth)?;
            contestants.push(Contestant {
                runtime: *runtime,
                server,
                client,
            });
        }
        // The first turn warms up and does not count.
        for turn in 0..=choice.turns {
            for (contestant, score) in contestants.iter_mut().zip(&mut scores) {
                let time = Duration::from_millis(choice.milliseconds);
                let (round, cpu) = contestant.turn(time)?;
                if turn > 0 {
                    score.add(&round, cpu);
                }
            }
        }
    }
    print(&case, runtimes, &scores);
    Ok(())
}

impl Contestant {
    /// Runs a turn, and returns its result with the server's CPU time.
    fn turn(&mut self, time: Duration) -> io::Result<(Round, Duration)> {
        let before = self.server.cpu_time()?;
        let round = self.client.run(time);
        let round = round.map_err(|error| {
            let runtime = self.runtime;
            io::Error::new(error.kind(), format!("{runtime}: {error}"))
        })?;
        let cpu = self.server.cpu_time()?.saturating_sub(before);
        Ok((round, cpu))
    }
}

impl Score {
    fn add(&mut self, round: &Round, cpu: Duration) {
        let echoes = round.echoes as f64;
        self.throughput.push(echoes / round.elapsed.as_secs_f64());
        self.cpu.push(cpu.as_secs_f64() * 1e9 / echoes);
        for ((_, percentile), samples) in PERCENTILES.iter().zip(&mut self.latencies) {
            let nanoseconds = round.latencies.value_at_percentile(*percentile);
            samples.push(nanoseconds as f64 / 1e3);
        }
    }
}

fn print(case: &str, runtimes: &[Runtime], scores: &[Score]) {
    println!(
        "{:<20} {:>10} {:>9} {:>9} {:>9} {:>9}",
        "", "echoes/s", "CPU ns", "p50 us", "p99 us", "p99.9 us"
    );
    let place = Place { part: "echo", case };
    for (runtime, score) in runtimes.iter().zip(scores) {
        let [p50, p99, p999] = &score.latencies;
        println!(
            "{runtime:<20} {:>10.0} {:>9.0} {:>9.1} {:>9.1} {:>9.1}",
            score.throughput.median(),
            score.cpu.median(),
            p50.median(),
            p99.median(),
            p999.median()
        );
        place.note(runtime, ("throughput", "/s"), &score.throughput);
        place.note(runtime, ("CPU", "ns"), &score.cpu);
        for ((name, _), samples) in PERCENTILES.iter().zip(&score.latencies) {
            place.note(runtime, (name, "µs"), samples);
        }
    }
}
