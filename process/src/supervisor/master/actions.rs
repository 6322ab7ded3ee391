//! Carries out the fleet's actions.

use std::collections::HashSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::process;

use coreloop_runtime::task::spawn;
use coreloop_runtime::time::Instant;
use coreloop_sync::CancellationToken;

use super::launcher::take_pipes;
use super::master_event::{is_full, watch_process, watch_thread};
use super::observation::Observed;
use super::output::{PipeLife, Source, forward};
use super::reaper::Reaper;
use super::{MAX_HANDSHAKE, Master, WorkerHandle};
use crate::channel::{Channel, SocketKind, Start, StartSocket, ToWorker};
use crate::supervisor::event::Event;
use crate::supervisor::fleet::{Action, WorkerId};
use crate::supervisor::log::LogStream;
use crate::supervisor::workers::WorkerKind;
use crate::worker::Worker;

impl<F> Master<F>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    /// Carries out the actions that the fleet has queued. Returns `Some` when the master has
    /// to end.
    pub(super) fn run_actions(&mut self) -> Option<Result<(), String>> {
        while let Some(action) = self.fleet.next_action() {
            match action {
                Action::Start {
                    slot,
                    id,
                    generation,
                } => self.start(slot, id, generation),
                Action::Drain { id } => {
                    if let Some(worker) = self.workers.get_mut(&id) {
                        worker.drain_was_sent = true;
                    }
                    self.send(id, &ToWorker::Drain, &[]);
                }
                Action::Kill { id, why } => self.kill(id, why.text()),
                Action::Abandon { id } => {
                    if let Some(worker) = self.workers.remove(&id) {
                        self.observe_end(id, &worker, "was abandoned", Instant::now());
                    }
                }
                Action::Adopt { by, slot } => {
                    let sockets: Vec<_> =
                        self.groups.iter().map(|group| group.socket(slot)).collect();
                    self.send(by, &ToWorker::Adopt { slot }, &sockets);
                }
                Action::Release { by, slot } => self.send(by, &ToWorker::Release { slot }, &[]),
                Action::Grow { slots } => self.grow(slots),
                Action::Steer { slots } => self.steer(slots),
                Action::CheckQueue { slot } => {
                    let waiting = self.waiting(slot);
                    self.fleet.queue(slot, waiting, Instant::now());
                }
                Action::Close { slot } => {
                    for group in &mut self.groups {
                        group.retire(slot);
                    }
                }
                Action::Check { id } => self.check(id),
                Action::Delays { time } => self.report(&Event::Delaying { time }),
                Action::Drains => self.report(&Event::Stopping),
                Action::EndCheck { id } => self.end_check(id),
                Action::CheckFailed { id, error } => self.check_failed(id, error),
                Action::Bakes { slots, time } => self.report(&Event::Bakes { slots, time }),
                Action::Replaced { slot, result } => {
                    self.report(&Event::Replaced { slot, result });
                }
                Action::Restarted { ticket, result } => self.restarted(ticket, &result),
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
                self.fleet.on_ended(id, &how, Instant::now());
            }
        }
    }

    fn try_start(&mut self, slot: u32, id: WorkerId, generation: u64) -> io::Result<Option<u32>> {
        let started = Instant::now();
        let (ours, theirs) = Channel::pair()?;
        let ours = ours.into_async()?;
        let sender = ours.sender()?;
        let sockets: Vec<_> = self.groups.iter().map(|group| group.socket(slot)).collect();
        let start = Start {
            slot,
            workers: self.fleet.target(),
            generation,
            master: process::id(),
            heartbeat: self.options.settings.heartbeat,
            drain: self.options.settings.drain,
            core: self.core(slot),
            max_requests: self.options.replacement.max_requests,
            sockets: self
                .groups
                .iter()
                .map(|group| StartSocket {
                    number: group.number(),
                    kind: group.kind(),
                })
                .collect(),
        };
        // Sent before the worker starts: the message fits into the empty socket.
        sender.send(&ToWorker::Start(Box::new(start)), &sockets)?;
        let events = self.event_sender.clone();
        let pipes = CancellationToken::new();
        let (pid, killer) = match self.options.kind {
            WorkerKind::Processes => {
                let mut child = self.launcher.process(slot, theirs)?;
                let pid = child.id();
                let (stdout, stderr) = take_pipes(&mut child);
                let reaper = Reaper::new(child, self.options.confinement.kills_children());
                let killer = reaper.killer();
                let streams = [(stdout, LogStream::Stdout), (stderr, LogStream::Stderr)];
                for (pipe, stream) in streams {
                    if let (Some(pipe), Some(sink)) = (pipe, self.outputs.of_workers(stream)) {
                        let source = Source { slot, pid, stream };
                        let life = PipeLife {
                            worker_ended: pipes.clone(),
                            master_ends: self.ends.clone(),
                        };
                        self.forwarding.spawn(forward(pipe, source, life, sink));
                    }
                }
                spawn(watch_process(id, reaper, ours, events));
                (Some(pid), Some(killer))
            }
            WorkerKind::Threads => {
                let thread = self.launcher.thread(slot, theirs)?;
                spawn(watch_thread(id, thread, ours, events));
                (None, None)
            }
        };
        let worker = WorkerHandle {
            slot,
            pid,
            started,
            sender,
            killer,
            failure: None,
            drain_was_sent: false,
            has_handlers: false,
            has_to_reopen: false,
            _pipes: pipes.drop_guard(),
            observed: Observed::default(),
        };
        self.workers.insert(id, worker);
        Ok(pid)
    }

    /// Sends a message to a worker. Kills a worker whose socket is full, as it is stuck.
    fn send(&self, id: WorkerId, message: &ToWorker, sockets: &[BorrowedFd<'_>]) {
        let Some(worker) = self.workers.get(&id) else {
            return;
        };
        if let Err(error) = worker.sender.send(message, sockets)
            && is_full(&error)
        {
            self.kill(id, "does not read its messages");
        }
    }

    fn kill(&self, id: WorkerId, why: &'static str) {
        let Some(worker) = self.workers.get(&id) else {
            return;
        };
        if let Some(killer) = &worker.killer {
            killer.kill();
        }
        worker.observed.killed.set(Some(why));
        let (slot, pid) = (worker.slot, worker.pid);
        self.report(&Event::Killed { slot, pid, why });
    }

    fn grow(&mut self, slots: u32) {
        let grown = self
            .groups
            .iter_mut()
            .try_for_each(|group| group.grow(slots));
        match grown {
            Ok(()) => self.fleet.grown(slots, Instant::now()),
            Err(error) => {
                // Retires the sockets that were bound before one failed.
                let before = u32::try_from(self.fleet.slots().len()).unwrap_or(slots);
                for group in &mut self.groups {
                    group.retire(before);
                }
                self.fleet.not_grown(error.to_string());
            }
        }
    }

    fn steer(&mut self, slots: u32) {
        for group in &self.groups {
            if let Err(error) = group.steer(slots) {
                let error = error.to_string();
                self.report(&Event::Failed { slot: slots, error });
            }
        }
        if (slots as usize) < self.fleet.slots().len() {
            // The addresses of one call often have one port.
            let mut ports = HashSet::new();
            let groups = self.groups.iter().filter(|group| {
                let address = group.local_addr();
                group.kind() == SocketKind::Tcp
                    && address.is_ok_and(|address| ports.insert(address.port()))
            });
            // If the handshakes are not known, they are not waited for.
            let under_way = groups.filter_map(|group| group.handshakes().ok());
            self.handshakes = under_way.collect();
            self.handshakes_until = Instant::now() + MAX_HANDSHAKE;
        }
    }

    /// Returns how many connections wait at a slot that is retired, or are on their way
    /// there.
    fn waiting(&mut self, slot: u32) -> u32 {
        // No other worker can read the datagrams that are left when the slot has no worker, so
        // they are not waited for.
        let has_worker = self
            .fleet
            .slots()
            .get(slot as usize)
            .is_some_and(|slot| !slot.is_empty());
        let queued = self
            .groups
            .iter()
            .filter(|group| has_worker || group.kind() != SocketKind::Udp)
            .map(|group| group.queued(slot).unwrap_or(0))
            .max()
            .unwrap_or(0);
        if queued > 0 || Instant::now() >= self.handshakes_until {
            return queued;
        }
        let mut under_way = self.handshakes.iter_mut();
        u32::from(under_way.any(|handshakes| !handshakes.have_ended().unwrap_or(true)))
    }

    fn core(&self, slot: u32) -> Option<u32> {
        let cores = self.cores.len();
        (cores > 0).then(|| self.cores[slot as usize % cores])
    }
}
