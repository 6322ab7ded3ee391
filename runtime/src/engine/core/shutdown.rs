//! How a loop ends: drained, dropped, or by a panic that nobody joined.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant as SystemTime};

use crate::engine::core::context;
use crate::engine::core::event_loop::{Blocking, EventLoop};
use crate::engine::core::sleep::Sleep;
use crate::engine::panics;
use crate::engine::report::abandoned::Report;

impl EventLoop {
    /// Drives all tasks and blocking work until none is left, or `deadline` is
    /// over, and then ends those that are.
    pub(crate) fn drain(&self, mut deadline: Sleep) -> Report {
        let _blocking = Blocking::begin(&self.blocks);
        self.begin_turn();
        self.drive(&mut deadline, |working| !working && self.has_come_to_rest());
        let mut tasks = self.tasks.metas();
        let mut blocking = self.shared.pool.abandon();
        // A task that only waits for its work is no second thing.
        tasks.retain(|task| blocking.iter().all(|work| work.id() != task.id()));
        tasks.extend(self.shared.discard_unstarted());
        self.tasks.cleanup_states.collect();
        if !tasks.is_empty() && !self.is_to_fail() {
            self.clean_up();
        }
        // Cleanups may have begun some.
        let later = self.shared.pool.abandon();
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

    /// Aborts all tasks, and drives those that have cleanups until these are
    /// over, or the time is.
    fn clean_up(&self) {
        let Some(event_loop) = context::running_or_current() else {
            return;
        };
        let mut limit = Sleep::on(event_loop, self.tasks.cleanup_states.budget());
        self.tasks.abort_all();
        // It is known which tasks have guards once each has had its turn.
        for _ in 0..self.tasks.ready() {
            self.tasks.run_one();
        }
        if !self.tasks.cleanup_states.is_empty() {
            self.drive(&mut limit, |_| self.tasks.cleanup_states.is_empty());
        }
    }

    /// Drives all tasks until `is_done`, which is given whether there is blocking work, or
    /// until `deadline`.
    fn drive(&self, deadline: &mut Sleep, is_done: impl Fn(bool) -> bool) {
        // No task has to be woken, because the loop looks after each wait.
        let cx = &mut Context::from_waker(Waker::noop());
        let start = SystemTime::now();
        let limit = deadline.deadline().duration_since(self.timers.now());
        loop {
            self.run_slice();
            let over = Pin::new(&mut *deadline).poll(cx).is_ready();
            let working = self.shared.pool.watch_jobs() > 0;
            if over || self.is_to_fail() || is_done(working) {
                return;
            }
            // A clock that is paused does not move while there is blocking work, whose
            // threads go by the clock of the system.
            let left = working.then(|| limit.saturating_sub(start.elapsed()));
            if left == Some(Duration::ZERO) || self.wait(left).is_err() {
                return;
            }
        }
    }

    /// Whether no task is left, nor on its way from a handle.
    fn has_come_to_rest(&self) -> bool {
        self.tasks.alive() == 0 && !self.tasks.has_ready() && self.tasks.remote().is_empty()
    }

    /// Whether a panic that nobody joined is to end the runtime.
    #[inline]
    pub(crate) fn is_to_fail(&self) -> bool {
        self.tasks.remote().unhandled().is_raised()
    }

    /// Before a turn: makes sure that there is something to turn.
    #[inline]
    pub(crate) fn assert_open(&self) {
        self.unless_failed(());
    }

    /// After a turn: its result; or shuts down and goes on with the panic that is
    /// to end the runtime, if there is one.
    #[inline]
    pub(crate) fn unless_failed<R>(&self, result: R) -> R {
        if self.is_to_fail() {
            // Not by the panic, during which it must not panic in turn.
            panics::caught(|| drop(result));
            self.fail();
        }
        result
    }

    #[cold]
    fn fail(&self) -> ! {
        self.shut_down();
        match self.tasks.remote().unhandled().take() {
            Some(panic) => resume_unwind(panic),
            None => panic!(
                "this runtime was shut down, by the panic of a task that nobody joined; \
                 make a new one"
            ),
        }
    }

    /// Shuts down, when nobody will drive the loop again.
    pub(crate) fn end(&self) {
        self.shut_down();
        if let Some(panic) = self.tasks.remote().unhandled().take() {
            panics::discard(panic);
        }
    }

    /// Drops every task, and orphans what is left of sockets.
    pub(crate) fn shut_down(&self) {
        // First, as the wakers that it calls may spawn and wake tasks.
        self.reactor.close(&self.tasks);
        self.tasks.shut_down();
        // Last, as the destructors of tasks may begin work.
        self.shared.pool.close();
    }
}
