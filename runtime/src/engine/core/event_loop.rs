//! [`EventLoop`]: the tasks, timers and descriptors of one thread, and the turns that drive
//! them.
//!
//! ```text
//!        ┌────────────────────────────────────────────────┐
//!        v                                                │
//!   run ready tasks       until none is left,             │
//!        │                or the slice has ended          │
//!        v                                                │
//!   poll the kernel       without waiting if a task is    │
//!        │                ready; else until the next timer│
//!        v                                                │
//!   take the tasks that other threads woke                │
//!        │                                                │
//!        v                                                │
//!   fire the timers that are due ─────────────────────────┘
//! ```
//!
//! **Invariant:** inside a turn the loop's inbox is marked awake, except while the loop is
//! parked in the kernel. Outside a turn it is marked asleep, or the doorbell has been rung.
//! So a wake from another thread always makes the loop's descriptor readable, or the loop
//! finds the task before it parks again.

use std::cell::Cell;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant as SystemTime};

use crate::engine::core::context;
use crate::engine::core::options::Options;
use crate::engine::panics;
use crate::engine::reactor::Reactor;
use crate::engine::remote::shared::Shared;
use crate::engine::report::slow_poll::SlowPollMonitor;
use crate::engine::task::error::JoinError;
use crate::engine::task::join::JoinHandle;
use crate::engine::task::remote::RemoteOwner;
use crate::engine::task::scheduler::Scheduler;
use crate::engine::task::spawn_options::SpawnOptions;
use crate::engine::timers::Timers;
use crate::engine::timers::alarm::Alarm;

/// The maximum time between two polls of the kernel while tasks are ready.
///
/// A shorter slice would cost measurably: with a thousand ready sockets each task takes some
/// 4 µs of system calls, and a poll that reports nothing takes 0.5 µs. A longer one would gain
/// nothing: a slice of a millisecond measures the same.
const SLICE: Duration = Duration::from_micros(100);

/// All the state of a runtime: its tasks, its reactor, its timers and their alarm.
#[derive(Debug)]
pub(crate) struct EventLoop {
    pub(crate) tasks: Scheduler,
    pub(crate) reactor: Reactor,
    pub(crate) timers: Timers,
    /// Ends the loop's wait when a timer is due.
    alarm: Alarm,
    interval: CheckInterval,
    /// Measures each poll, if slow polls are to be reported.
    watch: Option<SlowPollMonitor>,
    /// How many times the loop parked.
    pub(crate) parks: Cell<u64>,
    /// How many times no task was ready after the loop had parked.
    pub(crate) noops: Cell<u64>,
    pub(crate) shared: Arc<Shared>,
    /// Whether the loop has a spawner, the task that spawns the futures which other threads
    /// send. It is started with the first `Handle`.
    pub(crate) has_spawner: Cell<bool>,
    /// Whether the thread is in `block_on` or `shutdown` of this loop, so that it drives no
    /// other loop until that returns.
    pub(super) is_blocked_on: Cell<bool>,
}

/// How often the loop reads the clock while tasks are ready.
#[derive(Debug)]
struct CheckInterval {
    /// The upper bound of `tasks`.
    max_tasks: u32,
    /// The number of tasks that run between two reads. It is adapted to how long they take.
    tasks: Cell<u32>,
    /// Whether tasks were still ready at the end of the last slice.
    busy: Cell<bool>,
}

/// A guard that sets `is_blocked_on` until it is dropped.
pub(super) struct BlockedOn<'a>(&'a Cell<bool>);

impl<'a> BlockedOn<'a> {
    pub(super) fn begin(flag: &'a Cell<bool>) -> Self {
        flag.set(true);
        Self(flag)
    }
}

impl Drop for BlockedOn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl EventLoop {
    pub(crate) fn new(options: &Options) -> io::Result<Rc<Self>> {
        let (reactor, doorbell) = Reactor::new()?;
        Ok(Rc::new(Self {
            tasks: Scheduler::new(
                RemoteOwner::new(doorbell, options.unhandled.clone()),
                options.cleanup.clone(),
            ),
            reactor,
            timers: Timers::new(options.start_paused),
            alarm: Alarm::default(),
            interval: CheckInterval {
                max_tasks: options.event_interval,
                tasks: Cell::new(options.event_interval),
                busy: Cell::new(false),
            },
            watch: options.watch.clone(),
            parks: Cell::new(0),
            noops: Cell::new(0),
            shared: Shared::new(options.blocking.clone()),
            has_spawner: Cell::new(false),
            is_blocked_on: Cell::new(false),
        }))
    }

    /// Spawns `future` as a task.
    #[inline]
    pub(crate) fn spawn<F: Future + 'static>(
        &self,
        future: F,
        options: SpawnOptions<'_>,
    ) -> JoinHandle<F::Output> {
        let handle = self.tasks.spawn(future, options);
        self.wake_unless_running();
        handle
    }

    /// Outside a turn, makes the descriptor readable, so that an embedder of the loop runs one.
    #[inline]
    pub(crate) fn wake_unless_running(&self) {
        if !self.is_running() {
            self.tasks.remote().wake_if_asleep();
        }
    }

    /// Arms the alarm for a timer that was set outside a turn. If the alarm has no descriptor,
    /// or the timer is due, rings the doorbell instead, so that the loop runs a turn.
    #[cold]
    pub(crate) fn set_alarm_outside(&self) {
        if self.arm_alarm(None).is_some() {
            self.tasks.remote().wake_if_asleep();
        }
    }

    /// Advances a paused clock by `duration`, and fires the timers that are due. Returns false
    /// if the clock is not paused.
    pub(crate) fn advance_clock(&self, duration: Duration) -> bool {
        if !self.timers.skip(duration) {
            return false;
        }
        if self.is_running() {
            self.timers.fire(&self.tasks);
        } else {
            self.tasks.remote().wake_if_asleep();
        }
        true
    }

    /// Resumes a paused clock. Returns false if the clock is not paused.
    pub(crate) fn resume_clock(&self) -> bool {
        let resumed = self.timers.resume();
        if resumed {
            // The alarm was set before the pause. The clock may now reach that time earlier or
            // later than the alarm goes off.
            self.alarm.forget();
            if !self.is_running() {
                self.set_alarm_outside();
            }
        }
        resumed
    }

    /// Returns whether this is the running loop of the thread.
    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        context::with_running(|running| std::ptr::eq(running, self)) == Some(true)
    }

    /// Returns whether the thread is in `block_on` or `shutdown` of another loop, which is
    /// current. This loop is then not driven until that returns, so a task of the other loop
    /// must not wait for it. A caller that has entered this loop by a guard is not taken for a
    /// task of the other one.
    pub(crate) fn is_held_up(&self) -> bool {
        if !context::is_current_running() {
            return false;
        }
        let is_held_up = context::with_running(|current| {
            current.is_blocked_on.get() && !std::ptr::eq(current, self)
        });
        is_held_up == Some(true) && !self.reactor.is_closed()
    }

    /// Runs `future` and all tasks until `future` is ready.
    pub(crate) fn block_on<F: Future>(
        &self,
        future: F,
        spawned_at: &'static Location<'static>,
    ) -> Result<F::Output, JoinError> {
        let _blocked_on = BlockedOn::begin(&self.is_blocked_on);
        self.begin_turn();
        let mut failed = None;
        let result = self.tasks.run_root(future, spawned_at, |is_finished| {
            loop {
                self.run_slice();
                if is_finished() || self.must_fail() {
                    return;
                }
                if let Err(error) = self.poll_kernel(None) {
                    failed = Some(error);
                    return;
                }
            }
        });
        self.end_turn();
        if let Some(error) = failed {
            // Dropped here and not by the panic below, because the output's destructor may
            // panic too.
            panics::caught(|| drop(result));
            panic!("the event loop cannot poll the kernel: {error}");
        }
        result
    }

    /// Runs the ready tasks, polls the kernel, and runs the tasks that became ready. If no task
    /// is ready, the poll waits for up to `limit`. Returns whether tasks are still ready.
    pub(crate) fn turn(&self, limit: Option<Duration>) -> io::Result<bool> {
        self.begin_turn();
        self.run_slice();
        let waited = if self.must_fail() {
            Ok(())
        } else {
            self.poll_kernel(limit)
        };
        self.run_slice();
        self.end_turn();
        waited?;
        Ok(self.tasks.has_ready())
    }

    /// Begins a turn: takes the tasks that other threads have woken and fires the timers that
    /// are due since the last turn.
    pub(super) fn begin_turn(&self) {
        self.tasks.take_remote();
        self.timers.fire(&self.tasks);
    }

    /// Ends a turn: makes sure that the loop's descriptor is readable if there is work for
    /// another turn, and becomes readable when there is.
    fn end_turn(&self) {
        let more = self.tasks.has_ready() || self.reactor.has_more();
        if more || !self.tasks.remote().try_mark_asleep() {
            self.tasks.remote().ring();
        }
        // A timer that became due in this turn has no alarm. If the alarm has no descriptor,
        // an embedder of the loop asks when the next timer is due.
        if self.arm_alarm(None) == Some(Duration::ZERO) {
            self.tasks.remote().ring();
        }
    }

    /// Runs ready tasks until none is left or the slice has ended. The clock is first read
    /// after a few tasks have run, unless the last slice ended with tasks ready.
    pub(super) fn run_slice(&self) {
        if let Some(watch) = &self.watch {
            return self.run_slice_watched(watch);
        }
        let interval = &self.interval;
        let mut start = interval.busy.get().then(SystemTime::now);
        loop {
            if self.tasks.run_ready(interval.tasks.get()) {
                interval.busy.set(false);
                return;
            }
            let now = SystemTime::now();
            let passed = now.duration_since(*start.get_or_insert(now));
            if passed >= SLICE {
                interval.tasks.set((interval.tasks.get() / 2).max(1));
                interval.busy.set(true);
                return;
            }
            if passed < SLICE / 4 {
                interval
                    .tasks
                    .set((interval.tasks.get() * 2).min(interval.max_tasks));
            }
        }
    }

    /// Like [`run_slice`](EventLoop::run_slice), and measures the time of each poll.
    #[cold]
    fn run_slice_watched(&self, watch: &SlowPollMonitor) {
        let start = SystemTime::now();
        let mut before = start;
        while self.tasks.has_ready() {
            let task = self.tasks.next_meta();
            let none_left = self.tasks.run_one();
            let mut now = SystemTime::now();
            if let Some(task) = task
                && watch.report_if_slow(task, now.duration_since(before))
            {
                now = SystemTime::now();
            }
            if none_left || now.duration_since(start) >= SLICE {
                return;
            }
            before = now;
        }
    }

    /// Polls the kernel, and then handles everything that has happened: wakes the tasks that
    /// wait for events, takes the tasks that other threads have woken, and fires the timers
    /// that are due. Parks for up to `limit` if no task is ready.
    pub(super) fn poll_kernel(&self, limit: Option<Duration>) -> io::Result<()> {
        let parks = self.parks.get();
        let polled = self.park_or_poll(limit);
        if self.reactor.timer_went_off() {
            self.timers.distrust_alarm();
        }
        // The inbox does not count as empty while it is marked asleep. So this is true whenever
        // the loop has parked, and `take_remote` marks the inbox awake again.
        if !self.tasks.remote().is_awake_and_empty() {
            self.tasks.take_remote();
        }
        self.timers.fire(&self.tasks);
        if !self.tasks.has_ready() && self.parks.get() > parks {
            self.noops.set(self.noops.get() + 1);
        }
        polled
    }

    /// Parks in the kernel until an event, the next timer or `limit`; or polls the kernel
    /// without waiting, if a task is ready, another thread has woken one, or `limit` is zero.
    fn park_or_poll(&self, limit: Option<Duration>) -> io::Result<()> {
        let may_wait = !self.tasks.has_ready() && limit != Some(Duration::ZERO);
        if !may_wait || !self.tasks.remote().try_mark_asleep() {
            return self.reactor.poll(Some(Duration::ZERO), &self.tasks);
        }
        self.parks.set(self.parks.get() + 1);
        if self.timers.is_paused() {
            return self.park_with_paused_clock(limit);
        }
        let timeout = self.arm_alarm(limit);
        self.reactor.poll(timeout, &self.tasks)
    }

    /// Parks with a paused clock. If nothing else can happen, the clock jumps to the next timer
    /// instead, but by no more than `limit`. If there is no timer, or blocking work is left,
    /// the loop parks for up to `limit` on the system's clock.
    #[cold]
    fn park_with_paused_clock(&self, limit: Option<Duration>) -> io::Result<()> {
        // Read before the inbox is: the tasks that a job wakes are in the inbox when the job
        // has finished.
        let no_jobs = self.shared.pool.watch_jobs() == 0;
        self.reactor.poll(Some(Duration::ZERO), &self.tasks)?;
        self.tasks.take_remote();
        if self.tasks.has_ready() {
            return Ok(());
        }
        // The clock does not jump while blocking work is left, which may wake a task.
        if no_jobs && self.timers.skip_to_next(limit) || !self.tasks.remote().try_mark_asleep() {
            return Ok(());
        }
        self.reactor.poll(limit, &self.tasks)
    }

    /// Makes sure that a wait in the kernel ends when the next timer is due, or after `limit`.
    /// Returns the timeout that the caller has to give to the wait:
    ///
    /// - `None`: no timeout. The alarm's descriptor ends the wait; or there is neither a timer
    ///   nor a limit; or the clock is paused, and the alarm was left as it is.
    /// - `Some(Duration::ZERO)`: a timer is due, or the limit is zero. The alarm was not armed.
    /// - `Some(timeout)`: the alarm has no descriptor, so the wait has to end by itself.
    #[inline]
    fn arm_alarm(&self, limit: Option<Duration>) -> Option<Duration> {
        if limit.is_none() && self.timers.trusts_alarm() {
            return None;
        }
        let next = self.timers.wake_time();
        if next.is_none() && limit.is_none() || self.timers.is_paused() {
            return None;
        }
        let now = self.timers.read_clock();
        let limit = limit.and_then(|limit| u64::try_from(limit.as_nanos()).ok());
        let limit = limit.map(|limit| now.saturating_add(limit));
        let deadline = next.into_iter().chain(limit).min()?;
        if deadline <= now {
            return Some(Duration::ZERO);
        }
        let timeout = self.alarm.set(&self.reactor, deadline, now);
        if timeout.is_none()
            && let Some(at) = self.alarm.set_for()
        {
            self.timers.trust_alarm(at);
        }
        timeout
    }
}
