//! The workers of an app, as a storm reports them.

use std::collections::{HashMap, HashSet};

use rustix::process::Pid;

use crate::process::master::{App, await_end};
use crate::process::storm::Storm;

/// The workers that the storm has reported.
#[derive(Default)]
pub struct Fleet {
    pub seen: HashSet<Worker>,
    /// The last worker of each slot.
    pub slots: HashMap<u64, Worker>,
}

/// A worker. Threads have the same process, and successive ones differ in the generation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Worker {
    pid: Pid,
    slot: u64,
    generation: u64,
}

impl Fleet {
    /// Waits until workers of `count` slots were reported, none of which is in `before`.
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

    /// Checks that there are `count` worker processes, all of which were reported, and that the
    /// other reported ones have ended.
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
