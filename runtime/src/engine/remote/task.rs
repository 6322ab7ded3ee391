//! A task that another thread spawns: as a spawn request, and as a task on its loop.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::engine::cancel::run::after_cleanups;
use crate::engine::core::context;
use crate::engine::core::event_loop::EventLoop;
use crate::engine::id::Id;
use crate::engine::panics;
use crate::engine::remote::join::RemoteJoinHandle;
use crate::engine::remote::outcome::{AbortTarget, OutcomeSender, OutcomeSlot};
use crate::engine::remote::shared::Shared;
use crate::engine::remote::spawn_queue::SpawnRequest;
use crate::engine::report::task_meta::TaskMeta;
use crate::engine::task::error::JoinError;
use crate::engine::task::spawn_options::SpawnOptions;

/// The request to spawn a task. The future of the task need not be `Send`, because `start`
/// creates it on the loop.
pub(super) struct Unstarted<S, F: Future> {
    start: S,
    sender: OutcomeSender<F::Output>,
    spawned_at: &'static Location<'static>,
    future: PhantomData<fn() -> F>,
}

impl<S, F> Unstarted<S, F>
where
    S: FnOnce() -> F,
    F: Future,
{
    pub(super) fn new(
        start: S,
        sender: OutcomeSender<F::Output>,
        spawned_at: &'static Location<'static>,
    ) -> Self {
        Self {
            start,
            sender,
            spawned_at,
            future: PhantomData,
        }
    }
}

impl<S, F> SpawnRequest for Unstarted<S, F>
where
    S: FnOnce() -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    fn spawn(self: Box<Self>, event_loop: &EventLoop) {
        let slot = Arc::clone(self.sender.slot());
        let task = RemoteTask {
            start: Some(self.start),
            future: None,
            sender: Some(self.sender),
        };
        let handle = event_loop.spawn(task, SpawnOptions::at(self.spawned_at).with_id(slot.id()));
        slot.started(handle.abort_handle());
    }

    fn meta(&self) -> TaskMeta {
        TaskMeta::nameless(self.sender.slot().id(), self.spawned_at)
    }
}

pin_project! {
    /// The future of a task whose output goes to another thread.
    struct RemoteTask<S, F: Future>
    where
        F::Output: 'static,
    {
        // Present until the first poll.
        start: Option<S>,
        // Present from the first poll until it has ended.
        #[pin]
        future: Option<F>,
        sender: Option<OutcomeSender<F::Output>>,
    }

    impl<S, F: Future> PinnedDrop for RemoteTask<S, F>
    where
        F::Output: 'static,
    {
        /// Runs at an abort, or at the end of the loop. As for any task, a panic of the
        /// future's destructor becomes the outcome.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let Some(sender) = this.sender.take() else {
                return;
            };
            let dropped = catch_unwind(AssertUnwindSafe(|| {
                drop(this.start.take());
                this.future.set(None);
            }));
            match dropped {
                Ok(()) => after_cleanups(move || drop(sender)),
                Err(panic) => after_cleanups(move || fail(sender, panic)),
            }
        }
    }
}

impl<S, F> Future for RemoteTask<S, F>
where
    S: FnOnce() -> F,
    F: Future,
    F::Output: 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let polled = catch_unwind(AssertUnwindSafe(|| {
            if let Some(start) = this.start.take() {
                this.future.set(Some(start()));
            }
            let Some(future) = this.future.as_mut().as_pin_mut() else {
                // Only if it is polled again after its end.
                return Poll::Pending;
            };
            let output = ready!(future.poll(cx));
            this.future.set(None);
            Poll::Ready(output)
        }));
        let outcome = match polled {
            Ok(polled) => Ok(ready!(polled)),
            Err(panic) => {
                panics::caught(|| this.future.set(None));
                Err(panic)
            }
        };
        if let Some(sender) = this.sender.take() {
            after_cleanups(move || match outcome {
                // An output that the handle does not take is dropped here, at the end of
                // the task.
                Ok(output) => {
                    panics::caught(|| drop(sender.send(Ok(output))));
                }
                Err(panic) => fail(sender, panic),
            });
        }
        Poll::Ready(())
    }
}

/// Passes a panic to the handle of the running task. If the handle was dropped, the task is
/// not joined, and the panic is reported.
fn fail<T>(sender: OutcomeSender<T>, panic: Box<dyn Any + Send>) {
    let error = JoinError::panicked(sender.id(), panic);
    if let Some(Err(error)) = sender.send(Err(error))
        && let Ok(panic) = error.try_into_panic()
    {
        let mut panic = Some(panic);
        context::with_running(|event_loop| {
            if let Some(panic) = panic.take() {
                event_loop.tasks.report_unjoined(panic);
            }
        });
        if let Some(panic) = panic {
            // No loop is running: the panic becomes the outcome of the task.
            resume_unwind(panic);
        }
    }
}

impl Shared {
    /// Like [`Handle::spawn`], with an id.
    pub(crate) fn spawn<S, F>(
        self: &Arc<Self>,
        id: Id,
        start: S,
        spawned_at: &'static Location<'static>,
    ) -> RemoteJoinHandle<F::Output>
    where
        S: FnOnce() -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let (sender, slot) = OutcomeSlot::new(id, AbortTarget::NotSpawned);
        let handle = RemoteJoinHandle::new(slot, Arc::clone(self), spawned_at);
        self.spawn_queue
            .send(Box::new(Unstarted::new(start, sender, spawned_at)));
        handle
    }

    /// Sends a panic that no handle took to the loop, which treats it as unhandled.
    pub(super) fn rethrow(
        self: &Arc<Self>,
        id: Id,
        panic: Box<dyn Any + Send>,
        spawned_at: &'static Location<'static>,
    ) {
        let rethrow = || async { resume_unwind(panic) };
        drop(self.spawn(id, rethrow, spawned_at));
    }
}
