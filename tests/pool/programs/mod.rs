//! Whole programs with a pool: which processes are left when they are killed, which descriptors
//! their workers inherit, and how they behave when they run out of descriptors, are interrupted
//! or replaced.
#![cfg(target_os = "linux")]

mod built;
mod descriptors;
mod idle;
mod killed;
mod terminal;

use std::io::{PipeWriter, Write, pipe};
use std::process::{Command, Stdio};

use coreloop_test_support::process::master::Master;
use coreloop_test_support::program::program;
use rustix::process::Pid;

/// A program of `programs/pool_app.rs`, and its standard input.
struct App {
    master: Master,
    input: PipeWriter,
}

impl App {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(program("pool_app"));
        command.args(arguments);
        Self::start_command(command)
    }

    fn start_command(command: Command) -> Self {
        let (reader, input) = pipe().unwrap();
        let master = Master::start_with(command, Stdio::from(reader));
        Self { master, input }
    }

    /// Starts a program that can open this many descriptors.
    fn with_descriptors(limit: u32, arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -n $0 && exec \"$@\""])
            .arg(limit.to_string())
            .arg(program("pool_app"))
            .args(arguments);
        Self::start_command(command)
    }

    /// Sends a request, and returns the rest of the line that begins with this word.
    fn ask(&mut self, request: &str, word: &str) -> String {
        writeln!(self.input, "{request}").unwrap();
        self.word(word)
    }

    fn word(&mut self, word: &str) -> String {
        let line = self.master.line(word);
        line.strip_prefix(word)
            .unwrap_or_else(|| panic!("{line}"))
            .trim()
            .to_owned()
    }

    fn workers(&mut self) -> Vec<Pid> {
        pids(&self.ask("workers", "workers"))
    }

    /// Ends the program in an orderly way, and checks that nothing is left.
    fn end(self) {
        let Self { mut master, input } = self;
        drop(input);
        let status = master.end();
        assert!(status.success(), "{status}");
    }
}

fn pids(words: &str) -> Vec<Pid> {
    let pids = words.split_whitespace();
    pids.map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap())
        .collect()
}

fn pid(word: &str) -> Pid {
    pids(word)[0]
}
