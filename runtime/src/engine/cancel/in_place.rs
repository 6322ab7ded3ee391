//! [`CleanupInPlace`]: a cleanup that `AsyncGuard::close` or a bracket waits for.

use std::mem;
use std::task::{Context, Poll, ready};

use crate::engine::cancel::node_guard::{NodeGuard, PendingCleanup};
use crate::engine::cancel::queue::BoxedCleanup;
use crate::engine::cancel::run;
use crate::engine::panics::{self, Payload};

/// A cleanup that runs where it is awaited, even if the code there is cancelled, together
/// with the cleanups that it adds.
///
/// If this is dropped before the cleanup has finished, the cleanup moves to the queue of the
/// task.
pub(crate) struct CleanupInPlace {
    node_guard: NodeGuard,
    stage: Stage,
}

enum Stage {
    /// The cleanup is being run. Its node is pending, so a cancelled task waits for it.
    Running(BoxedCleanup, PendingCleanup),
    /// The cleanup has finished, but the cleanups that it added may not have.
    Ran {
        cleanup: BoxedCleanup,
        result: Result<(), Payload>,
        _pending: PendingCleanup,
    },
    /// All have finished. The cleanup is kept to report its panic.
    Finished(Option<BoxedCleanup>),
}

impl CleanupInPlace {
    pub(crate) fn new(cleanup: BoxedCleanup) -> Self {
        let node_guard = NodeGuard::shield();
        let pending = node_guard.add_pending();
        Self {
            node_guard,
            stage: Stage::Running(cleanup, pending),
        }
    }

    /// Returns whether the code that waits for the cleanup was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.node_guard.node().is_outer_cancelled()
    }

    /// Polls the cleanup. Ready when it and the cleanups that it added have finished; with
    /// the panic of this one, if it panicked.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Payload>> {
        if let Stage::Running(cleanup, _) = &mut self.stage {
            let polled = self.node_guard.poll(cx, |cx| cleanup.as_mut().poll(cx));
            let result = ready!(polled);
            if let Stage::Running(cleanup, _pending) = self.take_stage() {
                self.stage = Stage::Ran {
                    cleanup,
                    result,
                    _pending,
                };
            }
        }
        if let Stage::Ran { .. } = self.stage {
            ready!(self.node_guard.poll_empty(cx));
        }
        match self.take_stage() {
            Stage::Ran {
                cleanup, result, ..
            } => {
                self.stage = Stage::Finished(Some(cleanup));
                Poll::Ready(result)
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Reports the panic that `poll_end` has returned, if its caller cannot propagate it.
    pub(crate) fn report_panic(&self, panic: Payload) {
        match &self.stage {
            Stage::Finished(Some(cleanup)) => cleanup.report_panic(panic),
            _ => panics::discard(panic),
        }
    }

    fn take_stage(&mut self) -> Stage {
        mem::replace(&mut self.stage, Stage::Finished(None))
    }
}

impl Drop for CleanupInPlace {
    fn drop(&mut self) {
        match self.take_stage() {
            Stage::Running(mut cleanup, _pending) => {
                cleanup.as_mut().reset_time_limit();
                run::hand_over(cleanup);
            }
            Stage::Ran {
                cleanup,
                result: Err(panic),
                ..
            } => cleanup.report_panic(panic),
            Stage::Ran { .. } | Stage::Finished(_) => {}
        }
    }
}
