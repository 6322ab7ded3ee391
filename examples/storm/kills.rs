//! The servers that the storm kills, and how soon they are replaced.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Server;
use crate::say;

/// Kills one of the servers after every `every` answers, at any moment of a connection.
#[derive(Debug)]
pub(crate) struct Kills {
    /// How many kills are left.
    left: u64,
    every: u64,
    /// The number of answers at which the next kill is due, or the storm ends.
    next: u64,
    killed: Vec<u32>,
    /// The server of each slot, as far as it is known.
    alive: HashMap<u32, Server>,
    /// When the server of a slot was killed, if it is not replaced yet.
    vacant: HashMap<u32, Instant>,
    /// The times from each kill to the first line of the next server of the slot.
    pub(crate) restarts: Vec<Duration>,
}

impl Kills {
    pub(crate) fn new(count: u64, every: u64) -> Self {
        Self {
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

    /// Returns whether all servers are replaced, and have served for a while.
    pub(crate) fn are_over(&self, answers: u64) -> bool {
        self.left == 0 && self.vacant.is_empty() && answers >= self.next
    }

    /// Notes a server that has answered for the first time.
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

    /// Kills a server if a kill is due. `waiting` clients are not greeted yet.
    pub(crate) fn proceed(&mut self, answers: u64, waiting: u64) -> io::Result<()> {
        if self.left == 0 || answers < self.next || fastrand::bool() {
            return Ok(());
        }
        let Some(victim) = fastrand::choice(self.alive.values().copied()) else {
            return Ok(());
        };
        self.alive.remove(&victim.slot);
        let pid = i32::try_from(victim.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the server reports no pid"))?;
        let now = Instant::now();
        match kill_process(pid, Signal::KILL) {
            // The server has been replaced meanwhile, for another reason.
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
