//! A sleep that can be sent to other threads, although the timers of a loop cannot.
//!
//! A poll is local if the sleep's loop is the current loop, and remote otherwise.
//!
//! ```text
//!              local poll                   the deadline has passed
//!   Unset ────────────────────> Local ───────────────────────────┐
//!     │                           │                              v
//!     │ remote poll               │ remote poll               Elapsed
//!     └───────────> Remote <──────┘                              ^
//!                     │  └───────────────────────────────────────┤
//!                     │ the runtime is gone                      │
//!                     └─────────────────> LoopGone ──────────────┘
//! ```
//!
//! # Invariants
//!
//! 1. A sleep contains nothing that belongs to a thread: it refers to its loop through
//!    the state that other threads share with the loop, and to its timer by a number.
//! 2. The timer is accessed only while its loop is the current loop: directly if the
//!    sleep is used there, otherwise by a task that is spawned on the loop. As the sleep
//!    holds a reference to the shared state, its address is not reused, and so cannot
//!    be mistaken for another loop's.
//! 3. A timer is removed exactly once, or dropped with its loop.

use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant as SystemInstant};

use ::hyper::rt;

use crate::engine::core::context;
use crate::engine::core::event_loop::EventLoop;
use crate::engine::id::Id;
use crate::engine::remote::join::RemoteJoinHandle;
use crate::engine::remote::shared::Shared;
use crate::engine::remote::spawner;
use crate::engine::timers::instant::Instant;
use crate::hyper::detached::DetachedTimer;
use crate::time;

/// A sleep for hyper, created by [`LoopTimer`](super::LoopTimer).
///
/// It is meant for the thread of its loop, where it is a timer like any other. But it
/// is `Send` and `Sync`, as hyper requires, so it may be polled or dropped anywhere: on
/// another thread it spawns a task on its loop and waits for this task, so it uses the
/// same clock. If its runtime is gone, it completes when it is polled after the system's
/// clock has passed its deadline; but then nothing wakes a task that waits for it.
///
/// # Cancel safety
///
/// Cancel safe: dropping it cancels the timer.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    shared: Arc<Shared>,
    /// `None` if the deadline is later than the clock can represent.
    deadline: Option<SystemInstant>,
    state: SleepState,
}

#[derive(Debug)]
enum SleepState {
    /// No timer is set.
    Unset,
    /// A timer is set, unless the last poll found the task's budget spent.
    Local(DetachedTimer),
    /// A task on the loop waits for the deadline.
    Remote(RemoteJoinHandle<()>),
    /// The loop was dropped.
    LoopGone,
    /// The deadline has passed.
    Elapsed,
}

impl Sleep {
    pub(super) fn new(event_loop: &EventLoop, deadline: Option<SystemInstant>) -> Self {
        Self {
            shared: Arc::clone(spawner::shared_of(event_loop)),
            deadline,
            state: SleepState::Unset,
        }
    }

    /// Changes the deadline, even if the old one has passed.
    ///
    /// On its loop, a task that waits for the sleep is woken at the new deadline instead
    /// of the old one. Elsewhere the sleep has to be polled first.
    pub(super) fn reset(&mut self, deadline: SystemInstant) {
        self.deadline = Some(deadline);
        match (loop_if_current(&self.shared), self.take_state()) {
            (Some(event_loop), SleepState::Local(timer)) => {
                let mut sleep = timer.attach(event_loop);
                Pin::new(&mut sleep).reset(Instant::from_std(deadline));
                self.state = SleepState::Local(DetachedTimer::detach(sleep));
            }
            (_, state) => self.release(state),
        }
    }

    fn take_state(&mut self) -> SleepState {
        mem::replace(&mut self.state, SleepState::Unset)
    }

    fn poll_local(&mut self, event_loop: Rc<EventLoop>, cx: &mut Context<'_>) -> Poll<()> {
        // If a waker panics, the sleep is dropped with its timer, and the state is `Unset`.
        let mut sleep = match self.take_state() {
            SleepState::Local(timer) => timer.attach(event_loop),
            SleepState::Unset => start(event_loop, self.deadline),
            other => {
                self.state = other;
                return self.poll_remote(cx);
            }
        };
        let polled = Pin::new(&mut sleep).poll(cx);
        self.state = match polled {
            Poll::Ready(()) => SleepState::Elapsed,
            Poll::Pending => SleepState::Local(DetachedTimer::detach(sleep)),
        };
        polled
    }

    /// Polls without access to the timers of the loop.
    #[cold]
    fn poll_remote(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut task = match self.take_state() {
            SleepState::Unset => self.spawn_waiter(None),
            SleepState::Local(timer) => self.spawn_waiter(Some(timer)),
            SleepState::Remote(task) => task,
            SleepState::LoopGone => return self.poll_loop_gone(),
            SleepState::Elapsed => {
                self.state = SleepState::Elapsed;
                return Poll::Ready(());
            }
        };
        match Pin::new(&mut task).poll(cx) {
            Poll::Pending => {
                self.state = SleepState::Remote(task);
                Poll::Pending
            }
            Poll::Ready(Ok(())) => {
                self.state = SleepState::Elapsed;
                Poll::Ready(())
            }
            // Only `release` aborts the task, so the loop is gone.
            Poll::Ready(Err(_)) => self.poll_loop_gone(),
        }
    }

    fn poll_loop_gone(&mut self) -> Poll<()> {
        let has_passed = self
            .deadline
            .is_some_and(|deadline| deadline <= SystemInstant::now());
        if has_passed {
            self.state = SleepState::Elapsed;
            return Poll::Ready(());
        }
        self.state = SleepState::LoopGone;
        Poll::Pending
    }

    /// Spawns a task on the loop that waits for the deadline, with `timer` if there is one.
    fn spawn_waiter(&self, timer: Option<DetachedTimer>) -> RemoteJoinHandle<()> {
        let deadline = self.deadline;
        let shared = Arc::clone(&self.shared);
        let mut sent = SentTimer { shared, timer };
        self.spawn_on_loop(move |event_loop| match sent.timer.take() {
            Some(timer) => timer.attach(event_loop),
            None => start(event_loop, deadline),
        })
    }

    /// Removes the timer of `state`, on another thread by a task on the loop.
    fn release(&self, state: SleepState) {
        match state {
            SleepState::Local(timer) if timer.has_timer() => match loop_if_current(&self.shared) {
                Some(event_loop) => drop(timer.attach(event_loop)),
                None => drop(self.spawn_on_loop(move |event_loop| {
                    drop(timer.attach(event_loop));
                    std::future::ready(())
                })),
            },
            SleepState::Remote(task) => task.abort(),
            SleepState::Local(_)
            | SleepState::Unset
            | SleepState::LoopGone
            | SleepState::Elapsed => {}
        }
    }

    /// Spawns a task on the loop, from any thread.
    fn spawn_on_loop<S, F>(&self, start: S) -> RemoteJoinHandle<()>
    where
        S: FnOnce(Rc<EventLoop>) -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let start = move || match loop_if_current(&shared) {
            Some(event_loop) => start(event_loop),
            None => panic!(
                "a task of one runtime ran while another was entered; \
                 drop the guard of `Runtime::enter` before `.await`"
            ),
        };
        self.shared.spawn(Id::fresh(), start, Location::caller())
    }
}

/// A timer on its way to its loop. If the task that carries it is aborted there before
/// its first poll, dropping this removes the timer.
struct SentTimer {
    shared: Arc<Shared>,
    timer: Option<DetachedTimer>,
}

impl Drop for SentTimer {
    fn drop(&mut self) {
        // Dropped outside the loop only if the loop is gone, and the timer with it.
        if let Some(timer) = self.timer.take()
            && let Some(event_loop) = loop_if_current(&self.shared)
        {
            drop(timer.attach(event_loop));
        }
    }
}

/// Returns the current loop, if `shared` belongs to it.
#[inline]
fn loop_if_current(shared: &Arc<Shared>) -> Option<Rc<EventLoop>> {
    context::current().filter(|event_loop| Arc::ptr_eq(&event_loop.shared, shared))
}

/// Creates a sleep whose timer is not set yet.
fn start(event_loop: Rc<EventLoop>, deadline: Option<SystemInstant>) -> time::Sleep {
    match deadline {
        Some(deadline) => time::Sleep::until(event_loop, Instant::from_std(deadline)),
        None => time::Sleep::on(event_loop, Duration::MAX),
    }
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match loop_if_current(&self.shared) {
            Some(event_loop) => self.poll_local(event_loop, cx),
            None => self.poll_remote(cx),
        }
    }
}

impl rt::Sleep for Sleep {}

impl Drop for Sleep {
    fn drop(&mut self) {
        let state = self.take_state();
        self.release(state);
    }
}
