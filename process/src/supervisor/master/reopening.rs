//! Opens log files again: the master's, and by a signal the workers'.

use std::io;
use std::sync::mpsc::Receiver;

use coreloop_runtime::task::{spawn, spawn_blocking};

use super::master_event::MasterEvent;
use super::{Master, Reply, WorkerHandle};
use crate::supervisor::event::Event;
use crate::supervisor::request::ENDING;
use crate::worker::Worker;

impl<F> Master<F>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    /// Opens all files again. They are open when [`MasterEvent::Reopened`] comes.
    pub(super) fn reopen(&mut self, reply: Reply) {
        let results = self.outputs.reopen();
        let events = self.event_sender.clone();
        drop(spawn(async move {
            let result = match spawn_blocking(move || collect(results)).await {
                Ok(result) => result,
                Err(error) => Err(error.to_string()),
            };
            drop(events.send(MasterEvent::Reopened(result, reply)));
        }));
        for worker in self.workers.values_mut() {
            worker.has_to_reopen = true;
            if worker.has_handlers {
                worker.send_usr1();
            }
        }
    }

    pub(super) fn reopened(&mut self, result: Result<(), String>, reply: Reply) {
        self.report(&Event::Reopened(result.clone()));
        drop(reply.send(result));
    }
}

impl WorkerHandle {
    /// Called when a message of the worker has come: it has handlers for signals now. Before,
    /// `USR1` would kill it, and it may have opened its files before the signal came.
    pub(super) fn signal_if_due(&mut self) {
        self.has_handlers = true;
        if self.has_to_reopen {
            self.send_usr1();
        }
    }

    fn send_usr1(&mut self) {
        self.has_to_reopen = false;
        if let Some(killer) = &self.killer {
            killer.send_usr1();
        }
    }
}

/// Waits for the result of each file, and returns the first error.
fn collect(results: Vec<Receiver<Result<(), String>>>) -> Result<(), String> {
    let results: Vec<_> = results
        .into_iter()
        .map(|result| {
            let ended = || Err(ENDING.to_owned());
            result.recv().unwrap_or_else(|_| ended())
        })
        .collect();
    results.into_iter().collect()
}
