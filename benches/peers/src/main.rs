//! Benches of coreloop and its peers: tokio, monoio, smol, compio, glommio and a bare epoll
//! loop.
//!
//! Each subcommand prints a table, and each ratio that has a bound with its bound.
//! `README.md` describes the measurements.

mod callgrind;
mod channels;
mod child;
mod cpu;
mod executors;
mod instructions;
mod load;
mod locks;
mod memory;
#[expect(dead_code, reason = "the other programs use all of it")]
mod report;
#[expect(dead_code, reason = "the other programs use all of it")]
mod samples;
mod server;
mod serving;
mod spawn;
mod wake;

#[path = "../../workload/locking.rs"]
mod locking;
#[path = "../../workload/passing.rs"]
mod passing;
#[path = "../../workload/spawning.rs"]
mod spawning;
#[path = "../../workload/waking.rs"]
mod waking;
#[path = "../../workload/yielding.rs"]
mod yielding;

use std::io;

use clap::{Parser, Subcommand};

/// Measures coreloop and its peers.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// User-space instructions per echo, counted by callgrind.
    Instructions(instructions::Options),
    /// Server CPU time per echo, with 64 and with 1000 connections.
    Cpu(cpu::Options),
    /// Spawn and join, 100 tasks at once.
    Spawn(spawn::Options),
    /// Self-wake through the queue, 100 tasks.
    Wake(wake::Options),
    /// Channels: a value through each kind.
    Channels(channels::Options),
    /// Resident bytes per idle connection.
    Memory(memory::Options),
    /// Locks, uncontended and contended.
    Locks(locks::Options),
    /// All of the above with their defaults.
    All,
    /// Serves echo on one runtime, prints its port, and exits when all
    /// connections have closed.
    Serve(server::Options),
    /// Drives a server that `serve` started.
    Load(load::Options),
}

fn main() -> io::Result<()> {
    match Arguments::parse().command {
        Command::Instructions(options) => instructions::measure(&options),
        Command::Cpu(options) => cpu::measure(&options),
        Command::Spawn(options) => spawn::measure(&options),
        Command::Wake(options) => wake::measure(&options),
        Command::Channels(options) => channels::measure(&options),
        Command::Memory(options) => memory::measure(&options),
        Command::Locks(options) => locks::measure(&options),
        Command::All => all(),
        Command::Serve(options) => server::serve(&options),
        Command::Load(options) => load::run(&options),
    }
}

fn all() -> io::Result<()> {
    spawn::measure(&spawn::Options::default())?;
    wake::measure(&wake::Options::default())?;
    channels::measure(&channels::Options::default())?;
    locks::measure(&locks::Options::default())?;
    cpu::measure(&cpu::Options::default())?;
    memory::measure(&memory::Options::default())?;
    instructions::measure(&instructions::Options::default())
}
