//! [`Cleanup`]: one cleanup, and how it is run.

use std::any::Any;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::engine::cancel::node_guard::{Branch, Engaged};
use crate::engine::core::context;
use crate::engine::panics;
use crate::engine::report::cleanup_failure::{Reason, tell};
use crate::engine::task::error::message;
use crate::engine::timers::limit::{Limit, Verdict};
use crate::engine::timers::sleep::Sleep;

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// A cleanup on its way. It is never lost in silence: one that is dropped before
/// its end is reported.
pub(crate) struct Cleanup {
    /// None when it is over.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// Where the guard was made. None for what is the runtime's own, of which
    /// nobody hears.
    place: Option<&'static Location<'static>>,
}

impl Cleanup {
    #[inline]
    pub(crate) fn new(
        future: impl Future<Output = ()> + 'static,
        place: Option<&'static Location<'static>>,
    ) -> Cleanup {
        Cleanup {
            future: Some(Box::pin(future)),
            place,
        }
    }

    /// Lets go of the future; a panic of that is nobody's.
    fn finish(&mut self) {
        let future = self.future.take();
        panics::caught(|| drop(future));
    }

    fn tell(&self, reason: &Reason) {
        if let Some(place) = self.place {
            tell(place, reason);
        }
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        if self.future.is_some() {
            self.tell(&Reason::Abandoned);
            self.finish();
        }
    }
}

impl fmt::Debug for Cleanup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cleanup")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// A cleanup that was begun, with the end of its time.
#[derive(Debug)]
pub(crate) struct Running {
    cleanup: Cleanup,
    /// Once it had to wait.
    clock: Option<Sleep>,
}

impl Running {
    pub(crate) fn new(cleanup: Cleanup) -> Running {
        Running {
            cleanup,
            clock: None,
        }
    }

    /// Ready when it is over, one way or another; with its panic, if it did.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Payload>> {
        // Most cleanups do not wait, and need no clock.
        if self.clock.is_some() {
            return self.poll_limited(context);
        }
        match self.poll_future(context) {
            Poll::Ready(result) => self.finish(result),
            Poll::Pending => self.set_clock(context),
        }
    }

    #[inline]
    fn poll_future(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Payload>> {
        let Some(future) = &mut self.cleanup.future else {
            return Poll::Ready(Ok(()));
        };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }

    #[inline]
    fn finish(&mut self, result: Result<(), Payload>) -> Poll<Result<(), Payload>> {
        self.cleanup.finish();
        Poll::Ready(result)
    }

    /// Polls a cleanup that had to wait before.
    #[cold]
    fn poll_limited(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Payload>> {
        let mut limit = Limit::before_poll();
        loop {
            if let Poll::Ready(result) = self.poll_future(context) {
                return self.finish(result);
            }
            match self.check(&mut limit, context) {
                Verdict::Wait => return Poll::Pending,
                Verdict::Late => return self.finish(Ok(())),
                Verdict::PollAgain => {}
            }
        }
    }

    /// Begins to take the time of a cleanup that has to wait.
    #[cold]
    fn set_clock(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Payload>> {
        self.clock = context::running_or_current().map(|event_loop| {
            let budget = event_loop.tasks.upkeeps.budget();
            Sleep::on(event_loop, budget)
        });
        match self.check(&mut Limit::before_poll(), context) {
            Verdict::Wait | Verdict::PollAgain => Poll::Pending,
            Verdict::Late => self.finish(Ok(())),
        }
    }

    /// The cleanup, to be run elsewhere.
    fn take(&mut self) -> Cleanup {
        Cleanup {
            future: self.cleanup.future.take(),
            place: self.cleanup.place,
        }
    }

    /// Reports a panic, for which there is no handle.
    pub(crate) fn tell_panic(&self, panic: Payload) {
        self.cleanup.tell(&Reason::Panicked(message(&*panic)));
        panics::discard(panic);
    }

    /// Looks whether it is late, and reports that it is.
    fn check(&mut self, limit: &mut Limit, context: &mut Context<'_>) -> Verdict {
        let Some(clock) = &mut self.clock else {
            return Verdict::Wait;
        };
        let verdict = limit.check(clock, context);
        if verdict == Verdict::Late {
            let budget =
                context::running_or_current().map(|event_loop| event_loop.tasks.upkeeps.budget());
            self.cleanup
                .tell(&Reason::TimedOut(budget.unwrap_or_default()));
        }
        verdict
    }
}

/// Runs a cleanup where it stands, whatever is cancelled, and waits for the cleanups
/// that it leaves. If it is dropped before the end, the rest goes to the lane of the
/// task.
pub(crate) struct Closing {
    branch: Branch,
    running: Running,
    stage: Stage,
}

enum Stage {
    Running(Engaged),
    /// The cleanup has ended, and those that it left may not have.
    Ended {
        result: Result<(), Payload>,
        _engaged: Engaged,
    },
    Closed,
}

impl Closing {
    pub(crate) fn new(cleanup: Cleanup) -> Closing {
        let branch = Branch::shield();
        let engaged = branch.engage();
        Closing {
            branch,
            running: Running::new(cleanup),
            stage: Stage::Running(engaged),
        }
    }

    /// Whether what it is in was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.branch.node().is_outer_cancelled()
    }

    /// Ready when no cleanup is left; with the panic of this one, if it panicked.
    pub(crate) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Payload>> {
        if let Stage::Running(_) = self.stage {
            let running = &mut self.running;
            let polled = self.branch.poll(context, |context| running.poll(context));
            let result = ready!(polled);
            if let Stage::Running(_engaged) = mem::replace(&mut self.stage, Stage::Closed) {
                self.stage = Stage::Ended { result, _engaged };
            }
        }
        if let Stage::Ended { .. } = self.stage {
            ready!(self.branch.poll_closed(context));
        }
        match mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Ended { result, .. } => Poll::Ready(result),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Reports the panic of a cleanup that has ended, which nothing else does.
    pub(crate) fn tell_panic(&self, panic: Payload) {
        self.running.tell_panic(panic);
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        match mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Running(_engaged) => {
                crate::engine::cancel::queue::hand_over(self.running.take())
            }
            Stage::Ended {
                result: Err(panic), ..
            } => self.tell_panic(panic),
            Stage::Ended { .. } | Stage::Closed => {}
        }
    }
}
