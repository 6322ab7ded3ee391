//! What the master knows of its workers' numbers, and how it answers questions about them.
//!
//! # Invariants
//!
//! 1. A worker has at most one question to answer, so its socket is never filled with
//!    questions, and it is not killed because of them.
//! 2. A question waits for the workers for [`MAX_WAIT`] at most, and the master's loop does not
//!    wait for it.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Duration;

use coreloop_runtime::time::Instant;
use coreloop_sync::oneshot;

use super::{Master, WorkerHandle};
use crate::channel::ToWorker;
use crate::metrics::{Format, Outbox, Totals};
use crate::report::Report;
use crate::supervisor::fleet::{Member, MemberPhase, Slot, WorkerId};
use crate::supervisor::status::{LastEnd, Status, WorkerNumbers, WorkerState, WorkerStatus};
use crate::sys;
use crate::worker::Worker;

/// How long the answers of workers are waited for.
const MAX_WAIT: Duration = Duration::from_millis(200);

/// What a worker has reported.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) report: Report,
    /// When the last report came.
    pub(super) reported: Option<Instant>,
    /// The worker reads its messages.
    pub(super) serves: bool,
    /// The worker was asked for a report, which has not come.
    is_asked: bool,
    /// Why it was killed.
    pub(super) killed: Cell<Option<&'static str>>,
}

#[derive(Debug)]
pub(super) struct Observation {
    /// What has ended in each slot.
    pub(super) slots: HashMap<u32, SlotHistory>,
    /// The metrics of the workers; `None` is the master's own process.
    pub(super) totals: Totals<Option<WorkerId>>,
    /// What was added to `totals` of the metrics of this process.
    outbox: Outbox,
    running: Option<Survey>,
    /// Questions for the next survey.
    next: Vec<Question>,
}

#[derive(Debug, Default)]
pub(super) struct SlotHistory {
    /// The counters of the workers that have ended.
    pub(super) ended: Report,
    last_end: Option<(String, Instant)>,
}

/// Questions that wait for the reports of workers.
#[derive(Debug)]
struct Survey {
    waiting: HashSet<WorkerId>,
    until: Instant,
    questions: Vec<Question>,
}

/// A question about the workers' numbers, with where to send the answer.
#[derive(Debug)]
pub(super) enum Question {
    Status(oneshot::Sender<Status>),
    Metrics(Format, oneshot::Sender<String>),
}

impl Observation {
    pub(super) fn new() -> Self {
        Self {
            slots: HashMap::new(),
            totals: Totals::new(),
            outbox: Outbox::default(),
            running: None,
            next: Vec::new(),
        }
    }

    /// Returns when to answer without the reports that are still missing.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.running.as_ref().map(|survey| survey.until)
    }

    /// Adds what the master's process has counted itself, which includes its worker threads.
    pub(super) fn count_own(&mut self) {
        self.outbox.restart();
        while let Some(piece) = self.outbox.piece() {
            self.totals.apply(None, piece.changes.clone());
            self.outbox.sent(piece.changes, piece.end);
        }
    }
}

impl<F> Master<F>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    /// Answers a question when the workers have sent fresh reports.
    pub(super) fn ask_workers(&mut self, question: Question, now: Instant) {
        self.observation.next.push(question);
        if self.observation.running.is_none() {
            self.begin_survey(now);
        }
    }

    /// Takes a report of a worker. `is_answer` if the worker was asked for it.
    pub(super) fn reported(&mut self, id: WorkerId, report: Report, is_answer: bool, now: Instant) {
        let Some(worker) = self.workers.get_mut(&id) else {
            return;
        };
        worker.observed.report = report;
        worker.observed.reported = Some(now);
        if is_answer {
            worker.observed.is_asked = false;
            self.answered(id, now);
        }
    }

    /// Notes the end of a worker, or that it was abandoned.
    pub(super) fn observe_end(
        &mut self,
        id: WorkerId,
        worker: &WorkerHandle,
        how: &str,
        now: Instant,
    ) {
        let history = self.observation.slots.entry(worker.slot).or_default();
        history.ended.add_counters(&worker.observed.report);
        let cause = match worker.observed.killed.get() {
            Some(why) => format!("{how}: it {why}"),
            None if worker.drain_was_sent && how == "ended" => "drained".to_owned(),
            None => how.to_owned(),
        };
        history.last_end = Some((cause, now));
        self.observation.totals.ended(Some(id));
        self.answered(id, now);
    }

    /// Answers the questions whose time is up.
    pub(super) fn tick_observation(&mut self, now: Instant) {
        if self.observation.deadline().is_some_and(|at| at <= now) {
            self.finish_survey(now);
        }
    }

    /// Asks all workers that serve, and answers at once if there are none.
    fn begin_survey(&mut self, now: Instant) {
        let mut waiting = HashSet::new();
        for (id, worker) in &mut self.workers {
            let observed = &mut worker.observed;
            if observed.serves
                && !observed.is_asked
                && worker.sender.send(&ToWorker::Report, &[]).is_ok()
            {
                observed.is_asked = true;
                waiting.insert(*id);
            }
        }
        let is_empty = waiting.is_empty();
        self.observation.running = Some(Survey {
            waiting,
            until: now + MAX_WAIT,
            questions: std::mem::take(&mut self.observation.next),
        });
        if is_empty {
            self.finish_survey(now);
        }
    }

    fn answered(&mut self, id: WorkerId, now: Instant) {
        let Some(survey) = &mut self.observation.running else {
            return;
        };
        if survey.waiting.remove(&id) && survey.waiting.is_empty() {
            self.finish_survey(now);
        }
    }

    fn finish_survey(&mut self, now: Instant) {
        let survey = self.observation.running.take();
        for question in survey.into_iter().flat_map(|survey| survey.questions) {
            // The client may have disconnected.
            match question {
                Question::Status(reply) => drop(reply.send(self.status(now))),
                Question::Metrics(format, reply) => drop(reply.send(self.metrics(format, now))),
            }
        }
        if !self.observation.next.is_empty() {
            self.begin_survey(now);
        }
    }

    /// Returns the numbers of each slot: of all its workers, with those that have ended.
    pub(super) fn sums(&self) -> HashMap<u32, Report> {
        let mut sums: HashMap<u32, Report> = HashMap::new();
        for (slot, history) in &self.observation.slots {
            sums.entry(*slot).or_default().add_counters(&history.ended);
        }
        for worker in self.workers.values() {
            sums.entry(worker.slot)
                .or_default()
                .add(&worker.observed.report);
        }
        sums
    }

    fn status(&self, now: Instant) -> Status {
        let mut all = Report::default();
        for sum in self.sums().values() {
            all.add(sum);
        }
        Status {
            master: std::process::id(),
            uptime: now.duration_since(self.started),
            connections: all.open,
            accepted: all.accepted,
            lost_lines: self.outputs.lost_lines(),
            workers: self
                .fleet
                .slots()
                .iter()
                .map(|slot| self.worker_status(slot, now))
                .collect(),
        }
    }

    fn worker_status(&self, slot: &Slot, now: Instant) -> WorkerStatus {
        let (member, state) = slot.state();
        let member = member.filter(|_| state != WorkerState::Backoff);
        let worker = member.and_then(|member| self.workers.get(&member.id));
        let pid = worker.and_then(|worker| worker.pid);
        let since = |member: &Member| match member.phase {
            MemberPhase::Ready { since } => since,
            MemberPhase::Starting | MemberPhase::Leaving { .. } => member.started,
        };
        let reported = worker.and_then(|worker| {
            let at = worker.observed.reported?;
            Some((&worker.observed.report, at))
        });
        let history = self.observation.slots.get(&slot.number);
        let last_end = history.and_then(|history| history.last_end.as_ref());
        WorkerStatus {
            slot: slot.number,
            pid,
            state,
            uptime: member
                .map_or_else(Default::default, |member| now.duration_since(since(member))),
            restarts: slot.restarts,
            numbers: WorkerNumbers {
                connections: reported.map(|(report, _)| report.open),
                accepted: reported.map(|(report, _)| report.accepted),
                memory: pid.and_then(sys::resident),
                cpu: reported.map(|(report, _)| report.cpu),
                beat_age: reported.map(|(_, at)| now.duration_since(at)),
            },
            last_end: last_end.map(|(cause, at)| LastEnd {
                cause: cause.clone(),
                age: now.duration_since(*at),
            }),
        }
    }
}
