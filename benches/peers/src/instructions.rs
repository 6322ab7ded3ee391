//! User-space instructions per echo, counted by callgrind.
//!
//! Each server runs twice, the second time with twice the echoes; the
//! difference is free of what starting, connecting and ending cost. System
//! calls count as the instructions of their stubs: what the kernel does is the
//! same for all.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::time::Duration;
use std::{env, ffi::OsString};

use clap::Args;

use crate::child::{Server, limit_time, options, pin_to_core};
use crate::load::Load;
use crate::report;
use crate::server::{Buffer, Runtime};

/// Instructions per echo.
const BOUND: f64 = 260.0;

#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Who serves. glommio cannot: valgrind knows no `io_uring`.
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
    if !has_valgrind() {
        report::left_out(
            "all",
            "valgrind is not installed (Debian: apt-get install valgrind)",
        );
        return Ok(());
    }
    // The server gives way to the client, on the same core: the client sends a
    // message on every connection before the server sees the first, and so
    // all servers get their events in equal batches.
    pin_to_core(choice.core)?;
    for runtime in &choice.runtimes {
        if *runtime == Runtime::Glommio {
            report::left_out(runtime, "valgrind knows no io_uring");
            continue;
        }
        let short = count(choice, *runtime, choice.rounds)?;
        let long = count(choice, *runtime, 2 * choice.rounds)?;
        let echoes = choice.rounds as f64 * choice.connections as f64;
        let instructions = long.saturating_sub(short) as f64 / echoes;
        println!("{runtime:<20} {instructions:>9.1}");
        if *runtime == Runtime::Coreloop {
            report::bound("coreloop instructions per echo", instructions, BOUND);
        }
    }
    Ok(())
}

fn has_valgrind() -> bool {
    let version = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// The instructions of one whole run of the server.
fn count(choice: &Options, runtime: Runtime, rounds: u64) -> io::Result<u64> {
    limit_time(300);
    let folder = choice.keep.clone().unwrap_or_else(env::temp_dir);
    let file = folder.join(format!(
        "callgrind.{}.{}",
        runtime.to_string().replace(' ', "_"),
        process::id()
    ));
    let mut output = OsString::from("--callgrind-out-file=");
    output.push(&file);
    let valgrind = [
        "nice".into(),
        "-n19".into(),
        "valgrind".into(),
        "--tool=callgrind".into(),
        "--quiet".into(),
        output,
    ];
    let mut server = options(runtime, choice.connections, choice.buffer);
    server.core = Some(choice.core);
    let server = Server::start_under(&valgrind, &server)?;
    let mut load = Load::connect(server.port(), choice.connections)?;
    load.rounds(rounds)?;
    // The server ends when its last connection does, and callgrind writes its
    // file then.
    drop(load);
    server.wait(Duration::from_secs(60))?;
    let total = total(&file);
    if choice.keep.is_none() {
        fs::remove_file(&file)?;
    }
    total
}

/// The instructions that a callgrind file sums up.
fn total(file: &Path) -> io::Result<u64> {
    fs::read_to_string(file)?
        .lines()
        .find_map(|line| {
            line.strip_prefix("totals:")
                .or_else(|| line.strip_prefix("summary:"))?
                .trim()
                .parse()
                .ok()
        })
        .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "callgrind's file has no total"))
}
