//! A task of a group, and who waits for it.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use super::Shared;
use super::error::MemberError;
use crate::cleanup::after_cleanups;
use crate::context;
use crate::nesting::{self, Level};
use crate::panics;
use crate::runtime::TaskMeta;
use crate::task::coop;

/// A value that one gives and one waits for.
pub(super) struct Output<V> {
    value: Cell<Option<V>>,
    /// Whether there is, or was, a value, or never will be.
    is_over: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl<V> Output<V> {
    pub(super) fn new() -> Rc<Output<V>> {
        Rc::new(Output {
            value: Cell::new(None),
            is_over: Cell::new(false),
            waker: Cell::new(None),
        })
    }

    fn end(&self, value: Option<V>) {
        if self.is_over.replace(true) {
            return;
        }
        self.value.set(value);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<V>> {
        ready!(coop::poll_proceed(context));
        if self.is_over.get() {
            return Poll::Ready(self.value.take());
        }
        let waker = self.waker.take();
        let same = waker.filter(|waker| waker.will_wake(context.waker()));
        let waker = same.unwrap_or_else(|| context.waker().clone());
        drop(self.waker.replace(Some(waker)));
        // A waker is others' code, which may have ended it.
        if self.is_over.get() {
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

/// The place of a task in its group. When it is dropped the task is as good as
/// over, and the handle is told after the cleanups.
pub(super) struct Seat<T: 'static, E: 'static> {
    shared: Rc<Shared<E>>,
    /// Until it is dropped.
    output: Option<Rc<Output<Ended<T, E>>>>,
    result: Option<Result<T, MemberError<E>>>,
}

pub(super) fn seat<T, E>(shared: &Rc<Shared<E>>) -> (Seat<T, E>, MemberHandle<T, E>) {
    let output = Output::new();
    let handle = MemberHandle {
        output: Rc::clone(&output),
        shared: Rc::clone(shared),
    };
    let seat = Seat {
        shared: Rc::clone(shared),
        output: Some(output),
        result: None,
    };
    (seat, handle)
}

/// The future of a task of a group.
pub(super) async fn start<T, E>(mut seat: Seat<T, E>, future: impl Future<Output = Result<T, E>>) {
    let result = future.await;
    seat.result = Some(match result {
        Ok(output) => Ok(output),
        Err(error) if seat.shared.supervises => Err(MemberError::Failed(error)),
        Err(error) => {
            let task = context::with_running(|event_loop| event_loop.tasks.current_meta());
            seat.shared.fail(task.flatten(), error);
            Err(MemberError::Cancelled)
        }
    });
}

impl<T: 'static, E: 'static> Drop for Seat<T, E> {
    fn drop(&mut self) {
        let panicked = self.result.is_none() && std::thread::panicking();
        if panicked && !self.shared.supervises {
            self.shared.cancel();
        }
        let result = self.result.take().unwrap_or(Err(if panicked {
            MemberError::Panicked
        } else {
            MemberError::Cancelled
        }));
        let task = context::with_running(|event_loop| event_loop.tasks.current_meta()).flatten();
        let Some(output) = self.output.take() else {
            return;
        };
        let shared = Rc::clone(&self.shared);
        after_cleanups(move || match result {
            // Nobody is there to be told: its handle was dropped.
            Err(MemberError::Failed(error)) if Rc::strong_count(&output) == 1 => {
                shared.fail(task, error);
            }
            Ok(unwanted) if Rc::strong_count(&output) == 1 => drop_output(unwanted),
            result => output.end(Some((task, result))),
        });
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
            Some((_, Ok(output))) => match Level::enter() {
                Some(_level) => drop_output(output),
                None => nesting::defer(move || drop_output(output)),
            },
            Some((_, Err(_))) | None => {}
        }
    }
}

/// Drops an output that is not taken. As for any task, its destructor may panic.
fn drop_output<T>(output: T) {
    panics::caught(|| drop(output));
}

impl<T: 'static, E: 'static> fmt::Debug for MemberHandle<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberHandle").finish_non_exhaustive()
    }
}
