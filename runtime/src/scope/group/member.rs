//! A task of a group, and the handle that returns its output.

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
use crate::engine::report::task_meta::TaskMeta;
use crate::engine::task::budget;
use crate::engine::waker_cell::WakerCell;
use crate::scope::group::error::MemberError;
use crate::scope::group::state::GroupState;

/// A value that one task sets and another task waits for.
pub(super) struct OneValue<V> {
    value: Cell<Option<V>>,
    /// Whether a value was set, or never will be.
    is_closed: Cell<bool>,
    waker: WakerCell,
}

impl<V> OneValue<V> {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            value: Cell::new(None),
            is_closed: Cell::new(false),
            waker: WakerCell::default(),
        })
    }

    fn end(&self, value: Option<V>) {
        if self.is_closed.replace(true) {
            return;
        }
        self.value.set(value);
        self.waker.wake();
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<V>> {
        ready!(budget::poll_proceed(cx));
        if self.is_closed.get() {
            return Poll::Ready(self.value.take());
        }
        if self.waker.keep(cx) && self.is_closed.get() {
            return Poll::Ready(self.value.take());
        }
        Poll::Pending
    }

    pub(super) async fn wait(&self) -> Option<V> {
        poll_fn(|cx| self.poll(cx)).await
    }
}

/// A handle with which a task reports to [`TaskGroup::start`](super::TaskGroup::start)
/// that it has started.
#[must_use = "`start` waits until it is set"]
pub struct Started<V> {
    output: Rc<OneValue<V>>,
}

impl<V> Started<V> {
    pub(super) fn new(output: &Rc<OneValue<V>>) -> Self {
        Self {
            output: Rc::clone(output),
        }
    }

    /// Makes `start` return `value`.
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

/// A task that has ended, and its result.
type EndedMember<T, E> = (Option<TaskMeta>, Result<T, MemberError<E>>);

/// The membership of a task in its group, which ends together with the task.
pub(super) struct MemberGuard<T: 'static, E: 'static> {
    state: Rc<GroupState<E>>,
    number: u64,
    output: Rc<OneValue<EndedMember<T, E>>>,
}

pub(super) fn guard_and_handle<T, E>(
    state: &Rc<GroupState<E>>,
    number: u64,
) -> (MemberGuard<T, E>, MemberHandle<T, E>) {
    let output = OneValue::new();
    let handle = MemberHandle {
        output: Rc::clone(&output),
        state: Rc::clone(state),
    };
    let guard = MemberGuard {
        state: Rc::clone(state),
        number,
        output,
    };
    (guard, handle)
}

/// The way in which the future of a member ended.
enum MemberEnd<T, E> {
    Returned(Result<T, E>),
    Panicked(Payload),
    Dropped,
}

impl<T: 'static, E: 'static> MemberGuard<T, E> {
    /// Ends the membership after the future was dropped. A failure cancels the group now;
    /// the group and the handle are notified after the cleanups of the task have run.
    fn leave(self, end: MemberEnd<T, E>) {
        let Self {
            state,
            number,
            output,
        } = self;
        let task = context::with_running(|event_loop| event_loop.tasks.current_meta()).flatten();
        let result = match end {
            MemberEnd::Returned(Ok(output)) => Ok(output),
            MemberEnd::Returned(Err(error)) if state.supervises => Err(MemberError::Failed(error)),
            MemberEnd::Returned(Err(error)) => {
                state.fail(task.clone(), error);
                Err(MemberError::Cancelled)
            }
            MemberEnd::Panicked(panic) => {
                state.keep_panic(panic);
                Err(MemberError::Panicked)
            }
            MemberEnd::Dropped => Err(MemberError::Cancelled),
        };
        after_cleanups(move || {
            match result {
                // The handle was dropped, so the group keeps the error.
                Err(MemberError::Failed(error)) if Rc::strong_count(&output) == 1 => {
                    state.fail(task, error);
                }
                Ok(unwanted) if Rc::strong_count(&output) == 1 => {
                    panics::caught(|| drop(unwanted));
                }
                result => output.end(Some((task, result))),
            }
            panics::caught(|| drop(output));
            // The output may have held guards, whose cleanups have to run too.
            after_cleanups(move || state.end(number));
        });
    }
}

pin_project! {
    /// The future of a member. It catches panics and passes them to the group, which so
    /// need not keep the task to learn of them.
    pub(super) struct Member<F, T: 'static, E: 'static> {
        // `None` after it has returned or panicked.
        #[pin]
        future: Option<F>,
        guard: Option<MemberGuard<T, E>>,
    }

    impl<F, T: 'static, E: 'static> PinnedDrop for Member<F, T, E> {
        /// Ends the membership if the task was aborted, or dropped with its loop.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(guard) = this.guard.take() {
                guard.leave(match panics::catch(|| this.future.set(None)) {
                    Ok(()) => MemberEnd::Dropped,
                    Err(panic) => MemberEnd::Panicked(panic),
                });
            }
        }
    }
}

impl<F, T, E> Member<F, T, E> {
    pub(super) fn new(future: F, guard: MemberGuard<T, E>) -> Self {
        Self {
            future: Some(future),
            guard: Some(guard),
        }
    }
}

impl<F, T, E> Future for Member<F, T, E>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Ready(());
        };
        let mut end = match panics::catch(|| future.poll(cx)) {
            Ok(polled) => MemberEnd::Returned(ready!(polled)),
            Err(panic) => MemberEnd::Panicked(panic),
        };
        if let Err(panic) = panics::catch(|| this.future.set(None)) {
            match end {
                MemberEnd::Panicked(_) => panics::discard(panic),
                returned => {
                    panics::caught(|| drop(returned));
                    end = MemberEnd::Panicked(panic);
                }
            }
        }
        if let Some(guard) = this.guard.take() {
            guard.leave(end);
        }
        Poll::Ready(())
    }
}

/// A handle that waits for a task of a [`TaskGroup`](super::TaskGroup) and returns its
/// output.
///
/// Dropping the handle does not affect the task.
///
/// # Cancel safety
///
/// Cancel safe: awaiting `&mut handle` and dropping that await loses nothing.
#[must_use = "the output is lost with the handle; the task runs in any case"]
pub struct MemberHandle<T: 'static, E: 'static> {
    output: Rc<OneValue<EndedMember<T, E>>>,
    state: Rc<GroupState<E>>,
}

impl<T: 'static, E: 'static> Future for MemberHandle<T, E> {
    type Output = Result<T, MemberError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(self.output.poll(cx));
        Poll::Ready(ended.map_or(Err(MemberError::Cancelled), |(_, result)| result))
    }
}

impl<T: 'static, E: 'static> Drop for MemberHandle<T, E> {
    fn drop(&mut self) {
        match self.output.value.take() {
            Some((task, Err(MemberError::Failed(error)))) => self.state.fail(task, error),
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
