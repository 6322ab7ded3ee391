//! Resident bytes per idle connection whose handler has a 64-byte buffer.

use std::io;

use clap::Args;

use crate::child::{Server, limit_time, raise_descriptor_limit};
use crate::load::Load;
use crate::report::{self, Place};
use crate::samples::Samples;
use crate::server::{self, Buffer, Runtime};

/// The bound, in bytes per connection.
const BOUND: f64 = 450.0;

/// The descriptors that a process needs besides its connections.
const OTHER_DESCRIPTORS: u64 = 64;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The servers.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["coreloop", "monoio", "tokio", "smol"])]
    runtimes: Vec<Runtime>,
    /// How many idle connections, as far as the limit on descriptors allows.
    #[arg(long, default_value_t = 10_000)]
    connections: u64,
    /// How many turns each runtime gets.
    #[arg(long, default_value_t = 3)]
    turns: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            runtimes: vec![
                Runtime::Coreloop,
                Runtime::Monoio,
                Runtime::Tokio,
                Runtime::Smol,
            ],
            connections: 10_000,
            turns: 3,
        }
    }
}

pub(crate) fn measure(options: &Options) -> io::Result<()> {
    limit_time(300);
    let descriptors = raise_descriptor_limit()?;
    let connections = options
        .connections
        .min(descriptors.saturating_sub(OTHER_DESCRIPTORS));
    let connections = usize::try_from(connections).unwrap_or(usize::MAX);
    println!(
        "\nresident bytes per idle connection, {connections} connections, {} turns",
        options.turns
    );
    let mut samples = vec![Samples::default(); options.runtimes.len()];
    for _ in 0..options.turns {
        for (runtime, samples) in options.runtimes.iter().zip(&mut samples) {
            samples.push(bytes_per_connection(*runtime, connections)?);
        }
    }
    for (runtime, samples) in options.runtimes.iter().zip(&samples) {
        println!("{runtime:<20} {:>9.0}", samples.median());
        let place = Place {
            part: "memory",
            case: "idle connection",
        };
        place.note(runtime, ("memory", "bytes"), samples);
    }
    if let Some(row) = options
        .runtimes
        .iter()
        .position(|runtime| *runtime == Runtime::Coreloop)
    {
        report::bound("coreloop bytes per connection", &samples[row], BOUND);
    }
    Ok(())
}

/// Measures a server. It echoes once over each connection before its memory is read, so
/// that each connection is registered and waits.
fn bytes_per_connection(runtime: Runtime, connections: usize) -> io::Result<f64> {
    let options = server::Options::new(runtime, connections + 1, Buffer::Bytes64);
    let server = Server::start(&options.words())?;
    // One connection first, so that the pages of the code that it runs count for no
    // connection.
    let mut load = Load::connect(server.port(), 1)?;
    let before = server.resident_bytes()?;
    load.connect_more(server.port(), connections)?;
    let after = server.resident_bytes()?;
    // The server closes first, so that its port, and not the client's, waits for the old
    // connections.
    drop(server);
    Ok(after.saturating_sub(before) as f64 / connections as f64)
}
