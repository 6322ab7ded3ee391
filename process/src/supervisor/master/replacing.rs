//! Checks new workers by the user's check, and answers the requests to replace one worker.

use std::collections::HashMap;
use std::io;

use coreloop_runtime::task::{AbortHandle, spawn};
use coreloop_runtime::time::Instant;

use super::master_event::MasterEvent;
use super::{Master, Reply};
use crate::supervisor::event::Event;
use crate::supervisor::fleet::WorkerId;
use crate::supervisor::replacement::NewWorker;
use crate::worker::{Worker, panic_message};

/// The state of the replacements of workers.
#[derive(Debug, Default)]
pub(super) struct Replacing {
    /// The checks that run.
    checks: HashMap<WorkerId, AbortHandle>,
    /// The requests to replace one worker, each with its ticket.
    restarts: Vec<(u64, Reply)>,
}

impl Replacing {
    /// Takes the requests that wait, to be answered by the caller.
    pub(super) fn take_replies(&mut self) -> impl Iterator<Item = Reply> {
        self.restarts.drain(..).map(|(_, reply)| reply)
    }
}

impl<F> Master<F>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    /// Calls the user's check with a new worker.
    pub(super) fn check(&mut self, id: WorkerId) {
        let (Some(check), Some(worker)) = (
            &self.options.replacement.reload.check,
            self.workers.get(&id),
        ) else {
            return;
        };
        let (slot, pid) = (worker.slot, worker.pid);
        let events = self.event_sender.clone();
        let check = check.clone();
        // Called in the task, as the function itself may panic.
        let checking = spawn(async move { check(NewWorker { slot, pid }).await });
        self.replacing.checks.insert(id, checking.abort_handle());
        drop(spawn(async move {
            let result = match checking.await {
                Ok(result) => result.map_err(|error| error.to_string()),
                Err(error) => Err(match error.try_into_panic() {
                    Ok(panic) => format!("it panicked: {}", panic_message(&*panic)),
                    Err(error) => error.to_string(),
                }),
            };
            drop(events.send(MasterEvent::Checked(id, result)));
        }));
    }

    pub(super) fn end_check(&mut self, id: WorkerId) {
        if let Some(check) = self.replacing.checks.remove(&id) {
            check.abort();
        }
    }

    pub(super) fn checked(&mut self, id: WorkerId, result: Result<(), String>, now: Instant) {
        self.replacing.checks.remove(&id);
        self.fleet.on_checked(id, result, now);
    }

    pub(super) fn check_failed(&self, id: WorkerId, error: String) {
        if let Some(worker) = self.workers.get(&id) {
            let (slot, pid) = (worker.slot, worker.pid);
            self.report(&Event::CheckFailed { slot, pid, error });
        }
    }

    pub(super) fn restart(&mut self, slot: u32, reply: Reply, now: Instant) {
        match self.fleet.restart(slot, now) {
            Ok(ticket) => self.replacing.restarts.push((ticket, reply)),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    pub(super) fn restarted(&mut self, ticket: u64, result: &Result<(), String>) {
        let restarts = &mut self.replacing.restarts;
        for (_, reply) in restarts.extract_if(.., |(of, _)| *of == ticket) {
            drop(reply.send(result.clone()));
        }
    }
}
