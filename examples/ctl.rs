//! Sends a request to the control socket of a running supervisor. This starts one:
//!
//! ```sh
//! cargo run -p coreloop-examples --example echo_server -- --workers 2 --control /tmp/echo.sock
//! ```
//!
//! and these commands send requests from another terminal:
//!
//! ```sh
//! cargo run -p coreloop-examples --example ctl -- --socket /tmp/echo.sock status
//! cargo run -p coreloop-examples --example ctl -- --socket /tmp/echo.sock scale 4
//! ```

use std::io;
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use coreloop::process::Control;

#[derive(Parser)]
struct Options {
    /// Where the supervisor listens.
    #[arg(long)]
    socket: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the master and its workers.
    Status,
    /// Replaces all workers.
    Reload,
    /// Replaces one worker.
    Restart { slot: u32 },
    /// Starts the program's file as a new master, which replaces this one.
    Upgrade,
    /// Changes the number of workers.
    Scale { workers: u32 },
    /// Drains the workers, and ends.
    Stop,
}

#[coreloop::main]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut control = Control::connect(&options.socket).await?;
    match options.command {
        Command::Status => print!("{}", control.status().await?),
        Command::Reload => control.reload().await?,
        Command::Restart { slot } => control.restart(slot).await?,
        Command::Upgrade => control.upgrade().await?,
        Command::Scale { workers } => control.scale(workers).await?,
        Command::Stop => control.stop().await?,
    }
    Ok(())
}
