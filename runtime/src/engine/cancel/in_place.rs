//! [`CleanupInPlace`]: a cleanup that its guard, or a bracket, waits for.

use std::mem;
use std::task::{Context, Poll, ready};

use crate::engine::cancel::node_guard::{NodeGuard, PendingCleanup};
use crate::engine::cancel::queue::BoxedCleanup;
use crate::engine::cancel::run;
use crate::engine::panics::{self, Payload};

/// Runs a cleanup where it is awaited, even if that code is cancelled, and waits for the
/// cleanups that it leaves.
///
/// If this is dropped before the end, the cleanup moves to the queue of the task.
pub(crate) struct CleanupInPlace {
    branch: NodeGuard,
    stage: Stage,
}

enum Stage {
    Running(BoxedCleanup, PendingCleanup),
    /// The cleanup has finished, and the cleanups that it left may not have.
    Ran {
        cleanup: BoxedCleanup,
        result: Result<(), Payload>,
        _engaged: PendingCleanup,
    },
    Finished(Option<BoxedCleanup>),
}

impl CleanupInPlace {
    pub(crate) fn new(cleanup: BoxedCleanup) -> CleanupInPlace {
        let branch = NodeGuard::shield();
        let pending = branch.add_pending();
        CleanupInPlace {
            branch,
            stage: Stage::Running(cleanup, pending),
        }
    }

    /// Whether the code that waits for this was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.branch.node().is_outer_cancelled()
    }

    /// Ready when no cleanup is left; with the panic of this one, if it panicked.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Payload>> {
        if let Stage::Running(cleanup, _) = &mut self.stage {
            let polled = self.branch.poll(cx, |cx| cleanup.as_mut().poll(cx));
            let result = ready!(polled);
            if let Stage::Running(cleanup, _engaged) = self.take_stage() {
                self.stage = Stage::Ran {
                    cleanup,
                    result,
                    _engaged,
                };
            }
        }
        if let Stage::Ran { .. } = self.stage {
            ready!(self.branch.poll_empty(cx));
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

    /// Reports the panic of a cleanup that has finished, which nothing else does.
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
            Stage::Running(mut cleanup, _engaged) => {
                cleanup.as_mut().forget_clock();
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
