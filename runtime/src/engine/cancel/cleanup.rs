//! [`Cleanup`]: the async code that a guard runs when it is dropped, with its time limit.
//!
//! **Invariant:** no shared reference to a whole `Cleanup` is formed before its future has
//! been dropped, because the future may contain references to itself: its parts are reached
//! by `project`.

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::engine::cancel::queue::{BoxedCleanup, RunCleanup};
use crate::engine::core::context;
use crate::engine::core::limit::{Limit, Verdict};
use crate::engine::core::sleep::Sleep;
use crate::engine::panics::{self, Payload};
use crate::engine::report;
use crate::engine::report::cleanup_failure::{CleanupFailure, Reason};
use crate::engine::task::error::message;

pin_project! {
    /// A cleanup, from the drop of its guard until it has finished.
    ///
    /// A cleanup that is dropped before it has finished is reported.
    pub(super) struct Cleanup<F> {
        // `None` once the cleanup has finished.
        #[pin]
        future: Option<F>,
        // Where the guard was created.
        created_at: &'static Location<'static>,
        // The time limit, which starts when the cleanup first has to wait.
        timer: Option<Sleep>,
    }

    impl<F> PinnedDrop for Cleanup<F> {
        fn drop(mut this: Pin<&mut Self>) {
            let parts = this.as_mut().project();
            if parts.future.as_pin_mut().is_some() {
                report(parts.created_at, &Reason::Abandoned);
                this.finish();
            }
        }
    }
}

/// Returns a cleanup that runs `future`, for a guard that was created at `created_at`.
#[inline]
pub(crate) fn boxed(
    future: impl Future<Output = ()> + 'static,
    created_at: &'static Location<'static>,
) -> BoxedCleanup {
    Box::pin(Cleanup {
        future: Some(future),
        created_at,
        timer: None,
    })
}

impl<F> Cleanup<F> {
    /// Drops the future, and discards a panic of its destructor.
    fn finish(self: Pin<&mut Self>) {
        let mut future = self.project().future;
        panics::caught(|| future.set(None));
    }
}

impl<F: Future<Output = ()>> Cleanup<F> {
    /// Polls the future, and catches its panic.
    #[inline]
    fn poll_future(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Payload>> {
        let Some(future) = self.project().future.as_pin_mut() else {
            return Poll::Ready(Ok(()));
        };
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }

    /// Drops the future, and returns the result of the cleanup.
    #[inline]
    fn finish_with(self: Pin<&mut Self>, result: Result<(), Payload>) -> Poll<Result<(), Payload>> {
        self.finish();
        Poll::Ready(result)
    }

    /// Polls a cleanup that has a time limit, because it had to wait before.
    #[cold]
    fn poll_limited(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Payload>> {
        let mut limit = Limit::before_poll();
        loop {
            if let Poll::Ready(result) = self.as_mut().poll_future(cx) {
                return self.finish_with(result);
            }
            match self.as_mut().check(&mut limit, cx) {
                Verdict::Wait => return Poll::Pending,
                Verdict::Late => return self.finish_with(Ok(())),
                Verdict::PollAgain => {}
            }
        }
    }

    /// Starts the time limit of a cleanup that has to wait for the first time.
    #[cold]
    fn start_timer(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Payload>> {
        *self.as_mut().project().timer = context::running_or_current().map(|event_loop| {
            let time_limit = event_loop.tasks.cleanup_states.time_limit();
            Sleep::on(event_loop, time_limit)
        });
        match self.as_mut().check(&mut Limit::before_poll(), cx) {
            Verdict::Wait | Verdict::PollAgain => Poll::Pending,
            Verdict::Late => self.finish_with(Ok(())),
        }
    }

    /// Checks whether the time limit has passed, and reports the cleanup if so.
    fn check(self: Pin<&mut Self>, limit: &mut Limit, cx: &mut Context<'_>) -> Verdict {
        let this = self.project();
        let Some(timer) = this.timer else {
            return Verdict::Wait;
        };
        let verdict = limit.check(timer, cx);
        if verdict == Verdict::Late {
            let time_limit = context::running_or_current()
                .map(|event_loop| event_loop.tasks.cleanup_states.time_limit());
            report(
                this.created_at,
                &Reason::TimedOut(time_limit.unwrap_or_default()),
            );
        }
        verdict
    }
}

impl<F: Future<Output = ()>> RunCleanup for Cleanup<F> {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Payload>> {
        // Most cleanups do not wait, and need no timer.
        if self.as_mut().project().timer.is_some() {
            return self.poll_limited(cx);
        }
        match self.as_mut().poll_future(cx) {
            Poll::Ready(result) => self.finish_with(result),
            Poll::Pending => self.start_timer(cx),
        }
    }

    fn report_panic(&self, panic: Payload) {
        report(self.created_at, &Reason::Panicked(message(&*panic)));
        panics::discard(panic);
    }

    fn reset_time_limit(self: Pin<&mut Self>) {
        *self.project().timer = None;
    }
}

/// Reports the failure of a cleanup whose guard was created at `created_at`.
#[cold]
fn report(created_at: &'static Location<'static>, reason: &Reason) {
    let failure = |task| CleanupFailure {
        task,
        created_at,
        reason: reason.clone(),
    };
    if let Some(event_loop) = context::running_or_current() {
        let tasks = &event_loop.tasks;
        tasks.cleanup_states.report(failure(tasks.current_meta()));
    } else {
        // A subscriber of `tracing` is user code.
        panics::caught(|| report::report_cleanup_failure(&failure(None)));
    }
}
