//! The growth of the cost with the number of connections: CPU time of the server per echo,
//! and its memory.

use std::io;
use std::time::Duration;

use clap::Args;

use crate::child::{Server, limit_time, pin_to_core, raise_descriptor_limit};
use crate::client::Client;
use crate::report::Place;
use crate::samples::Samples;
use crate::serve::{self, Buffer, Runtime};

/// The length of a message.
const MESSAGE: usize = 64;

/// The descriptors that a process needs besides its connections.
const OTHER_DESCRIPTORS: u64 = 64;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The servers.
    #[arg(long, value_enum, value_delimiter = ',', default_values = serve::EVERYBODY)]
    runtimes: Vec<Runtime>,
    /// How many connections, as far as the limit on descriptors allows.
    #[arg(long, value_delimiter = ',', default_values = ["1", "10", "100", "1000", "10000"])]
    connections: Vec<u64>,
    /// How often each server is restarted.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// How many milliseconds make a turn.
    #[arg(long, default_value_t = 250)]
    milliseconds: u64,
    /// The server's core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The client's core.
    #[arg(long, default_value_t = 1)]
    client_core: usize,
}

/// The figures of a runtime.
#[derive(Clone, Debug, Default)]
struct Score {
    /// Nanoseconds of the server's CPU time per echo.
    cpu: Samples,
    /// Echoes per second.
    throughput: Samples,
    /// Resident bytes of the whole server.
    memory: Samples,
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    let descriptors = raise_descriptor_limit()?;
    pin_to_core(options.client_core)?;
    let runtimes = serve::those_that_start(&options.runtimes);
    for connections in &options.connections {
        let connections = (*connections).min(descriptors.saturating_sub(OTHER_DESCRIPTORS));
        let connections = usize::try_from(connections).map_err(io::Error::other)?;
        measure_with(options, &runtimes, connections)?;
    }
    Ok(())
}

/// Each server has the machine to itself in its turn, because together they would need more
/// descriptors than one client may have.
fn measure_with(choice: &Options, runtimes: &[Runtime], connections: usize) -> io::Result<()> {
    limit_time(300);
    println!(
        "\n64-byte echoes, {connections} connections, {} turns of {} ms",
        choice.starts, choice.milliseconds
    );
    let mut scores = vec![Score::default(); runtimes.len()];
    for _ in 0..choice.starts {
        for (runtime, score) in runtimes.iter().zip(&mut scores) {
            let mut options = serve::Options::new(*runtime, connections, Buffer::Bytes1024);
            options.core = Some(choice.server_core);
            let server = Server::start(&options.words())?;
            let mut client = Client::connect(server.port(), connections, MESSAGE, 1)?;
            let time = Duration::from_millis(choice.milliseconds);
            client.run(time / 4)?;
            let before = server.cpu_time()?;
            let round = client.run(time)?;
            let cpu = server.cpu_time()?.saturating_sub(before);
            let echoes = round.echoes as f64;
            score.cpu.push(cpu.as_secs_f64() * 1e9 / echoes);
            score.throughput.push(echoes / round.elapsed.as_secs_f64());
            score.memory.push(server.resident_bytes()? as f64);
            // The server closes first, so that its port, and not the client's, waits for
            // the old connections.
            drop(server);
        }
    }
    println!("{:<20} {:>9} {:>10} {:>9}", "", "CPU ns", "echoes/s", "MiB");
    let case = connections.to_string();
    let place = Place {
        part: "growth",
        case: &case,
    };
    for (runtime, score) in runtimes.iter().zip(&scores) {
        println!(
            "{runtime:<20} {:>9.0} {:>10.0} {:>9.2}",
            score.cpu.median(),
            score.throughput.median(),
            score.memory.median() / f64::from(1 << 20)
        );
        place.note(runtime, ("CPU", "ns"), &score.cpu);
        place.note(runtime, ("throughput", "/s"), &score.throughput);
        place.note(runtime, ("resident", "bytes"), &score.memory);
    }
    Ok(())
}
