//! A task of a group, and the handle to its output.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::engine::cancel::run::after_cleanups;
use crate::engine::core::context;
use crate::engine::nesting;
use crate::engine::panics::{self, Payload};
use crate::engine::task::budget;
use crate::engine::task::meta::TaskMeta;
use crate::engine::waker_cell::WakerCell;
use crate::scope::group::error::MemberError;
use crate::scope::group::shared::Shared;

/// A value that one task sets and another task waits for.
pub(super) struct Output<V> {
    value: Cell<Option<V>>,
    /// Whether there is, or was, a value, or never will be.
    is_over: Cell<bool>,
    waker: WakerCell,
}

impl<V> Output<V> {
    pub(super) fn new() -> Rc<Output<V>> {
        Rc::new(Output {
            value: Cell::new(None),
            is_over: Cell::new(false),
            waker: WakerCell::default(),
        })
    }

    fn end(&self, value: Option<V>) {
        if self.is_over.replace(true) {
            return;
        }
        self.value.set(value);
        self.waker.wake();
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<V>> {
        ready!(budget::poll_proceed(context));
        if self.is_over.get() {
            return Poll::Ready(self.value.take());
        }
        if self.waker.keep(context) && self.is_over.get() {
            return Poll::Ready(self.value.take());
        }
        Poll::Pending
    }

    pub(super) async fn wait(&self) -> Option<V> {
        poll_fn(|context| self.poll(context)).await
    }
}

/// Tells [`TaskGroup::start`](super::TaskGroup::start) that the task has begun
/// its work.
#[must_use = "`start` waits until it is set"]
pub struct Started<V> {
    output: Rc<Output<V>>,
}

impl<V> Started<V> {
    pub(super) fn new(output: &Rc<Output<V>>) -> Started<V> {
        Started {
            output: Rc::clone(output),
        }
    }

    /// Has `start` give this value.
    pub fn set(self, value: V) {
        self.output.end(Some(value));
    }
}

impl<V> Drop for Started<V> {
    fn drop(&mut self) {
        self.output.end(None);
    }
}

impl<V> fmt::Debug for Started<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").finish_non_exhaustive()
    }
}

/// What became of a task, and which it was.
type Ended<T, E> = (Option<TaskMeta>, Result<T, MemberError<E>>);

/// The place of a task in its group, which the task leaves at its end.
pub(super) struct Seat<T: 'static, E: 'static> {
    shared: Rc<Shared<E>>,
    number: u64,
    output: Rc<Output<Ended<T, E>>>,
}

pub(super) fn seat<T, E>(shared: &Rc<Shared<E>>, number: u64) -> (Seat<T, E>, MemberHandle<T, E>) {
    let output = Output::new();
    let handle = MemberHandle {
        output: Rc::clone(&output),
        shared: Rc::clone(shared),
    };
    let seat = Seat {
        shared: Rc::clone(shared),
        number,
        output,
    };
    (seat, handle)
}

/// How the future of a member ended.
enum End<T, E> {
    Returned(Result<T, E>),
    Panicked(Payload),
    Dropped,
}

impl<T: 'static, E: 'static> Seat<T, E> {
    /// The future is gone. The group is cancelled now if it failed; it and the handle
    /// see the end of the task after its cleanups.
    fn leave(self, end: End<T, E>) {
        let Seat {
            shared,
            number,
            output,
        } = self;
        let task = context::with_running(|event_loop| event_loop.tasks.current_meta()).flatten();
        let result = match end {
            End::Returned(Ok(output)) => Ok(output),
            End::Returned(Err(error)) if shared.supervises => Err(MemberError::Failed(error)),
            End::Returned(Err(error)) => {
                shared.fail(task.clone(), error);
                Err(MemberError::Cancelled)
            }
            End::Panicked(panic) => {
                shared.keep_panic(panic);
                Err(MemberError::Panicked)
            }
            End::Dropped => Err(MemberError::Cancelled),
        };
        after_cleanups(move || {
            match result {
                // Its handle was dropped.
                Err(MemberError::Failed(error)) if Rc::strong_count(&output) == 1 => {
                    shared.fail(task, error);
                }
                Ok(unwanted) if Rc::strong_count(&output) == 1 => {
                    panics::caught(|| drop(unwanted));
                }
                result => output.end(Some((task, result))),
            }
            panics::caught(|| drop(output));
            // The output may have had guards in it.
            after_cleanups(move || shared.end(number));
        });
    }
}

pin_project! {
    /// The future of a member. It catches panics, so that the task need not be kept
    /// for the group to find them.
    pub(super) struct Member<F, T: 'static, E: 'static> {
        // Until it ends.
        #[pin]
        future: Option<F>,
        seat: Option<Seat<T, E>>,
    }

    impl<F, T: 'static, E: 'static> PinnedDrop for Member<F, T, E> {
        /// An abort, or the end of the loop.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(seat) = this.seat.take() {
                seat.leave(match panics::catch(|| this.future.set(None)) {
                    Ok(()) => End::Dropped,
                    Err(panic) => End::Panicked(panic),
                });
            }
        }
    }
}

impl<F, T, E> Member<F, T, E> {
    pub(super) fn new(future: F, seat: Seat<T, E>) -> Member<F, T, E> {
        Member {
            future: Some(future),
            seat: Some(seat),
        }
    }
}

impl<F, T, E> Future for Member<F, T, E>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Ready(());
        };
        let mut end = match panics::catch(|| future.poll(context)) {
            Ok(polled) => End::Returned(ready!(polled)),
            Err(panic) => End::Panicked(panic),
        };
        if let Err(panic) = panics::catch(|| this.future.set(None)) {
            match end {
                End::Panicked(_) => panics::discard(panic),
                returned => {
                    panics::caught(|| drop(returned));
                    end = End::Panicked(panic);
                }
            }
        }
        if let Some(seat) = this.seat.take() {
            seat.leave(end);
        }
        Poll::Ready(())
    }
}

/// A handle to a task of a [`TaskGroup`](super::TaskGroup).
///
/// Dropping it changes nothing for the task.
///
/// # Cancel safety
///
/// Cancel safe: awaiting `&mut handle` and dropping that await loses nothing.
#[must_use = "the output is lost with the handle; the task runs in any case"]
pub struct MemberHandle<T: 'static, E: 'static> {
    output: Rc<Output<Ended<T, E>>>,
    shared: Rc<Shared<E>>,
}

impl<T: 'static, E: 'static> Future for MemberHandle<T, E> {
    type Output = Result<T, MemberError<E>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(self.output.poll(context));
        Poll::Ready(ended.map_or(Err(MemberError::Cancelled), |(_, result)| result))
    }
}

impl<T: 'static, E: 'static> Drop for MemberHandle<T, E> {
    fn drop(&mut self) {
        match self.output.value.take() {
            Some((task, Err(MemberError::Failed(error)))) => self.shared.fail(task, error),
            Some((_, Ok(output))) => nesting::drop_nested(output),
            Some((_, Err(_))) | None => {}
        }
    }
}

impl<T: 'static, E: 'static> fmt::Debug for MemberHandle<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberHandle").finish_non_exhaustive()
    }
}
