//! [`RuntimeMetrics`]: what a loop has done so far.

use std::time::Duration;

use crate::engine::core::event_loop::EventLoop;
use crate::engine::sys::cpu_clock;

/// Counts of what a runtime has done and is doing, at the time of
/// [`Runtime::metrics`](crate::Runtime::metrics).
///
/// They are tokio's, without the `worker_` and the number of the worker: a
/// runtime is one loop, and nothing is stolen, overflows or is injected. All
/// are counted always; what counting costs is an addition for each slice of
/// tasks, each wait and each task, and none for each poll. The sums follow from
/// the counts when they are asked for.
///
/// | here | in tokio |
/// |---|---|
/// | [`alive_tasks`](Self::alive_tasks) | `num_alive_tasks` |
/// | [`spawned_tasks`](Self::spawned_tasks) | `spawned_tasks_count` |
/// | [`polls`](Self::polls) | `worker_poll_count` |
/// | [`local_schedules`](Self::local_schedules) | `worker_local_schedule_count` |
/// | [`remote_schedules`](Self::remote_schedules) | `remote_schedule_count` |
/// | [`ready_tasks`](Self::ready_tasks) | `worker_local_queue_depth` |
/// | [`budget_forced_yields`](Self::budget_forced_yields) | `budget_forced_yield_count` |
/// | [`parks`](Self::parks) | `worker_park_count` |
/// | [`noops`](Self::noops) | `worker_noop_count` |
/// | [`busy_duration`](Self::busy_duration) | `worker_total_busy_duration` |
/// | [`blocking_threads`](Self::blocking_threads) | `num_blocking_threads` |
/// | [`idle_blocking_threads`](Self::idle_blocking_threads) | `num_idle_blocking_threads` |
/// | [`queued_blocking_work`](Self::queued_blocking_work) | `blocking_queue_depth` |
/// | [`registered_fds`](Self::registered_fds) | `io_driver_fd_registered_count` |
/// | [`deregistered_fds`](Self::deregistered_fds) | `io_driver_fd_deregistered_count` |
/// | [`io_events`](Self::io_events) | `io_driver_ready_count` |
///
/// # Examples
///
/// ```
/// # coreloop::block_on(async {
/// let before = coreloop::runtime::metrics();
/// coreloop::spawn(async {}).await.unwrap();
/// let after = coreloop::runtime::metrics();
/// assert_eq!(after.spawned_tasks() - before.spawned_tasks(), 1);
/// assert_eq!(after.alive_tasks(), 1); // This one.
/// # })
/// ```
#[derive(Debug, Clone)]
pub struct RuntimeMetrics {
    pub(crate) alive_tasks: u64,
    pub(crate) spawned_tasks: u64,
    pub(crate) polls: u64,
    pub(crate) remote_schedules: u64,
    pub(crate) ready_tasks: usize,
    pub(crate) budget_forced_yields: u64,
    pub(crate) parks: u64,
    pub(crate) noops: u64,
    pub(crate) busy_duration: Duration,
    pub(crate) blocking_threads: usize,
    pub(crate) idle_blocking_threads: usize,
    pub(crate) queued_blocking_work: usize,
    pub(crate) registered_fds: u64,
    pub(crate) deregistered_fds: u64,
    pub(crate) io_events: u64,
}

impl RuntimeMetrics {
    pub(crate) fn of(event_loop: &EventLoop) -> RuntimeMetrics {
        let (registered, present) = event_loop.reactor.registered();
        let blocking = event_loop.shared.pool.census();
        RuntimeMetrics {
            alive_tasks: event_loop.tasks.alive(),
            spawned_tasks: event_loop.tasks.spawned(),
            polls: event_loop.tasks.polls(),
            remote_schedules: event_loop.tasks.posted(),
            ready_tasks: event_loop.tasks.ready(),
            budget_forced_yields: event_loop.tasks.budget.forced_yields(),
            parks: event_loop.parks.get(),
            noops: event_loop.noops.get(),
            busy_duration: cpu_clock::of_this_thread(),
            blocking_threads: blocking.threads,
            idle_blocking_threads: blocking.idle,
            queued_blocking_work: blocking.queued,
            registered_fds: registered,
            deregistered_fds: registered - present,
            io_events: event_loop.reactor.reported(),
        }
    }

    /// Tasks that are not over, the one that `block_on` drives among them.
    #[must_use]
    pub fn alive_tasks(&self) -> u64 {
        self.alive_tasks
    }

    /// Tasks that were ever made, the ones that `block_on` drove among them.
    #[must_use]
    pub fn spawned_tasks(&self) -> u64 {
        self.spawned_tasks
    }

    /// How often tasks were polled, the poll that runs included. A task that was
    /// aborted in the queue counts too.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// How often a task was put in the queue of ready ones.
    #[must_use]
    pub fn local_schedules(&self) -> u64 {
        // Each was taken out again, or is there still.
        self.polls + self.ready_tasks as u64
    }

    /// How often a task was woken or aborted from outside the running loop:
    /// from another thread mostly. A task that is woken again before the loop
    /// came by counts once.
    #[must_use]
    pub fn remote_schedules(&self) -> u64 {
        self.remote_schedules
    }

    /// Tasks that are in the queue of ready ones. The one that runs is not.
    #[must_use]
    pub fn ready_tasks(&self) -> usize {
        self.ready_tasks
    }

    /// How often an operation was made to wait because its task had used up its
    /// [budget](crate::task::coop).
    #[must_use]
    pub fn budget_forced_yields(&self) -> u64 {
        self.budget_forced_yields
    }

    /// How often the loop had nothing to run, and waited for the kernel.
    #[must_use]
    pub fn parks(&self) -> u64 {
        self.parks
    }

    /// How often such a wait ended and there was nothing to run after all.
    #[must_use]
    pub fn noops(&self) -> u64 {
        self.noops
    }

    /// The processor's time that the loop's thread has spent since it began,
    /// inside the kernel too. Linux tells; elsewhere it is zero.
    ///
    /// tokio takes the time that passes between waits, at two looks at the
    /// clock for each wait. This costs nothing until it is asked for, and then
    /// three system calls. A thread that is blocked inside a poll is not busy by
    /// this measure: [`Builder::slow_poll`](crate::runtime::Builder::slow_poll)
    /// finds that.
    #[must_use]
    pub fn busy_duration(&self) -> Duration {
        self.busy_duration
    }

    /// Threads of the pool for
    /// [blocking work](crate::task::spawn_blocking).
    #[must_use]
    pub fn blocking_threads(&self) -> usize {
        self.blocking_threads
    }

    /// Those of them that have nothing to do.
    #[must_use]
    pub fn idle_blocking_threads(&self) -> usize {
        self.idle_blocking_threads
    }

    /// Blocking work that waits for a thread.
    #[must_use]
    pub fn queued_blocking_work(&self) -> usize {
        self.queued_blocking_work
    }

    /// How often a descriptor was registered with the kernel's queue of events.
    /// One that never had to wait was not.
    #[must_use]
    pub fn registered_fds(&self) -> u64 {
        self.registered_fds
    }

    /// How many of those are gone.
    #[must_use]
    pub fn deregistered_fds(&self) -> u64 {
        self.deregistered_fds
    }

    /// How many events the kernel has reported.
    #[must_use]
    pub fn io_events(&self) -> u64 {
        self.io_events
    }
}
