//! Handles the requests that come from signals and from the control socket.

use std::io;
use std::mem;

use coreloop_runtime::task::spawn;
use coreloop_runtime::time::Instant;
use coreloop_sync::oneshot;
use rustix::process::Signal;

use super::master_event::MasterEvent;
use super::observation::Question;
use super::{Master, Reply};
use crate::channel::Inherited;
use crate::sockets::{InheritedSlots, SocketGroup};
use crate::supervisor::event::Event;
use crate::supervisor::fleet::GRACE;
use crate::supervisor::request::{Count, ENDING, Request};
use crate::supervisor::upgrade::{self, SocketTransfer, Successor};
use crate::worker::Worker;

impl<F> Master<F>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    pub(super) fn handle_request(&mut self, request: Request) {
        let now = Instant::now();
        let is_stopping = self.fleet.is_stopping();
        match request {
            Request::Signalled(number, request) => {
                let is_for_both = matches!(request.as_deref(), Some(Request::Stop));
                let was_passed_on = self.external.successor().pass_on(number);
                if let Some(request) = request.filter(|_| is_for_both || !was_passed_on) {
                    self.handle_request(*request);
                }
            }
            // The client may have disconnected.
            Request::Ready(reply) => drop(reply.send(self.readiness())),
            Request::Live(reply) => drop(reply.send(Ok(()))),
            Request::Status(reply) => self.ask_workers(Question::Status(reply), now),
            Request::Metrics(format, reply) => {
                self.ask_workers(Question::Metrics(format, reply), now);
            }
            Request::Stop => {
                if let Some((attempt, _reply)) = self.upgrade.take() {
                    attempt.abort();
                    self.fleet.upgrade_failed(now);
                }
                self.kept.clear();
                if !is_stopping {
                    self.external.stopping();
                    self.refuse_requests(ENDING);
                }
                // A load balancer never sends connections to a master that was not ready.
                if self.external.is_announced() {
                    self.fleet.stop(now);
                } else {
                    self.fleet.stop_without_delay(now);
                }
            }
            Request::Reload(reply)
            | Request::Scale(_, reply)
            | Request::Restart(_, reply)
            | Request::Upgrade(reply)
                if is_stopping =>
            {
                drop(reply.send(Err(ENDING.to_owned())));
            }
            Request::Reload(reply) | Request::Scale(_, reply) | Request::Restart(_, reply)
                if self.upgrade.is_some() && !reply.is_closed() =>
            {
                let why = "an upgrade is in progress: request it again when that has ended";
                drop(reply.send(Err(why.to_owned())));
            }
            // A signal, for the master that is left.
            request @ (Request::Reload(_) | Request::Scale(..)) if self.upgrade.is_some() => {
                self.kept.push(request);
            }
            Request::Reload(reply) => {
                self.restore_files();
                self.external.reloading();
                let pass = self.fleet.reload(now);
                self.reloads.push((pass, reply));
            }
            Request::Restart(slot, reply) => self.restart(slot, reply, now),
            Request::Scale(count, reply) => self.scale(count, reply, now),
            Request::Upgrade(reply) => self.upgrade(reply),
            Request::Reopen(reply) => {
                if self.upgrade.is_some() {
                    // The new master may have opened its files before they were renamed.
                    let (unread, _) = oneshot::channel();
                    self.kept.push(Request::Reopen(unread));
                }
                self.reopen(reply);
            }
        }
    }

    fn scale(&mut self, count: Count, reply: Reply, now: Instant) {
        let current = self.fleet.target();
        let target = match count {
            Count::Exactly(count) => count,
            Count::OneMore => current.saturating_add(1),
            Count::OneLess => current.saturating_sub(1),
        };
        if let Err(why) = self.check_count(target) {
            // A signal gets no answer.
            if reply.is_closed() {
                self.report_result(&Event::Scaled(Err(why)));
            } else {
                drop(reply.send(Err(why)));
            }
            return;
        }
        if target != current {
            let why = format!("a later request has set the number of workers to {target}");
            for earlier in self.scales.drain(..) {
                drop(earlier.send(Err(why.clone())));
            }
        }
        self.scales.push(reply);
        self.fleet.scale(target, now);
    }

    /// Returns why there cannot be this number of workers, if there cannot.
    fn check_count(&self, workers: u32) -> Result<(), String> {
        if workers == 0 {
            return Err("there must be at least one worker".to_owned());
        }
        let max = self.options.confinement.max_workers();
        match max.map(|max| max.max(self.options.count).max(self.fleet.target())) {
            Some(max) if workers > max => Err(format!(
                "there may be at most {max} workers, see `max_workers`"
            )),
            _ => Ok(()),
        }
    }

    /// Creates the control socket and the pid file again, if another program has removed them.
    /// A successor may have taken them over if there is one.
    fn restore_files(&mut self) {
        if self.upgrade.is_none()
            && let Err(error) = self.external.restore()
        {
            let error = error.to_string();
            self.report(&Event::NotRestored { error });
        }
    }

    /// Answers the requests that wait for workers with this error.
    fn refuse_requests(&mut self, why: &str) {
        let reloads = self.reloads.drain(..).map(|(_, reply)| reply);
        let restarts = self.replacing.take_replies();
        let upgrade = self.next_upgrade.take();
        let waiting = self.scales.drain(..).chain(reloads).chain(restarts);
        for reply in waiting.chain(upgrade) {
            drop(reply.send(Err(why.to_owned())));
        }
    }

    pub(super) fn reloaded(&mut self, pass: u64, result: &Result<(), String>) {
        self.report_result(&Event::Reloaded(result.clone()));
        let answered: Vec<_> = self.reloads.extract_if(.., |(of, _)| *of <= pass).collect();
        self.report_readiness();
        for (_, reply) in answered {
            drop(reply.send(result.clone()));
        }
    }

    /// Reports to the service manager that the program is ready again, once no reload and no
    /// upgrade is in progress. An upgrade that succeeds reports it by itself.
    fn report_readiness(&self) {
        if self.reloads.is_empty() && self.upgrade.is_none() {
            self.external.reloaded();
        }
    }

    pub(super) fn scaled(&mut self, result: &Result<(), String>) {
        let workers = self.fleet.target();
        self.report_result(&Event::Scaled(result.clone().map(|()| workers)));
        for reply in self.scales.drain(..) {
            drop(reply.send(result.clone()));
        }
    }

    /// Starts the program's file as a new master. This master serves until the new one does.
    ///
    /// Until the attempt has ended, the number of slots does not change and no reload begins:
    /// what this fleet did would be undone, and the connections that wait at sockets which the
    /// new master does not have would be lost.
    fn upgrade(&mut self, reply: Reply) {
        if self.upgrade.is_some() || self.next_upgrade.is_some() {
            drop(reply.send(Err("an upgrade is in progress".to_owned())));
            return;
        }
        if self.has_predecessor {
            self.next_upgrade = Some(reply);
            return;
        }
        self.external.reloading();
        let groups = self.groups.iter().chain(self.external.observer());
        let transfers: Vec<_> = groups.map(transfer).collect();
        let settings = &self.options.settings;
        let timeouts = upgrade::UpgradeTimeouts {
            startup: settings.startup,
            drain: settings.drain.saturating_add(GRACE),
        };
        let slots = InheritedSlots {
            count: u32::try_from(self.fleet.slots().len()).unwrap_or(u32::MAX),
            span: self.groups.iter().map(SocketGroup::span).max().unwrap_or(0),
        };
        let attempt = upgrade::start(&self.options.program, &transfers, slots, timeouts);
        let events = self.event_sender.clone();
        let attempt = spawn(async move {
            let result = attempt.await.map_err(|error| error.to_string());
            drop(events.send(MasterEvent::Upgraded(result)));
        });
        self.upgrade = Some((attempt, reply));
        self.fleet.upgrade_begins();
    }

    /// Called when the old master has handed everything over, or had given this one up.
    pub(super) fn acknowledged(&mut self, result: Result<(), String>, now: Instant) {
        self.has_predecessor = false;
        match result {
            Ok(()) => {
                self.external.acknowledged(now);
                if let Some(reply) = self.next_upgrade.take() {
                    self.handle_request(Request::Upgrade(reply));
                }
            }
            // Not returned at once: the workers finish what they have accepted.
            Err(why) => self.fleet.fail(&why, now),
        }
    }

    pub(super) fn upgraded(&mut self, result: Result<Successor, String>) {
        let reply = self.upgrade.take().map(|(_, reply)| reply);
        let kept = mem::take(&mut self.kept);
        let answer = match result {
            Ok(successor) => {
                let pid = successor.pid;
                self.external.upgraded_to(pid);
                self.fleet.replaced(Instant::now());
                self.report(&Event::Upgraded(Ok(pid)));
                self.refuse_requests("a new master has taken over: request it there");
                let new_master = self.external.successor();
                let signals = kept.iter().filter_map(signal_of);
                signals.for_each(|signal| new_master.signal(signal));
                Ok(())
            }
            Err(mut why) => {
                if let Err(error) = self.external.restore() {
                    why = format!("{why}; and what it took over cannot be taken back: {error}");
                }
                self.report_result(&Event::Upgraded(Err(why.clone())));
                self.fleet.upgrade_failed(Instant::now());
                let is_done = |request: &Request| matches!(request, Request::Reopen(_));
                kept.into_iter()
                    .filter(|request| !is_done(request))
                    .for_each(|request| self.handle_request(request));
                self.report_readiness();
                Err(why)
            }
        };
        // Answered last, so that the client finds everything in its place.
        if let Some(reply) = reply {
            drop(reply.send(answer));
        }
    }

    /// Reports the result of a request, to the service manager too.
    fn report_result(&self, event: &Event) {
        self.external.status(event);
        self.report(event);
    }

    /// Returns why new connections should not be sent here, if they should not.
    ///
    /// One ready worker suffices, as it serves the sockets of workers that are down too. At the
    /// start all workers have to be ready once.
    pub(super) fn readiness(&self) -> Result<(), String> {
        let why = if self.fleet.is_stopping() {
            ENDING
        } else if !self.external.is_announced() {
            "the workers are starting"
        } else if !self.fleet.has_ready_worker() {
            "no worker serves"
        } else {
            return Ok(());
        };
        Err(why.to_owned())
    }
}

/// Returns the signal by which a new master is asked what a signal has requested of this one.
fn signal_of(request: &Request) -> Option<Signal> {
    match request {
        Request::Reload(_) => Some(Signal::HUP),
        Request::Scale(Count::OneMore, _) => Some(Signal::TTIN),
        Request::Scale(Count::OneLess, _) => Some(Signal::TTOU),
        Request::Reopen(_) => Some(Signal::USR1),
        // No signal requests it. The client that has is no longer connected.
        Request::Scale(Count::Exactly(_), _) => None,
        Request::Status(_)
        | Request::Metrics(..)
        | Request::Ready(_)
        | Request::Live(_)
        | Request::Restart(..)
        | Request::Signalled(..)
        | Request::Upgrade(_)
        | Request::Stop => None,
    }
}

fn transfer(group: &SocketGroup) -> SocketTransfer<'_> {
    SocketTransfer {
        inherited: Inherited {
            address: group.address().to_owned(),
            kind: group.kind(),
        },
        sockets: group.sockets().collect(),
    }
}
