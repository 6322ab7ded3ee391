//! [`ScopedJoinHandle`], and the future of the child that sets its output.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::child::ChildFuture;
use crate::engine::cancel::site::ChildCleanups;
use crate::engine::panics;
use crate::engine::waker_cell::WakerCell;
use crate::task::coop;

/// The output of a child, shared by the child and its handle.
struct ChildOutput<T> {
    value: Cell<Option<ChildValue<T>>>,
    waker: WakerCell,
}

enum ChildValue<T> {
    Ready(T),
    /// The output of a child with unfinished cleanups, which the handle waits for.
    Closing(Box<(ChildCleanups, T)>),
}

impl<T> ChildOutput<T> {
    fn fill(&self, output: T) {
        drop(self.value.replace(Some(ChildValue::Ready(output))));
        self.waker.wake();
    }

    /// Makes the handle wait for the cleanups of the child, unless it has already taken
    /// the output.
    fn wait_for_cleanups(&self, closing: ChildCleanups) {
        let output = self.value.take().map(|output| match output {
            ChildValue::Ready(output) => ChildValue::Closing(Box::new((closing, output))),
            closing @ ChildValue::Closing(_) => closing,
        });
        self.value.set(output);
    }

    fn is_ready(&self) -> bool {
        let output = self.value.take();
        let is_ready = match &output {
            Some(ChildValue::Ready(_)) => true,
            Some(ChildValue::Closing(closing)) => closing.0.is_empty(),
            None => false,
        };
        self.value.set(output);
        is_ready
    }

    #[inline]
    fn poll_take(&self, cx: &mut Context<'_>) -> Poll<T> {
        match self.value.take() {
            Some(ChildValue::Ready(output)) => Poll::Ready(output),
            Some(ChildValue::Closing(closing)) => self.poll_closing(closing, cx),
            None => Poll::Pending,
        }
    }

    #[cold]
    fn poll_closing(&self, mut closing: Box<(ChildCleanups, T)>, cx: &mut Context<'_>) -> Poll<T> {
        if Pin::new(&mut closing.0).poll(cx).is_ready() {
            return Poll::Ready(closing.1);
        }
        self.value.set(Some(ChildValue::Closing(closing)));
        Poll::Pending
    }
}

pin_project! {
    /// The future of a child.
    pub(super) struct Spawned<F: Future> {
        // `None` after it has returned.
        #[pin]
        future: Option<F>,
        output: Rc<ChildOutput<F::Output>>,
    }
}

impl<F: Future> Spawned<F> {
    pub(super) fn new(future: F) -> (Self, ScopedJoinHandle<F::Output>) {
        let output = Rc::new(ChildOutput {
            value: Cell::new(None),
            waker: WakerCell::default(),
        });
        let handle = ScopedJoinHandle {
            output: Rc::clone(&output),
        };
        let child = Self {
            future: Some(future),
            output,
        };
        (child, handle)
    }
}

impl<F: Future> Future for Spawned<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if let Some(future) = this.future.as_mut().as_pin_mut() {
            let output = ready!(future.poll(cx));
            // Dropped now, because the future may hold guards, and the cleanups of the
            // child are counted after this poll.
            this.future.set(None);
            this.output.fill(output);
        }
        Poll::Ready(())
    }
}

impl<F: Future> ChildFuture for Spawned<F> {
    fn wait_for_cleanups(self: Pin<&mut Self>, closing: ChildCleanups) {
        self.project().output.wait_for_cleanups(closing);
    }
}

/// A handle that waits for a child of a [`scope`](super::scope()) and returns its output.
///
/// The handle is ready when the child has returned and the cleanups of the guards that
/// the child dropped have run. It has no error: if the child panics, so does the scope.
///
/// # Cancel safety
///
/// Cancel safe: awaiting `&mut handle` and dropping that await loses nothing.
#[must_use = "the output is lost with the handle; the child runs in any case"]
pub struct ScopedJoinHandle<T> {
    output: Rc<ChildOutput<T>>,
}

impl<T> ScopedJoinHandle<T> {
    /// Returns `true` if awaiting the handle would return at once.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.output.is_ready()
    }
}

/// Drops the output if it is set. A panic of its destructor reaches the panic hook only,
/// as with a [`JoinHandle`](crate::task::JoinHandle).
impl<T> Drop for ScopedJoinHandle<T> {
    fn drop(&mut self) {
        let _waker = self.output.waker.take();
        if let Some(output) = self.output.value.take() {
            panics::caught(|| drop(output));
        }
    }
}

impl<T> Future for ScopedJoinHandle<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        ready!(coop::poll_proceed(cx));
        if let Poll::Ready(output) = self.output.poll_take(cx) {
            return Poll::Ready(output);
        }
        if self.output.waker.keep(cx) {
            // Cloning the waker ran user code, which may have set the output.
            return self.output.poll_take(cx);
        }
        Poll::Pending
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}
