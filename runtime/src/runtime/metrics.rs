//! [`RuntimeMetrics`]: counts of what a loop has done so far.

use std::time::Duration;

use crate::engine::core::event_loop::EventLoop;
use crate::engine::sys;

/// Counts of what a runtime has done and is doing, at one point in time.
///
/// Returned by [`Runtime::metrics`](crate::Runtime::metrics).
///
/// They are the metrics of tokio, without the prefix `worker_` and the number of the
/// worker: a runtime is one loop, and no task is stolen, overflows or is injected. All
/// of them are always counted. The cost is one addition for each slice of tasks, each
/// wait and each task, and none for each poll. The sums are computed from the counts
/// when they are requested.
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
/// assert_eq!(after.alive_tasks(), 1); // The task of `block_on`.
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
    pub(crate) fn of(event_loop: &EventLoop) -> Self {
        let (registered, present) = event_loop.reactor.registered();
        let blocking = event_loop.shared.pool.stats();
        Self {
            alive_tasks: event_loop.tasks.alive(),
            spawned_tasks: event_loop.tasks.spawned(),
            polls: event_loop.tasks.polls(),
            remote_schedules: event_loop.tasks.remote_schedules(),
            ready_tasks: event_loop.tasks.ready(),
            budget_forced_yields: event_loop.tasks.budget.forced_yields(),
            parks: event_loop.parks.get(),
            noops: event_loop.noops.get(),
            busy_duration: sys::thread_cpu_time(),
            blocking_threads: blocking.threads,
            idle_blocking_threads: blocking.idle,
            queued_blocking_work: blocking.queued,
            registered_fds: registered,
            deregistered_fds: registered - present,
            io_events: event_loop.reactor.reported(),
        }
    }

    /// Returns the number of tasks that have not finished.
    ///
    /// This includes the task that `block_on` drives.
    #[must_use]
    pub fn alive_tasks(&self) -> u64 {
        self.alive_tasks
    }

    /// Returns the number of tasks that have ever been spawned.
    ///
    /// This includes the tasks that `block_on` drove.
    #[must_use]
    pub fn spawned_tasks(&self) -> u64 {
        self.spawned_tasks
    }

    /// Returns the number of polls of tasks, including the one that is running.
    ///
    /// A task that was aborted while it was in the ready queue counts as one more poll.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// Returns the number of times that a task was put in the ready queue.
    #[must_use]
    pub fn local_schedules(&self) -> u64 {
        // Each task put in the queue was polled since, or is still there.
        self.polls + self.ready_tasks as u64
    }

    /// Returns the number of wakes and aborts of tasks from outside the running loop.
    ///
    /// Most of them come from other threads.
    ///
    /// A task that is woken again before the loop has taken it from its inbox counts
    /// once.
    #[must_use]
    pub fn remote_schedules(&self) -> u64 {
        self.remote_schedules
    }

    /// Returns the number of tasks in the ready queue, without the one that is running.
    #[must_use]
    pub fn ready_tasks(&self) -> usize {
        self.ready_tasks
    }

    /// Returns the number of operations that were refused.
    ///
    /// A refused operation returned `Pending` only because the task had spent its
    /// [budget](crate::task::coop).
    #[must_use]
    pub fn budget_forced_yields(&self) -> u64 {
        self.budget_forced_yields
    }

    /// Returns the number of times that the loop waited in the kernel.
    #[must_use]
    pub fn parks(&self) -> u64 {
        self.parks
    }

    /// Returns the number of waits in the kernel after which no task was ready.
    #[must_use]
    pub fn noops(&self) -> u64 {
        self.noops
    }

    /// Returns the processor time that the loop's thread has used since it started.
    ///
    /// It includes time in the kernel. It is known on Linux only, and zero elsewhere.
    ///
    /// tokio measures the time that passes between waits, with two reads of the clock
    /// for each wait. This metric costs nothing until it is requested, and then three
    /// system calls. A thread that is blocked inside a poll is not busy by this
    /// measure: use [`Builder::slow_poll`](crate::runtime::Builder::slow_poll) to find
    /// such polls.
    #[must_use]
    pub fn busy_duration(&self) -> Duration {
        self.busy_duration
    }

    /// Returns the number of threads for [blocking work](crate::task::spawn_blocking).
    #[must_use]
    pub fn blocking_threads(&self) -> usize {
        self.blocking_threads
    }

    /// Returns the number of threads in the blocking pool that have nothing to do.
    #[must_use]
    pub fn idle_blocking_threads(&self) -> usize {
        self.idle_blocking_threads
    }

    /// Returns the number of pieces of blocking work that wait for a thread.
    #[must_use]
    pub fn queued_blocking_work(&self) -> usize {
        self.queued_blocking_work
    }

    /// Returns the number of registrations of descriptors with epoll or kqueue.
    ///
    /// A descriptor is not registered before an operation on it has to wait.
    #[must_use]
    pub fn registered_fds(&self) -> u64 {
        self.registered_fds
    }

    /// Returns the number of registered descriptors that have been deregistered since.
    #[must_use]
    pub fn deregistered_fds(&self) -> u64 {
        self.deregistered_fds
    }

    /// Returns the number of events that the kernel has reported.
    #[must_use]
    pub fn io_events(&self) -> u64 {
        self.io_events
    }
}
