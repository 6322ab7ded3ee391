//! [`ScopedJoinHandle`]: the output of a child, and the child that gives it.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::engine::cancel::site::ChildCleanups;
use crate::engine::panics;
use crate::engine::task::budget;
use crate::engine::waker_cell::WakerCell;
use crate::scope::child::Body;

/// The output of a child, when it is there.
struct Slot<T> {
    output: Cell<Option<Output<T>>>,
    waker: WakerCell,
}

enum Output<T> {
    Ready(T),
    /// The child has cleanups left, which the handle waits for.
    Closing(Box<(ChildCleanups, T)>),
}

impl<T> Slot<T> {
    fn fill(&self, output: T) {
        drop(self.output.replace(Some(Output::Ready(output))));
        self.waker.wake();
    }

    /// Has the handle wait for the cleanups of the child, if it has not taken the
    /// output yet.
    fn put_off(&self, closing: ChildCleanups) {
        let output = self.output.take().map(|output| match output {
            Output::Ready(output) => Output::Closing(Box::new((closing, output))),
            closing @ Output::Closing(_) => closing,
        });
        self.output.set(output);
    }

    fn is_ready(&self) -> bool {
        let output = self.output.take();
        let is_ready = match &output {
            Some(Output::Ready(_)) => true,
            Some(Output::Closing(closing)) => closing.0.is_empty(),
            None => false,
        };
        self.output.set(output);
        is_ready
    }

    #[inline]
    fn poll_take(&self, context: &mut Context<'_>) -> Poll<T> {
        match self.output.take() {
            Some(Output::Ready(output)) => Poll::Ready(output),
            Some(Output::Closing(closing)) => self.poll_closing(closing, context),
            None => Poll::Pending,
        }
    }

    #[cold]
    fn poll_closing(
        &self,
        mut closing: Box<(ChildCleanups, T)>,
        context: &mut Context<'_>,
    ) -> Poll<T> {
        if Pin::new(&mut closing.0).poll(context).is_ready() {
            return Poll::Ready(closing.1);
        }
        self.output.set(Some(Output::Closing(closing)));
        Poll::Pending
    }
}

pin_project! {
    /// The future of a child.
    pub(super) struct Spawned<F: Future> {
        // Until it has returned.
        #[pin]
        future: Option<F>,
        slot: Rc<Slot<F::Output>>,
    }
}

impl<F: Future> Spawned<F> {
    pub(super) fn new(future: F) -> (Spawned<F>, ScopedJoinHandle<F::Output>) {
        let slot = Rc::new(Slot {
            output: Cell::new(None),
            waker: WakerCell::default(),
        });
        let handle = ScopedJoinHandle {
            slot: Rc::clone(&slot),
        };
        let child = Spawned {
            future: Some(future),
            slot,
        };
        (child, handle)
    }
}

impl<F: Future> Future for Spawned<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if let Some(future) = this.future.as_mut().as_pin_mut() {
            let output = ready!(future.poll(context));
            // Before the cleanups of the child are counted, as it may hold guards.
            this.future.set(None);
            this.slot.fill(output);
        }
        Poll::Ready(())
    }
}

impl<F: Future> Body for Spawned<F> {
    fn put_off(&self, closing: ChildCleanups) {
        self.slot.put_off(closing);
    }
}

/// A handle to a child of a [`scope`](super::scope()), and to its output.
///
/// It is ready when the child has returned, and the cleanups of the guards that it
/// dropped have run. It does not fail: if the child panics, the scope does.
///
/// # Cancel safety
///
/// Cancel safe: awaiting `&mut handle` and dropping that await loses nothing.
#[must_use = "the output is lost with the handle; the child runs in any case"]
pub struct ScopedJoinHandle<T> {
    slot: Rc<Slot<T>>,
}

impl<T> ScopedJoinHandle<T> {
    /// Whether awaiting it would not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.slot.is_ready()
    }
}

/// Drops the output, if there is one. A panic of its destructor goes no further than the
/// panic hook, as for a [`JoinHandle`](crate::task::JoinHandle).
impl<T> Drop for ScopedJoinHandle<T> {
    fn drop(&mut self) {
        let _waker = self.slot.waker.take();
        if let Some(output) = self.slot.output.take() {
            panics::caught(|| drop(output));
        }
    }
}

impl<T> Future for ScopedJoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        ready!(budget::poll_proceed(context));
        if let Poll::Ready(output) = self.slot.poll_take(context) {
            return Poll::Ready(output);
        }
        if self.slot.waker.keep(context) {
            // The child may have run meanwhile.
            return self.slot.poll_take(context);
        }
        Poll::Pending
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}
