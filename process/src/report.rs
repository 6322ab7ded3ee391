//! [`Report`], the numbers that a worker sends to its master with each heartbeat.

use std::time::Duration;

use coreloop_runtime::io::connection_counts;
use coreloop_runtime::runtime::RuntimeMetrics;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::metrics;

/// What a worker has done so far and is doing: its connections, its processor time and the
/// metrics of its loop.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// How many connections its listeners have accepted.
    pub(crate) accepted: u64,
    /// How many of these are open.
    pub(crate) open: u64,
    /// The processor time of the process, or of the thread if the worker is one.
    pub(crate) cpu: Duration,
    pub(crate) loop_cpu: Duration,
    pub(crate) tasks: u64,
    pub(crate) tasks_spawned: u64,
    pub(crate) polls: u64,
    pub(crate) ready_tasks: u64,
    pub(crate) remote_schedules: u64,
    pub(crate) budget_forced_yields: u64,
    pub(crate) parks: u64,
    pub(crate) noops: u64,
    pub(crate) io_events: u64,
    pub(crate) fds: u64,
    pub(crate) blocking_threads: u64,
    pub(crate) blocking_queue: u64,
    /// How many series of the user's metrics were refused.
    pub(crate) series_refused: u64,
}

impl Report {
    /// Makes the report of the worker of this thread, whose loop has these metrics.
    pub(crate) fn of_this_worker(is_process: bool, of_loop: &RuntimeMetrics) -> Self {
        let connections = connection_counts();
        let clock = match is_process {
            true => ClockId::ProcessCPUTime,
            false => ClockId::ThreadCPUTime,
        };
        Self {
            accepted: connections.accepted,
            open: connections.open,
            cpu: Duration::try_from(clock_gettime(clock)).unwrap_or_default(),
            loop_cpu: of_loop.busy_duration(),
            tasks: of_loop.alive_tasks(),
            tasks_spawned: of_loop.spawned_tasks(),
            polls: of_loop.polls(),
            ready_tasks: of_loop.ready_tasks() as u64,
            remote_schedules: of_loop.remote_schedules(),
            budget_forced_yields: of_loop.budget_forced_yields(),
            parks: of_loop.parks(),
            noops: of_loop.noops(),
            io_events: of_loop.io_events(),
            fds: of_loop.registered_fds() - of_loop.deregistered_fds(),
            blocking_threads: of_loop.blocking_threads() as u64,
            blocking_queue: of_loop.queued_blocking_work() as u64,
            // The master counts what it shares with its threads itself.
            series_refused: if is_process { metrics::refused() } else { 0 },
        }
    }

    /// Adds everything that another report counts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.add_counters(other);
        self.open += other.open;
        self.tasks += other.tasks;
        self.ready_tasks += other.ready_tasks;
        self.fds += other.fds;
        self.blocking_threads += other.blocking_threads;
        self.blocking_queue += other.blocking_queue;
    }

    /// Adds what stays counted when the worker of the other report has ended.
    pub(crate) fn add_counters(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.cpu += other.cpu;
        self.loop_cpu += other.loop_cpu;
        self.tasks_spawned += other.tasks_spawned;
        self.polls += other.polls;
        self.remote_schedules += other.remote_schedules;
        self.budget_forced_yields += other.budget_forced_yields;
        self.parks += other.parks;
        self.noops += other.noops;
        self.io_events += other.io_events;
        self.series_refused += other.series_refused;
    }
}
