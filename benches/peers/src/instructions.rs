//! User-space instructions per echo, counted by callgrind.
//!
//! Each server runs twice, the second time with twice the echoes; the difference excludes
//! the cost of starting, connecting and ending. A system call counts as the instructions of
//! its stub, because the kernel's work is the same for all.

use std::io;
use std::path::PathBuf;

use clap::Args;

use crate::callgrind;
use crate::child::pin_to_core;
use crate::load::Load;
use crate::report::{self, Place};
use crate::server::{self, Buffer, Runtime};

/// The bound, in instructions per echo.
const BOUND: f64 = 260.0;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The servers. glommio is left out, because valgrind does not support `io_uring`.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_values = ["bare", "coreloop", "tokio", "monoio", "smol", "compio"]
    )]
    runtimes: Vec<Runtime>,
    /// How many connections.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// How many echoes per connection in the shorter run.
    #[arg(long, default_value_t = 1000)]
    rounds: u64,
    /// The size of each connection's buffer.
    #[arg(long, value_enum, default_value = "1024")]
    buffer: Buffer,
    /// The core of server and client.
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// Keeps the longer run's callgrind files in this folder, for
    /// `callgrind_annotate`.
    #[arg(long)]
    keep: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            runtimes: vec![
                Runtime::Bare,
                Runtime::Coreloop,
                Runtime::Tokio,
                Runtime::Monoio,
                Runtime::Smol,
                Runtime::Compio,
            ],
            connections: 16,
            rounds: 1000,
            buffer: Buffer::Bytes1024,
            core: 0,
            keep: None,
        }
    }
}

pub(crate) fn measure(choice: &Options) -> io::Result<()> {
    println!(
        "\nuser-space instructions per 64-byte echo, {} connections, {} echoes",
        choice.connections,
        choice.rounds * choice.connections as u64
    );
    if !callgrind::is_installed() {
        return Ok(());
    }
    // The server has a lower priority than the client, on the same core: the client sends a
    // message on every connection before the server runs, so all servers get their events
    // in equal batches.
    pin_to_core(choice.core)?;
    for runtime in &choice.runtimes {
        if *runtime == Runtime::Glommio {
            report::left_out(runtime, "valgrind does not support io_uring");
            continue;
        }
        let short = count(choice, *runtime, choice.rounds)?;
        let long = count(choice, *runtime, 2 * choice.rounds)?;
        let echoes = choice.rounds as f64 * choice.connections as f64;
        let instructions = long.saturating_sub(short) as f64 / echoes;
        println!("{runtime:<20} {instructions:>9.1}");
        let place = Place {
            part: "instructions",
            case: "64-byte echo",
        };
        place.note(runtime, ("instructions", "instructions"), instructions);
        if *runtime == Runtime::Coreloop {
            report::bound("coreloop instructions per echo", instructions, BOUND);
        }
    }
    Ok(())
}

/// Returns the instructions of one whole run of the server.
fn count(choice: &Options, runtime: Runtime, rounds: u64) -> io::Result<u64> {
    let mut options = server::Options::new(runtime, choice.connections, choice.buffer);
    options.core = Some(choice.core);
    let name = runtime.to_string();
    callgrind::count(&name, &options.words(), choice.keep.as_deref(), |port| {
        let mut load = Load::connect(port, choice.connections)?;
        // The server ends when its last connection does.
        load.rounds(rounds)
    })
}
