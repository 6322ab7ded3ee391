//! A sleep that may be sent to other threads, though timers may not.
//!
//! ```text
//!             poll at home                    its time has come
//!   Unset ────────────────────> AtHome ──────────────────────────┐
//!     │                           │                              v
//!     │ poll elsewhere            │ poll elsewhere              Over
//!     └────────────> Away <───────┘                              ^
//!                     │  └───────────────────────────────────────┤
//!                     │ the runtime is gone                      │
//!                     └──────────────────> Orphan ───────────────┘
//! ```
//!
//! # Invariants
//!
//! 1. Nothing in it belongs to a thread: it names its loop by what threads share
//!    of that, and its timer by a number.
//! 2. The timer is touched only where its loop is the current one: at home by
//!    this, elsewhere by a task that is sent home. The address of what is shared
//!    is not used again while this holds it, so no other loop is taken for it.
//! 3. A timer is removed exactly once, or goes with its loop.

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
use crate::engine::remote::shared::Shared;
use crate::engine::remote::spawner;
use crate::engine::task::id::Id;
use crate::engine::timers::instant::Instant;
use crate::task::RemoteJoinHandle;
use crate::time;
use crate::time::dormant::Dormant;

/// A sleep for hyper, from [`LoopTimer`](super::LoopTimer).
///
/// It is meant for the thread of its loop, and there it is a timer like any
/// other. But it is `Send` and `Sync`, as hyper demands, so it may be polled or
/// dropped anywhere: on another thread it waits for a task that it sends to its
/// loop, and goes by the same clock. When its runtime is gone it is over once
/// the clock of the system has passed its deadline; but nobody is left to wake a
/// task that waits for that.
///
/// # Cancel safety
///
/// Cancel safe: dropping it cancels the timer.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    home: Arc<Shared>,
    /// None if the clock does not reach so far.
    deadline: Option<SystemInstant>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// No timer is set.
    Unset,
    /// A timer is set, or would be if the task had budget left.
    AtHome(Dormant),
    /// A task at home waits for the time.
    Away(RemoteJoinHandle<()>),
    /// Home is gone.
    Orphan,
    Over,
}

impl Sleep {
    pub(super) fn new(event_loop: &EventLoop, deadline: Option<SystemInstant>) -> Sleep {
        Sleep {
            home: Arc::clone(spawner::shared_of(event_loop)),
            deadline,
            state: State::Unset,
        }
    }

    /// Gives it another deadline, whether it is over or not.
    ///
    /// At home, a task that waits for it is woken at the new deadline instead of
    /// the old one. Elsewhere it has to be polled for that.
    pub(super) fn reset(&mut self, deadline: SystemInstant) {
        self.deadline = Some(deadline);
        match (loop_if_here(&self.home), self.take_state()) {
            (Some(event_loop), State::AtHome(dormant)) => {
                let mut sleep = dormant.awake(event_loop);
                Pin::new(&mut sleep).reset(Instant::from_std(deadline));
                self.state = State::AtHome(Dormant::of(sleep));
            }
            (_, state) => self.let_go(state),
        }
    }

    fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Unset)
    }

    fn poll_at_home(&mut self, event_loop: Rc<EventLoop>, context: &mut Context<'_>) -> Poll<()> {
        // A waker that panics drops the sleep with its timer, and leaves `Unset`.
        let mut sleep = match self.take_state() {
            State::AtHome(dormant) => dormant.awake(event_loop),
            State::Unset => start(event_loop, self.deadline),
            other => {
                self.state = other;
                return self.poll_elsewhere(context);
            }
        };
        let polled = Pin::new(&mut sleep).poll(context);
        self.state = match polled {
            Poll::Ready(()) => State::Over,
            Poll::Pending => State::AtHome(Dormant::of(sleep)),
        };
        polled
    }

    /// Polls by what other threads can reach.
    #[cold]
    fn poll_elsewhere(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut task = match self.take_state() {
            State::Unset => self.send_home(None),
            State::AtHome(dormant) => self.send_home(Some(dormant)),
            State::Away(task) => task,
            State::Orphan => return self.poll_orphan(),
            State::Over => {
                self.state = State::Over;
                return Poll::Ready(());
            }
        };
        match Pin::new(&mut task).poll(context) {
            Poll::Pending => {
                self.state = State::Away(task);
                Poll::Pending
            }
            Poll::Ready(Ok(())) => {
                self.state = State::Over;
                Poll::Ready(())
            }
            // Nobody aborts it but `let_go`, so the loop is gone.
            Poll::Ready(Err(_)) => self.poll_orphan(),
        }
    }

    fn poll_orphan(&mut self) -> Poll<()> {
        let is_over = self
            .deadline
            .is_some_and(|deadline| deadline <= SystemInstant::now());
        if is_over {
            self.state = State::Over;
            return Poll::Ready(());
        }
        self.state = State::Orphan;
        Poll::Pending
    }

    /// Has a task of the loop wait for the time, by the timer if there is one.
    fn send_home(&self, dormant: Option<Dormant>) -> RemoteJoinHandle<()> {
        let deadline = self.deadline;
        let home = Arc::clone(&self.home);
        let mut homing = Homing { home, dormant };
        self.spawn_home(move |event_loop| match homing.dormant.take() {
            Some(dormant) => dormant.awake(event_loop),
            None => start(event_loop, deadline),
        })
    }

    /// Sees to it that the timer of `state` is removed.
    fn let_go(&self, state: State) {
        match state {
            State::AtHome(dormant) if dormant.has_timer() => match loop_if_here(&self.home) {
                Some(event_loop) => drop(dormant.awake(event_loop)),
                None => drop(self.spawn_home(move |event_loop| {
                    drop(dormant.awake(event_loop));
                    std::future::ready(())
                })),
            },
            State::Away(task) => task.abort(),
            State::AtHome(_) | State::Unset | State::Orphan | State::Over => {}
        }
    }

    /// Makes a task on the loop, from any thread.
    fn spawn_home<S, F>(&self, start: S) -> RemoteJoinHandle<()>
    where
        S: FnOnce(Rc<EventLoop>) -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let home = Arc::clone(&self.home);
        let start = move || match loop_if_here(&home) {
            Some(event_loop) => start(event_loop),
            None => panic!(
                "a task of one runtime ran while another was entered; \
                 drop the guard of `Runtime::enter` before `.await`"
            ),
        };
        self.home.spawn(Id::fresh(), start, Location::caller())
    }
}

/// A timer on its way home, which is removed there if the task that brings it is
/// aborted before it begins.
struct Homing {
    home: Arc<Shared>,
    dormant: Option<Dormant>,
}

impl Drop for Homing {
    fn drop(&mut self) {
        // Elsewhere only if the loop is gone, and the timer with it.
        if let Some(dormant) = self.dormant.take()
            && let Some(event_loop) = loop_if_here(&self.home)
        {
            drop(dormant.awake(event_loop));
        }
    }
}

/// The loop that `home` is of, if it is the current one.
#[inline]
fn loop_if_here(home: &Arc<Shared>) -> Option<Rc<EventLoop>> {
    context::current().filter(|event_loop| Arc::ptr_eq(&event_loop.shared, home))
}

/// A sleep that is not yet set.
fn start(event_loop: Rc<EventLoop>, deadline: Option<SystemInstant>) -> time::Sleep {
    match deadline {
        Some(deadline) => time::Sleep::until(event_loop, Instant::from_std(deadline)),
        None => time::Sleep::on(event_loop, Duration::MAX),
    }
}

impl Future for Sleep {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match loop_if_here(&self.home) {
            Some(event_loop) => self.poll_at_home(event_loop, context),
            None => self.poll_elsewhere(context),
        }
    }
}

impl rt::Sleep for Sleep {}

impl Drop for Sleep {
    fn drop(&mut self) {
        let state = self.take_state();
        self.let_go(state);
    }
}
