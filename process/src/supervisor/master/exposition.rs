//! Writes the metrics of the master and its workers, and then the user's.

use std::io;
use std::process;

use coreloop_runtime::time::Instant;

use super::Master;
use crate::metrics::{self, Format, Kind, Text};
use crate::report::Report;
use crate::supervisor::status::WorkerState;
use crate::sys;
use crate::worker::Worker;

/// A metric of each slot: its kind, name, help text and value.
type SlotMetric = (Kind, &'static str, &'static str, fn(&Report) -> f64);

/// Numbers up to 2^53, which a reader holds as floating-point numbers anyway.
#[expect(
    clippy::cast_precision_loss,
    reason = "readers of the text parse a float"
)]
fn number(value: u64) -> f64 {
    value as f64
}

const SLOT_METRICS: &[SlotMetric] = &[
    (
        Kind::Counter,
        "coreloop_worker_connections_accepted",
        "Connections that the listeners of the slot's workers have accepted.",
        |report| number(report.accepted),
    ),
    (
        Kind::Gauge,
        "coreloop_worker_connections_open",
        "Accepted connections that are open, also in workers that drain.",
        |report| number(report.open),
    ),
    (
        Kind::Counter,
        "coreloop_worker_cpu_seconds",
        "Processor time of the slot's workers.",
        |report| report.cpu.as_secs_f64(),
    ),
    (
        Kind::Counter,
        "coreloop_cpu_seconds",
        "Processor time of the threads of the loops.",
        |report| report.loop_cpu.as_secs_f64(),
    ),
    (
        Kind::Gauge,
        "coreloop_tasks",
        "Tasks that have not finished.",
        |report| number(report.tasks),
    ),
    (
        Kind::Counter,
        "coreloop_tasks_spawned",
        "Tasks that were spawned.",
        |report| number(report.tasks_spawned),
    ),
    (
        Kind::Counter,
        "coreloop_polls",
        "Polls of tasks.",
        |report| number(report.polls),
    ),
    (
        Kind::Gauge,
        "coreloop_ready_tasks",
        "Tasks in the ready queue.",
        |report| number(report.ready_tasks),
    ),
    (
        Kind::Counter,
        "coreloop_remote_schedules",
        "Wakes of tasks from outside the running loop.",
        |report| number(report.remote_schedules),
    ),
    (
        Kind::Counter,
        "coreloop_budget_forced_yields",
        "Operations that were refused because the task had spent its budget.",
        |report| number(report.budget_forced_yields),
    ),
    (
        Kind::Counter,
        "coreloop_parks",
        "Waits of the loops in the kernel.",
        |report| number(report.parks),
    ),
    (
        Kind::Counter,
        "coreloop_noops",
        "Waits in the kernel after which no task was ready.",
        |report| number(report.noops),
    ),
    (
        Kind::Counter,
        "coreloop_io_events",
        "Events that the kernel has reported.",
        |report| number(report.io_events),
    ),
    (
        Kind::Gauge,
        "coreloop_fds",
        "Descriptors that are registered with the poller.",
        |report| number(report.fds),
    ),
    (
        Kind::Gauge,
        "coreloop_blocking_threads",
        "Threads for blocking work.",
        |report| number(report.blocking_threads),
    ),
    (
        Kind::Gauge,
        "coreloop_blocking_queue",
        "Pieces of blocking work that wait for a thread.",
        |report| number(report.blocking_queue),
    ),
    (
        Kind::Counter,
        "coreloop_metrics_series_refused",
        "Lookups of metrics that were refused because a limit was reached.",
        |report| number(report.series_refused),
    ),
];

impl<F> Master<F>
where
    F: AsyncFn(Worker) -> io::Result<()> + Send + Sync + 'static,
{
    /// Returns the text of all metrics.
    pub(super) fn metrics(&mut self, format: Format, now: Instant) -> String {
        self.observation.count_own();
        let mut text = Text::new(format);
        self.write_master(&mut text, now);
        self.write_slots(&mut text, now);
        self.observation.totals.write(&mut text);
        text.finish()
    }

    fn write_master(&self, text: &mut Text, now: Instant) {
        let none = [];
        text.family(
            Kind::Gauge,
            "coreloop_master_uptime_seconds",
            "How long the master has run.",
        );
        text.sample(none, now.duration_since(self.started).as_secs_f64());
        text.family(
            Kind::Gauge,
            "coreloop_master_workers",
            "The number of workers that there should be.",
        );
        text.sample(none, self.fleet.target());
        text.family(
            Kind::Gauge,
            "coreloop_master_ready",
            "1 if new connections are served, as the command `ready` says.",
        );
        text.sample(none, u8::from(self.readiness().is_ok()));
        if let Some(memory) = sys::resident(process::id()) {
            text.family(
                Kind::Gauge,
                "coreloop_master_memory_bytes",
                "Resident memory of the master.",
            );
            text.sample(none, memory);
        }
        text.family(
            Kind::Counter,
            "coreloop_master_lost_lines",
            "Lines of workers and events that could not be written.",
        );
        text.sample(none, self.outputs.lost_lines());
        text.family(
            Kind::Counter,
            "coreloop_master_metrics_refused",
            "Series that the master has refused, of its workers or its own process.",
        );
        let refused = self.observation.totals.refused() + metrics::refused();
        text.sample(none, refused);
    }

    fn write_slots(&self, text: &mut Text, now: Instant) {
        let slots = self.fleet.slots();
        let names: Vec<_> = slots.iter().map(|slot| slot.number.to_string()).collect();
        text.family(
            Kind::Gauge,
            "coreloop_worker_up",
            "1 if the slot is served by its own worker.",
        );
        for (slot, name) in slots.iter().zip(&names) {
            let is_up = matches!(slot.state().1, WorkerState::Ready | WorkerState::Retiring);
            text.sample([("worker", name.as_str())], u8::from(is_up));
        }
        text.family(
            Kind::Counter,
            "coreloop_worker_restarts",
            "Workers that were started because another had died.",
        );
        for (slot, name) in slots.iter().zip(&names) {
            text.sample([("worker", name.as_str())], slot.restarts);
        }
        // The worker that `status` shows.
        let shown = slots.iter().map(|slot| {
            let member = slot.state().0?;
            self.workers.get(&member.id)
        });
        let shown: Vec<_> = shown.zip(&names).collect();
        text.family(
            Kind::Gauge,
            "coreloop_worker_beat_age_seconds",
            "Time since the worker's last report.",
        );
        for (worker, name) in &shown {
            if let Some(at) = worker.and_then(|worker| worker.observed.reported) {
                let age = now.duration_since(at).as_secs_f64();
                text.sample([("worker", name.as_str())], age);
            }
        }
        text.family(
            Kind::Gauge,
            "coreloop_worker_memory_bytes",
            "Resident memory of the worker's process.",
        );
        for (worker, name) in &shown {
            let pid = worker.and_then(|worker| worker.pid);
            if let Some(memory) = pid.and_then(sys::resident) {
                text.sample([("worker", name.as_str())], memory);
            }
        }
        let mut sums = self.sums();
        let sums: Vec<_> = slots
            .iter()
            .map(|slot| sums.remove(&slot.number).unwrap_or_default())
            .collect();
        for (kind, metric, help, value) in SLOT_METRICS {
            text.family(*kind, metric, help);
            for (sum, name) in sums.iter().zip(&names) {
                text.sample([("worker", name.as_str())], value(sum));
            }
        }
    }
}
