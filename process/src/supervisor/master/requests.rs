//! What signals and the control socket ask for, and what they are answered.

use std::io;

use coreloop_runtime::task::spawn;
use coreloop_runtime::time::Instant;

use super::watch::Happening;
use super::{Master, Reply};
use crate::channel::Inherited;
use crate::sockets::Bound;
use crate::supervisor::event::Event;
use crate::supervisor::fleet::{LAST_WORDS, Member, Phase};
use crate::supervisor::request::{Count, Request, Status, WorkerState, WorkerStatus};
use crate::supervisor::upgrade::{self, Bequest};
use crate::worker::Worker;

impl<F> Master<F>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    pub(super) fn requested(&mut self, request: Request) {
        let now = Instant::now();
        let is_stopping = self.fleet.is_stopping();
        match request {
            // Who asked may have gone.
            Request::Status(reply) => drop(reply.send(self.status(now))),
            Request::Stop => {
                if !is_stopping {
                    self.report(&Event::Stopping);
                    self.outside.stopping();
                }
                if let Some((attempt, _)) = self.upgrade.take() {
                    attempt.abort();
                }
                self.fleet.stop(now);
            }
            Request::Reload(reply) | Request::Scale(_, reply) | Request::Upgrade(reply)
                if is_stopping =>
            {
                drop(reply.send(Err("the master is about to end".to_owned())));
            }
            Request::Reload(reply) => {
                self.outside.reloading();
                let pass = self.fleet.reload(now);
                self.reloads.push((pass, reply));
            }
            Request::Scale(count, reply) => {
                let target = self.fleet.target();
                let target = match count {
                    Count::Exactly(count) => count,
                    Count::OneMore => target.saturating_add(1),
                    Count::OneLess => target.saturating_sub(1),
                };
                if target == 0 {
                    drop(reply.send(Err("there has to be one worker".to_owned())));
                    return;
                }
                self.scales.push(reply);
                self.fleet.scale(target, now);
            }
            Request::Upgrade(reply) => self.upgrade(reply),
        }
    }

    pub(super) fn reloaded(&mut self, pass: u64, result: &Result<(), String>) {
        self.came_of_it(&Event::Reloaded(result.clone()));
        self.outside.reloaded();
        for (_, reply) in self.reloads.extract_if(.., |(of, _)| *of <= pass) {
            drop(reply.send(result.clone()));
        }
    }

    pub(super) fn scaled(&mut self, result: &Result<(), String>) {
        let workers = self.fleet.target();
        self.came_of_it(&Event::Scaled(result.clone().map(|()| workers)));
        for reply in self.scales.drain(..) {
            drop(reply.send(result.clone()));
        }
    }

    /// Starts the program's file. This master serves on until that says it serves.
    fn upgrade(&mut self, reply: Reply) {
        if self.upgrade.is_some() {
            drop(reply.send(Err("an upgrade is under way".to_owned())));
            return;
        }
        self.outside.reloading();
        let bequests: Vec<_> = self.bounds.iter().map(bequest).collect();
        let settings = &self.options.settings;
        let bounds = upgrade::Bounds {
            startup: settings.startup,
            drain: settings.drain.saturating_add(LAST_WORDS),
        };
        let attempt = upgrade::start(&self.options.program, &bequests, bounds);
        let happens = self.happens.clone();
        let attempt = spawn(async move {
            let result = attempt.await.map(|successor| successor.pid);
            let result = result.map_err(|error| error.to_string());
            drop(happens.send(Happening::Upgraded(result)));
        });
        self.upgrade = Some((attempt, reply));
    }

    pub(super) fn upgraded(&mut self, result: Result<u32, String>) {
        let reply = self.upgrade.take().map(|(_, reply)| reply);
        let answer = match result {
            Ok(pid) => {
                self.outside.replaced(pid);
                self.fleet.stop(Instant::now());
                self.report(&Event::Upgraded(Ok(pid)));
                Ok(())
            }
            Err(mut why) => {
                if let Err(error) = self.outside.restore() {
                    why = format!("{why}; and what it took is not taken back: {error}");
                }
                self.came_of_it(&Event::Upgraded(Err(why.clone())));
                self.outside.reloaded();
                Err(why)
            }
        };
        // Who asked finds all in its place.
        if let Some(reply) = reply {
            drop(reply.send(answer));
        }
    }

    /// Reports what came of a request, also to the service manager.
    fn came_of_it(&self, event: &Event) {
        self.outside.status(event);
        self.report(event);
    }

    fn status(&self, now: Instant) -> Status {
        let workers = self.fleet.slots().iter().map(|slot| {
            let (member, state) = slot.state();
            let pid = member.and_then(|member| self.workers.get(&member.id)?.pid);
            let since = |member: &Member| match member.phase {
                Phase::Ready { since } => since,
                Phase::Starting | Phase::Leaving { .. } => member.started,
            };
            WorkerStatus {
                slot: slot.number,
                pid: if state == WorkerState::Backoff {
                    None
                } else {
                    pid
                },
                state,
                uptime: member
                    .map_or_else(Default::default, |member| now.duration_since(since(member))),
                restarts: slot.restarts,
            }
        });
        Status {
            master: std::process::id(),
            uptime: now.duration_since(self.started),
            workers: workers.collect(),
        }
    }
}

fn bequest(bound: &Bound) -> Bequest<'_> {
    Bequest {
        inherited: Inherited {
            address: bound.address().to_owned(),
            kind: bound.kind(),
        },
        sockets: bound.sockets().collect(),
    }
}
