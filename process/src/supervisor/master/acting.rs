//! Doing what the fleet asks for.

use std::io;
use std::os::fd::BorrowedFd;
use std::process;
use std::rc::Rc;

use coreloop_runtime::task::spawn;
use coreloop_runtime::time::Instant;

use super::reap::Reaper;
use super::{Hand, LONGEST_HANDSHAKE, Master, output, spawn as launch, watch};
use crate::channel::{Channel, Start, ToWorker};
use crate::sockets::Bound;
use crate::supervisor::event::Event;
use crate::supervisor::fleet::{Action, WorkerId};
use crate::supervisor::workers::Kind;
use crate::worker::Worker;

impl<F> Master<F>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    /// Does what the fleet asks for. `Some` is the end.
    pub(super) fn act(&mut self) -> Option<Result<(), String>> {
        while let Some(action) = self.fleet.next_action() {
            match action {
                Action::Start {
                    slot,
                    id,
                    generation,
                } => self.start(slot, id, generation),
                Action::Drain { id } => {
                    if let Some(hand) = self.workers.get_mut(&id) {
                        hand.was_told_to_end = true;
                    }
                    self.tell(id, &ToWorker::Drain, &[]);
                }
                Action::Kill { id, why } => self.kill(id, why.text()),
                Action::Abandon { id } => drop(self.workers.remove(&id)),
                Action::Adopt { by, slot } => {
                    let sockets: Vec<_> = self.bounds.iter().map(|at| at.socket(slot)).collect();
                    self.tell(by, &ToWorker::Adopt { slot }, &sockets);
                }
                Action::Release { by, slot } => self.tell(by, &ToWorker::Release { slot }, &[]),
                Action::Grow { slots } => self.grow(slots),
                Action::Steer { slots } => self.steer(slots),
                Action::LookAtQueue { slot } => {
                    let waiting = self.waiting(slot);
                    self.fleet.queue(slot, waiting, Instant::now());
                }
                Action::Close { slot } => {
                    for bound in &mut self.bounds {
                        bound.retire(slot);
                    }
                }
                Action::Reloaded { pass, result } => self.reloaded(pass, &result),
                Action::Scaled(result) => self.scaled(&result),
                Action::Waits { slot, wait } => self.report(&Event::Waits { slot, wait }),
                Action::Finish(result) => return Some(result),
            }
        }
        None
    }

    fn start(&mut self, slot: u32, id: WorkerId, generation: u64) {
        match self.try_start(slot, id, generation) {
            Ok(pid) => self.report(&Event::Started {
                slot,
                pid,
                generation,
            }),
            Err(error) => {
                let how = format!("could not be started: {error}");
                let error = error.to_string();
                self.report(&Event::Failed { slot, error });
                self.fleet.ended(id, &how, Instant::now());
            }
        }
    }

    fn try_start(&mut self, slot: u32, id: WorkerId, generation: u64) -> io::Result<Option<u32>> {
        let started = Instant::now();
        let (ours, theirs) = Channel::pair()?;
        let ours = ours.into_async()?;
        let sender = ours.sender()?;
        let sockets: Vec<_> = self.bounds.iter().map(|bound| bound.socket(slot)).collect();
        let start = Start {
            slot,
            workers: self.fleet.target(),
            generation,
            master: process::id(),
            heartbeat: self.options.settings.heartbeat,
            drain: self.options.settings.drain,
            core: self.core(slot),
            sockets: self.bounds.iter().map(Bound::kind).collect(),
        };
        // It fits into the empty socket, and is there when the worker looks.
        sender.send(&ToWorker::Start(Box::new(start)), &sockets)?;
        let happens = self.happens.clone();
        let (pid, killer) = match self.options.kind {
            Kind::Processes => {
                let mut child = self.launcher.process(slot, theirs)?;
                let pid = child.id();
                let (stdout, stderr) = launch::pipes(&mut child);
                let reaper = Reaper::new(child);
                let killer = reaper.killer();
                let prefix = self.launcher.prefix(slot);
                if let (Some(pipe), Some(sink)) = (stdout, &self.stdout) {
                    let forward = output::forward(pipe, prefix.clone(), Rc::clone(sink));
                    self.outputs.spawn(forward);
                }
                if let Some(pipe) = stderr {
                    let forward = output::forward(pipe, prefix, Rc::clone(&self.stderr));
                    self.outputs.spawn(forward);
                }
                drop(spawn(watch::process(id, reaper, ours, happens)));
                (Some(pid), Some(killer))
            }
            Kind::Threads => {
                let thread = self.launcher.thread(slot, theirs)?;
                drop(spawn(watch::thread(id, thread, ours, happens)));
                (None, None)
            }
        };
        let hand = Hand {
            slot,
            pid,
            started,
            sender,
            killer,
            failure: None,
            was_told_to_end: false,
        };
        self.workers.insert(id, hand);
        Ok(pid)
    }

    /// A worker that does not read what it is told is as good as dead.
    fn tell(&self, id: WorkerId, message: &ToWorker, sockets: &[BorrowedFd<'_>]) {
        let Some(hand) = self.workers.get(&id) else {
            return;
        };
        if let Err(error) = hand.sender.send(message, sockets)
            && watch::is_stuck(&error)
        {
            self.kill(id, "does not read what it is told");
        }
    }

    fn kill(&self, id: WorkerId, why: &'static str) {
        let Some(hand) = self.workers.get(&id) else {
            return;
        };
        if let Some(killer) = &hand.killer {
            killer.kill();
        }
        let (slot, pid) = (hand.slot, hand.pid);
        self.report(&Event::Killed { slot, pid, why });
    }

    fn grow(&mut self, slots: u32) {
        let grown = self
            .bounds
            .iter_mut()
            .try_for_each(|bound| bound.grow(slots));
        match grown {
            Ok(()) => self.fleet.grown(slots, Instant::now()),
            Err(error) => {
                // Those that were bound before one failed.
                let before = u32::try_from(self.fleet.slots().len()).unwrap_or(slots);
                for bound in &mut self.bounds {
                    bound.retire(before);
                }
                self.fleet.not_grown(error.to_string());
            }
        }
    }

    fn steer(&mut self, slots: u32) {
        for bound in &self.bounds {
            if let Err(error) = bound.steer(slots) {
                let error = error.to_string();
                self.report(&Event::Failed { slot: slots, error });
            }
        }
        if (slots as usize) < self.fleet.slots().len() {
            // Where the kernel does not tell there is nothing to wait for.
            let under_way = self.bounds.iter().filter_map(|at| at.handshakes().ok());
            self.handshakes = under_way.collect();
            self.handshakes_until = Instant::now() + LONGEST_HANDSHAKE;
        }
    }

    /// How many connections wait at a slot that new ones do not go to, or are on their
    /// way there.
    fn waiting(&mut self, slot: u32) -> u32 {
        let queued = |bound: &Bound| bound.queued(slot).unwrap_or(0);
        let queued = self.bounds.iter().map(queued).max().unwrap_or(0);
        if queued > 0 || Instant::now() >= self.handshakes_until {
            return queued;
        }
        let mut under_way = self.handshakes.iter_mut();
        u32::from(under_way.any(|handshakes| !handshakes.are_over().unwrap_or(true)))
    }

    fn core(&self, slot: u32) -> Option<u32> {
        let cores = self.cores.len();
        (cores > 0).then(|| self.cores[slot as usize % cores])
    }
}
