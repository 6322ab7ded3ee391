//! How a loop is shut down: by `Runtime::shutdown`, by dropping the runtime, or by the panic of
//! a task that was not joined.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant as SystemTime};

use crate::engine::core::context;
use crate::engine::core::event_loop::{BlockedOn, EventLoop};
use crate::engine::core::sleep::Sleep;
use crate::engine::panics;
use crate::engine::report::abandoned::Report;

impl EventLoop {
    /// Runs all tasks and blocking work until none is left or `deadline` has passed, and then
    /// ends those that are left.
    pub(crate) fn shut_down_by(&self, mut deadline: Sleep) -> Report {
        let _blocked_on = BlockedOn::begin(&self.is_blocked_on);
        self.begin_turn();
        self.drive(&mut deadline, |working| !working && self.is_idle());
        let mut tasks = self.tasks.metas();
        let mut blocking = self.shared.abandon_jobs();
        // A task that only waits for its blocking work has the same id, and is not reported
        // twice.
        tasks.retain(|task| blocking.iter().all(|work| work.id() != task.id()));
        tasks.extend(self.shared.discard_unstarted());
        self.tasks.cleanup_states.collect();
        if !tasks.is_empty() && !self.must_fail() {
            self.run_cleanups();
        }
        // Cleanups may have started more blocking work.
        let later = self.shared.abandon_jobs();
        let is_known = |id| blocking.iter().any(|work| work.id() == id);
        let later: Vec<_> = later
            .into_iter()
            .filter(|work| !is_known(work.id()))
            .collect();
        blocking.extend(later);
        self.shut_down();
        Report {
            tasks,
            blocking,
            cleanups: self.tasks.cleanup_states.collected(),
        }
    }

    /// Aborts all tasks, and runs those with cleanups until the cleanups have finished or the
    /// time limit of cleanups has passed.
    fn run_cleanups(&self) {
        let Some(event_loop) = context::running_or_current() else {
            return;
        };
        let mut limit = Sleep::on(event_loop, self.tasks.cleanup_states.time_limit());
        self.tasks.abort_all();
        // Which tasks have cleanups is known after each has had a turn.
        for _ in 0..self.tasks.ready() {
            self.tasks.run_one();
        }
        if !self.tasks.cleanup_states.is_empty() {
            self.drive(&mut limit, |_| self.tasks.cleanup_states.is_empty());
        }
    }

    /// Runs all tasks until `is_done` returns true or `deadline` has passed. The argument of
    /// `is_done` is whether there is blocking work.
    fn drive(&self, deadline: &mut Sleep, is_done: impl Fn(bool) -> bool) {
        // The waker need not do anything, because the deadline is polled after each wait.
        let cx = &mut Context::from_waker(Waker::noop());
        let start = SystemTime::now();
        let limit = deadline.deadline().duration_since(self.timers.now());
        loop {
            self.run_slice();
            let has_expired = Pin::new(&mut *deadline).poll(cx).is_ready();
            let working = self.shared.pool.watch_jobs() > 0;
            if has_expired || self.must_fail() || is_done(working) {
                return;
            }
            // A paused clock does not move while there is blocking work. So the time that
            // is left for the work is measured by the system's clock.
            let left = working.then(|| limit.saturating_sub(start.elapsed()));
            if left == Some(Duration::ZERO) || self.poll_kernel(left).is_err() {
                return;
            }
        }
    }

    /// Returns whether no task is left, and none is on its way from a `Handle`.
    fn is_idle(&self) -> bool {
        self.tasks.alive() == 0
            && !self.tasks.has_ready()
            && self.tasks.remote().is_awake_and_empty()
    }

    /// Returns whether the panic of a task that was not joined has to end the runtime.
    #[inline]
    pub(super) fn must_fail(&self) -> bool {
        self.tasks.remote().unhandled().is_raised()
    }

    /// Panics if the panic of a task has ended the runtime. Called before a turn.
    #[inline]
    pub(crate) fn assert_open(&self) {
        self.unless_failed(());
    }

    /// Returns `result`. If the panic of a task has to end the runtime, shuts down and resumes
    /// that panic instead. Called after a turn.
    #[inline]
    pub(crate) fn unless_failed<R>(&self, result: R) -> R {
        if self.must_fail() {
            // Dropped here and not by the panic below, because its destructor may panic too.
            panics::caught(|| drop(result));
            self.fail();
        }
        result
    }

    /// Shuts down, and resumes the panic that has to end the runtime. Panics with a message if
    /// an earlier call has resumed it.
    #[cold]
    fn fail(&self) -> ! {
        self.shut_down();
        match self.tasks.remote().unhandled().take() {
            Some(panic) => resume_unwind(panic),
            None => panic!(
                "this runtime was shut down by the panic of a task that was not joined; \
                 create a new one"
            ),
        }
    }

    /// Shuts down because the runtime is dropped. A panic that would have ended the runtime is
    /// discarded.
    pub(crate) fn end(&self) {
        self.shut_down();
        if let Some(panic) = self.tasks.remote().unhandled().take() {
            panics::discard(panic);
        }
    }

    /// Drops the futures of all tasks. Sockets that still exist lose their loop, and return
    /// errors from now on.
    pub(super) fn shut_down(&self) {
        // First, because the wakers that it calls may spawn and wake tasks.
        self.reactor.close(&self.tasks);
        self.tasks.shut_down();
        // Last, because the destructors of tasks may start blocking work.
        self.shared.close_pools();
    }
}
