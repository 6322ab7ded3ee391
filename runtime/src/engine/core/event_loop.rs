//! The loop: what one thread turns.
//!
//! ```text
//!        ┌────────────────────────────────────────────────┐
//!        v                                                │
//!   run ready tasks       until none is left,             │
//!        │                or the time slice is over       │
//!        v                                                │
//!   poll the kernel       without waiting if a task is    │
//!        │                ready; else until the next timer│
//!        v                                                │
//!   take what other threads sent                          │
//!        │                                                │
//!        v                                                │
//!   fire the timers that are due ─────────────────────────┘
//! ```
//!
//! **Invariant:** while the loop is inside a turn its inbox is marked awake,
//! but for the wait in the kernel; outside it is marked asleep, or the doorbell
//! has been rung. So a wake from another thread always makes the loop's
//! descriptor readable, or is seen before the next wait.

use std::cell::Cell;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant as SystemTime};

use crate::engine::core::context;
use crate::engine::core::options::Options;
use crate::engine::id::Id;
use crate::engine::panics;
use crate::engine::reactor::Reactor;
use crate::engine::remote::shared::Shared;
use crate::engine::report::slow_poll::SlowPollMonitor;
use crate::engine::task::error::JoinError;
use crate::engine::task::join::JoinHandle;
use crate::engine::task::remote::RemoteOwner;
use crate::engine::task::scheduler::Scheduler;
use crate::engine::timers::Timers;
use crate::engine::timers::alarm::Alarm;
use crate::twin::Spares;

/// The kernel is asked for news at least this often while tasks are ready. More
/// often would show: with a thousand sockets ready, each task takes some 4 µs of
/// system calls, and a call that finds nothing new 0.5 µs. Less often would not:
/// a slice of a millisecond reads the same.
const SLICE: Duration = Duration::from_micros(100);

/// What a thread needs to drive tasks: everything of a runtime.
#[derive(Debug)]
pub(crate) struct EventLoop {
    pub(crate) tasks: Scheduler,
    pub(crate) reactor: Reactor,
    pub(crate) timers: Timers,
    pub(crate) spares: Spares,
    alarm: Alarm,
    interval: CheckInterval,
    /// Looks for slow polls.
    watch: Option<SlowPollMonitor>,
    pub(crate) parks: Cell<u64>,
    pub(crate) noops: Cell<u64>,
    pub(crate) shared: Arc<Shared>,
    /// Whether the courier is at work: once there is a handle.
    pub(crate) has_spawner: Cell<bool>,
    /// Whether a caller waits until something is finished, instead of giving single turns.
    /// No other loop of the thread is driven meanwhile.
    pub(super) blocks: Cell<bool>,
}

/// How often the clock is looked at while tasks are ready.
#[derive(Debug)]
struct CheckInterval {
    /// Not less often than after so many tasks.
    most: u32,
    /// As often as recent tasks were long: after so many of them.
    tasks: Cell<u32>,
    /// Whether the last slice ended with tasks ready.
    busy: Cell<bool>,
}

/// Says that a loop is driven until something is finished, for as long as it lives.
pub(crate) struct Blocking<'a>(&'a Cell<bool>);

impl<'a> Blocking<'a> {
    pub(crate) fn begin(blocks: &'a Cell<bool>) -> Blocking<'a> {
        blocks.set(true);
        Blocking(blocks)
    }
}

impl Drop for Blocking<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl EventLoop {
    pub(crate) fn new(options: &Options) -> io::Result<Rc<EventLoop>> {
        let (reactor, doorbell) = Reactor::new()?;
        Ok(Rc::new(EventLoop {
            tasks: Scheduler::new(
                RemoteOwner::new(doorbell, options.unhandled.clone()),
                options.cleanup.clone(),
            ),
            reactor,
            timers: Timers::new(options.start_paused),
            spares: Spares::default(),
            alarm: Alarm::default(),
            interval: CheckInterval {
                most: options.event_interval,
                tasks: Cell::new(options.event_interval),
                busy: Cell::new(false),
            },
            watch: options.watch.clone(),
            parks: Cell::new(0),
            noops: Cell::new(0),
            shared: Shared::new(options.blocking.clone()),
            has_spawner: Cell::new(false),
            blocks: Cell::new(false),
        }))
    }

    /// Makes a task of `future`. `running` is whether the loop is in a turn.
    #[inline]
    pub(crate) fn spawn<F: Future + 'static>(
        &self,
        future: F,
        spawned_at: &'static Location<'static>,
        running: bool,
    ) -> JoinHandle<F::Output> {
        self.spawn_as(self.tasks.next_id(), future, spawned_at, running)
    }

    /// As [`spawn`](EventLoop::spawn), for a task that may have a name.
    pub(crate) fn spawn_named<F: Future + 'static>(
        &self,
        name: Option<&str>,
        future: F,
        spawned_at: &'static Location<'static>,
        running: bool,
    ) -> JoinHandle<F::Output> {
        let handle = self.spawn(future, spawned_at, running);
        if let Some(name) = name {
            self.tasks.name(&handle, name);
        }
        handle
    }

    /// As [`spawn`](EventLoop::spawn), for a task whose id was given out before.
    #[inline]
    pub(crate) fn spawn_as<F: Future + 'static>(
        &self,
        id: Id,
        future: F,
        spawned_at: &'static Location<'static>,
        running: bool,
    ) -> JoinHandle<F::Output> {
        let handle = self.tasks.spawn(id, future, spawned_at);
        if !running {
            // Whoever embeds the loop has to give it a turn.
            self.tasks.remote().wake_if_asleep();
        }
        handle
    }

    /// Has the loop turn for a timer that was set outside its turns. Where the
    /// alarm has no descriptor, the loop's next turn sees to it.
    #[cold]
    pub(crate) fn set_alarm_outside(&self) {
        if self.set_alarm(None).is_some() {
            self.tasks.remote().wake_if_asleep();
        }
    }

    /// Moves a paused clock on, and wakes whose time has come; false if the
    /// clock is not paused.
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

    /// Sets a paused clock going; false if it is not paused.
    pub(crate) fn resume_clock(&self) -> bool {
        let resumed = self.timers.resume();
        if resumed {
            // It was set for a time that the clock may now show at another.
            self.alarm.forget();
            if !self.is_running() {
                self.set_alarm_outside();
            }
        }
        resumed
    }

    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        context::with_running(|running| std::ptr::eq(running, self)) == Some(true)
    }

    /// Whether a task of another loop asks, and the thread is in the `block_on` or `shutdown`
    /// of that: this loop is not driven before its end. A caller that has entered this loop
    /// there is not taken for a task of the other.
    pub(crate) fn is_held_up(&self) -> bool {
        let held_up = context::with_current_or_running(|current, is_running| {
            is_running && current.blocks.get() && !std::ptr::eq(current, self)
        });
        held_up == Some(true) && !self.reactor.is_closed()
    }

    /// Drives `future` and all tasks until it is ready.
    pub(crate) fn block_on<F: Future>(
        &self,
        future: F,
        spawned_at: &'static Location<'static>,
    ) -> Result<F::Output, JoinError> {
        let _blocking = Blocking::begin(&self.blocks);
        self.begin_turn();
        let mut failed = None;
        let result = self.tasks.run_root(future, spawned_at, |is_over| {
            loop {
                self.run_slice();
                if is_over() || self.is_to_fail() {
                    return;
                }
                if let Err(error) = self.wait(None) {
                    failed = Some(error);
                    return;
                }
            }
        });
        self.end_turn();
        if let Some(error) = failed {
            // Not by the panic, during which its destructor must not panic in turn.
            panics::caught(|| drop(result));
            panic!("the event loop cannot poll the kernel: {error}");
        }
        result
    }

    /// Runs what is ready, waits for up to `limit` if nothing was, and runs
    /// what came of that. Returns whether tasks are left that are ready.
    pub(crate) fn turn(&self, limit: Option<Duration>) -> io::Result<bool> {
        self.begin_turn();
        self.run_slice();
        let waited = if self.is_to_fail() {
            Ok(())
        } else {
            self.wait(limit)
        };
        self.run_slice();
        self.end_turn();
        waited?;
        Ok(self.tasks.has_ready())
    }

    /// At the start of a turn: what came since the last.
    pub(super) fn begin_turn(&self) {
        self.tasks.take_remote();
        self.timers.fire(&self.tasks);
    }

    /// At the end of a turn: makes sure that the descriptor becomes readable
    /// when there is something to do.
    fn end_turn(&self) {
        let more = self.tasks.has_ready() || self.reactor.has_more();
        if more || !self.tasks.remote().try_mark_asleep() {
            self.tasks.remote().ring();
        }
        // Where the alarm has no descriptor, whoever embeds the loop asks when
        // the next timer is due. One that came due in this turn has no alarm.
        if self.set_alarm(None) == Some(Duration::ZERO) {
            self.tasks.remote().ring();
        }
    }

    /// Runs ready tasks, until none is left or the kernel should be asked for
    /// news. The clock is not looked at before the first few have run.
    pub(super) fn run_slice(&self) {
        if let Some(watch) = &self.watch {
            return self.run_watched(watch);
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
                    .set((interval.tasks.get() * 2).min(interval.most));
            }
        }
    }

    /// As [`run_slice`](EventLoop::run_slice), and takes the time of each poll.
    #[cold]
    fn run_watched(&self, watch: &SlowPollMonitor) {
        let start = SystemTime::now();
        let mut before = start;
        while self.tasks.has_ready() {
            let task = self.tasks.next_meta();
            let over = self.tasks.run_one();
            let mut now = SystemTime::now();
            if let Some(task) = task
                && watch.report_if_slow(task, now.duration_since(before))
            {
                now = SystemTime::now();
            }
            if over || now.duration_since(start) >= SLICE {
                return;
            }
            before = now;
        }
    }

    /// Polls the kernel, and takes in what came: events, tasks from other
    /// threads, and timers that are due. Waits only if no task is ready.
    pub(super) fn wait(&self, limit: Option<Duration>) -> io::Result<()> {
        let parks = self.parks.get();
        let polled = self.poll(limit);
        if self.reactor.timer_went_off() {
            self.timers.distrust_alarm();
        }
        if !self.tasks.remote().is_empty() {
            self.tasks.take_remote();
        }
        self.timers.fire(&self.tasks);
        if !self.tasks.has_ready() && self.parks.get() > parks {
            self.noops.set(self.noops.get() + 1);
        }
        polled
    }

    fn poll(&self, limit: Option<Duration>) -> io::Result<()> {
        let may_wait = !self.tasks.has_ready() && limit != Some(Duration::ZERO);
        if !may_wait || !self.tasks.remote().try_mark_asleep() {
            return self.reactor.poll(Some(Duration::ZERO), &self.tasks);
        }
        self.parks.set(self.parks.get() + 1);
        if self.timers.is_paused() {
            return self.poll_paused(limit);
        }
        let timeout = self.set_alarm(limit);
        self.reactor.poll(timeout, &self.tasks)
    }

    /// With a clock that stands still: if nothing else can happen, it jumps to
    /// the next timer, or by `limit` if that is less. Without a timer the wait is
    /// a real one, of `limit` on the system's clock.
    #[cold]
    fn poll_paused(&self, limit: Option<Duration>) -> io::Result<()> {
        // Before the inbox is looked at: what a job wakes is there when it is over.
        let no_jobs = self.shared.pool.watch_jobs() == 0;
        self.reactor.poll(Some(Duration::ZERO), &self.tasks)?;
        self.tasks.take_remote();
        if self.tasks.has_ready() {
            return Ok(());
        }
        // Blocking work may yet wake somebody, and no time goes by until then.
        if no_jobs && self.timers.skip_to_next(limit) || !self.tasks.remote().try_mark_asleep() {
            return Ok(());
        }
        self.reactor.poll(limit, &self.tasks)
    }

    /// Sees to it that the wait ends with the next timer, or after `limit`.
    /// Returns the timeout that the wait needs for that.
    #[inline]
    fn set_alarm(&self, limit: Option<Duration>) -> Option<Duration> {
        if limit.is_none() && self.timers.trusts_alarm() {
            return None;
        }
        let next = self.timers.alarm();
        if next.is_none() && limit.is_none() || self.timers.is_paused() {
            return None;
        }
        let now = self.timers.nanos();
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
