//! Chaos: operators and accidents in a random order that a seed determines, under load.
//!
//! [`Chaos`] runs `programs/process_chaos.rs`, [`Load`] visits it all the time and
//! classifies each visit that fails, and [`Chaos::check_each_worker_answers`] asks the master for
//! the ready workers and connects until each has answered.

pub mod load;
mod operation;
pub mod visit;

use std::collections::HashSet;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::{Pid, kill_process};

use crate::deadline::wait_for;
use crate::process::chaos::load::Load;
use crate::process::chaos::visit::Target;
use crate::process::master::{App, Master, await_end};
use crate::program::{PATIENCE, program};
pub use operation::{Operation, Operations};

/// How many visits there are for each ready worker before one that has not answered counts as
/// missed. By chance, a worker of `n` misses as many visits with a probability of about e^-200.
const VISITS: usize = 200;

/// A program under chaos. Its master, whichever process that is by then, is asked to stop at the
/// end.
pub struct Chaos {
    pub app: App,
    pub first: Master,
    targets: Vec<Target>,
    /// Workers are threads, and cannot be killed.
    threads: bool,
}

/// How long random operations are run.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    Operations(usize),
    Time(Duration),
}

impl Chaos {
    /// Starts the program with these arguments, and with a Unix socket.
    pub fn start(workers: &str) -> Self {
        let app = App::new();
        app.install(&program("process_chaos"));
        let path = app.folder.path("unix");
        let unix = format!("--unix={}", path.display());
        let mut first = Master::start(app.command(&[workers, &unix]));
        let line = first.line(", master ");
        let mut addresses = line.split([' ', ',']).filter_map(|word| word.parse().ok());
        let (tcp, udp) = (addresses.next().unwrap(), addresses.next().unwrap());
        let (_, count) = workers.split_once('=').unwrap();
        first.ready(count.parse().unwrap());
        let targets = vec![Target::Tcp(tcp), Target::Udp(udp), Target::Unix(path)];
        Self {
            app,
            first,
            targets,
            threads: workers.starts_with("--threads"),
        }
    }

    /// Starts clients of each kind, which visit the program until they are stopped.
    pub fn load(&self) -> Load {
        Load::start(&self.targets)
    }

    /// Returns the slots that are ready as the master reports them, with their processes. A thread
    /// has none of its own.
    pub fn ready(&self) -> HashSet<(u64, Option<Pid>)> {
        self.rows("state=ready")
    }

    /// Returns whether the status has a row that begins and continues so.
    pub fn has(&self, start: &str, words: &str) -> bool {
        let status = self.status();
        let mut rows = status.lines();
        rows.any(|row| row.starts_with(start) && row.contains(words))
    }

    /// Connects until the worker of this slot has accepted a connection.
    pub fn connect_to(&self, slot: u64) -> TcpStream {
        let Some(Target::Tcp(address)) = self.targets.first() else {
            panic!("no TCP socket");
        };
        wait_for(|| {
            let (stream, server) = visit::greeted(*address).unwrap();
            (server.slot == slot).then_some(stream)
        })
    }

    fn rows(&self, words: &str) -> HashSet<(u64, Option<Pid>)> {
        let status = self.status();
        let rows = status.lines().filter_map(|row| row.strip_prefix("worker "));
        rows.filter(|row| row.contains(words))
            .filter_map(|row| {
                let (slot, rest) = row.split_once(" pid=")?;
                let (pid, _) = rest.split_once(' ')?;
                let pid = pid.parse().ok().and_then(Pid::from_raw);
                Some((slot.parse().ok()?, pid))
            })
            .collect()
    }

    /// Asks for the status until a master answers: one that is just ending may not.
    fn status(&self) -> String {
        wait_for(|| self.app.try_ask("status").ok()).unwrap()
    }

    fn master(&self) -> Pid {
        let status = self.status();
        let (_, rest) = status.split_once("master pid=").unwrap();
        let (pid, _) = rest.split_once(' ').unwrap();
        Pid::from_raw(pid.parse().unwrap()).unwrap()
    }

    /// Checks that each worker that is reported as ready gets connections and datagrams.
    ///
    /// # Panics
    ///
    /// Panics if a worker has been ready for the time of [`PATIENCE`] and has answered no visit.
    /// The master reports a worker that retires as ready until its queue is empty.
    pub fn check_each_worker_answers(&self) {
        // Workers share a Unix socket, and one of them may accept all its connections.
        let targets = self.targets.iter().filter(|target| !target.is_shared());
        for target in targets {
            self.check_each_answers(target);
        }
    }

    fn check_each_answers(&self, target: &Target) {
        let mut missed: HashSet<(u64, Option<Pid>)> = HashSet::new();
        let start = Instant::now();
        let mut is_first = true;
        loop {
            let ready = self.ready();
            missed = match is_first {
                true => ready.clone(),
                false => &missed & &ready,
            };
            is_first = false;
            if missed.is_empty() {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "silent workers on {target:?}: {missed:?} of {:#?}",
                self.status()
            );
            for _ in 0..VISITS * ready.len() {
                // A visit may meet a worker that was killed, and the load counts such failures.
                if let Ok(server) = target.visit() {
                    missed.remove(&(server.slot, Some(server.pid)));
                    missed.remove(&(server.slot, None));
                }
                if missed.is_empty() {
                    return;
                }
            }
        }
    }

    /// Performs operations in a random order. After each, each ready worker has to answer.
    ///
    /// # Panics
    ///
    /// Panics if a worker is silent.
    pub fn run(&self, load: &Load, seed: u64, length: Length) {
        let kinds = if self.threads {
            Operations::WITHOUT_KILLS
        } else {
            Operations::ALL
        };
        eprintln!("chaos of seed {seed}, {length:?}");
        let mut random = Rng::with_seed(seed);
        let start = Instant::now();
        let mut count = 0;
        while match length {
            Length::Operations(most) => count < most,
            Length::Time(time) => start.elapsed() < time,
        } {
            let operation = kinds.random(&mut random);
            let answer = self.perform(operation, &mut random, load);
            eprintln!("{:>8.2?} {operation:?}: {answer:?}", start.elapsed());
            self.check_each_worker_answers();
            count += 1;
        }
        self.settle();
    }

    /// Waits until a request is answered by the master that is left, with two ready workers.
    pub fn settle(&self) {
        wait_for(|| self.app.try_ask("scale 2").ok()?.ok());
        wait_for(|| (self.rows("").len() == 2 && self.ready().len() == 2).then_some(()));
        self.check_each_worker_answers();
    }

    /// Performs an operation, and returns the answer if it has one.
    pub fn perform(
        &self,
        operation: Operation,
        random: &mut Rng,
        load: &Load,
    ) -> Option<Result<String, String>> {
        let ask = |request: &str| match self.app.try_ask(request) {
            Ok(answer) => Some(answer),
            // The master has just ended, as a new one has taken over.
            Err(error) => Some(Err(format!("no answer: {error}"))),
        };
        match operation {
            Operation::Reload => ask("reload"),
            Operation::Upgrade => ask("upgrade"),
            Operation::FailingUpgrade => {
                self.app.install_script("exit 3");
                let answer = ask("upgrade");
                self.app.install(&program("process_chaos"));
                answer
            }
            Operation::Scale(count) => ask(&format!("scale {count}")),
            Operation::Signal(signal) => {
                // The master may have ended meanwhile.
                let _ = kill_process(self.master(), signal);
                None
            }
            Operation::Kill => {
                let workers: Vec<_> = self.rows("").into_iter().collect();
                if let Some((_, Some(pid))) = random.choice(workers) {
                    load.kill(pid);
                }
                None
            }
            Operation::KillAll => {
                for pid in self.rows("").into_iter().filter_map(|(_, pid)| pid) {
                    load.kill(pid);
                }
                None
            }
        }
    }

    /// Stops the load and then the program, and checks that no visit failed, apart from the ones
    /// that killed workers had accepted.
    ///
    /// # Panics
    ///
    /// Panics if another visit failed.
    pub fn finish(mut self, load: Load) {
        load.finish();
        let last = self.master();
        self.app.ask("stop").unwrap();
        await_end(last);
        assert!(self.first.end().success());
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        // The second request stops the workers at once. It fails if the master has ended.
        for _ in 0..2 {
            let _ = self.app.try_ask("stop");
        }
    }
}
