//! The workers of an app, as a storm hears of them.

use std::collections::{HashMap, HashSet};

use rustix::process::Pid;

use crate::process::master::{App, await_end};
use crate::process::storm::Storm;

/// The workers that the storm has heard of.
#[derive(Default)]
pub struct Fleet {
    pub seen: HashSet<Worker>,
    /// The last one of each slot.
    pub slots: HashMap<u64, Worker>,
}

/// Threads have the same process; one after another, they differ in the generation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Worker {
    pid: Pid,
    slot: u64,
    generation: u64,
}

impl Fleet {
    /// Waits until so many slots have been heard of, none of them as one of `before`.
    pub fn await_slots(&mut self, storm: &mut Storm, count: usize, before: &HashSet<Worker>) {
        let is_new = |worker: &&Worker| !before.contains(worker);
        while self.slots.values().filter(is_new).count() < count {
            let server = storm.await_word("server");
            let pid = i32::try_from(server.number("pid")).unwrap();
            let worker = Worker {
                pid: Pid::from_raw(pid).unwrap(),
                slot: server.number("slot"),
                generation: server.number("generation"),
            };
            self.seen.insert(worker);
            self.slots.insert(worker.slot, worker);
        }
    }

    /// There are so many worker processes, all of them known, and the others are
    /// gone.
    pub fn assert_only(&self, app: &App, count: usize) {
        let workers = app.all_workers();
        assert_eq!(workers.len(), count);
        for pid in &workers {
            assert!(self.seen.iter().any(|worker| worker.pid == *pid));
        }
        for worker in &self.seen {
            if !workers.contains(&worker.pid) {
                await_end(worker.pid);
            }
        }
    }
}
