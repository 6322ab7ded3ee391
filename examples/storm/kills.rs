//! Servers that the storm kills, and how soon they are replaced.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Server;
use crate::say;

/// Kills any one of the servers whenever there have been so many answers since
/// the last time, at any moment of a connection.
#[derive(Debug)]
pub(crate) struct Kills {
    /// How many are still to come.
    left: u64,
    every: u64,
    /// At how many answers the next one is due, or all is over.
    next: u64,
    killed: Vec<u32>,
    /// Who serves each slot, as far as is known.
    alive: HashMap<u32, Server>,
    /// When the server of a slot was killed that nobody has replaced yet.
    vacant: HashMap<u32, Instant>,
    /// From each kill to the first line of the next server of the slot.
    pub(crate) restarts: Vec<Duration>,
}

impl Kills {
    pub(crate) fn new(count: u64, every: u64) -> Kills {
        Kills {
            left: count,
            every,
            next: every,
            killed: Vec::new(),
            alive: HashMap::new(),
            vacant: HashMap::new(),
            restarts: Vec::new(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.killed.len()
    }

    pub(crate) fn has(&self, server: Server) -> bool {
        self.killed.contains(&server.pid)
    }

    /// Whether all are replaced, and have been at work for a while.
    pub(crate) fn are_over(&self, answers: u64) -> bool {
        self.left == 0 && self.vacant.is_empty() && answers >= self.next
    }

    /// A server is heard of for the first time.
    pub(crate) fn appeared(&mut self, server: Server) -> io::Result<()> {
        self.alive.insert(server.slot, server);
        if let Some(killed) = self.vacant.remove(&server.slot) {
            let after = killed.elapsed();
            self.restarts.push(after);
            say(format_args!(
                "restarted {server} after_us={}",
                after.as_micros()
            ))?;
        }
        Ok(())
    }

    /// Kills one of them if it is time to, or a little later. So many clients
    /// are waiting for a greeting now.
    pub(crate) fn proceed(&mut self, answers: u64, waiting: u64) -> io::Result<()> {
        if self.left == 0 || answers < self.next || fastrand::bool() {
            return Ok(());
        }
        let Some(victim) = fastrand::choice(self.alive.values().copied()) else {
            return Ok(());
        };
        self.alive.remove(&victim.slot);
        let pid = i32::try_from(victim.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the server says that it has no pid"))?;
        let now = Instant::now();
        match kill_process(pid, Signal::KILL) {
            // It has been replaced meanwhile, for other reasons.
            Err(Errno::SRCH) => return Ok(()),
            killed => killed?,
        }
        self.vacant.insert(victim.slot, now);
        self.killed.push(victim.pid);
        self.left -= 1;
        self.next = answers + self.every;
        say(format_args!("killed {victim} waiting={waiting}"))
    }
}
