//! [`Runtime`]: an event loop, and the ways to drive it.

mod blocking;
pub(crate) mod builder;
pub(crate) mod handle;
mod metrics;

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::{Location, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::engine::core::context::{self, Entered};
use crate::engine::core::event_loop::EventLoop;
use crate::engine::core::sleep::Sleep;
use crate::engine::task::join::JoinHandle;
use crate::engine::task::spawn_options::SpawnOptions;
use crate::engine::timers::instant::Instant;
use crate::task::spawn_blocking;

pub use crate::engine::report::abandoned::Report;
pub use crate::engine::report::slow_poll::SlowPoll;
pub use crate::engine::report::task_meta::TaskMeta;
pub use crate::engine::report::unhandled::{TaskPanic, UnhandledPanic};
pub use crate::runtime::builder::Builder;
pub use crate::runtime::handle::{Handle, TryCurrentError};
pub use crate::runtime::metrics::RuntimeMetrics;

/// An event loop and its tasks, on the thread that created it.
///
/// [`block_on`](Runtime::block_on) drives the runtime until a future is ready. A
/// program that has an event loop of its own drives the runtime by calling
/// [`turn`](Runtime::turn) whenever the runtime's descriptor ([`AsFd`]) is readable.
///
/// Dropping a runtime drops every task at once, without running
/// [cleanups](crate::cleanup). Sockets and timers that the program still holds lose
/// their loop. They may be dropped later. An operation on such a socket returns an
/// error where it would have to wait; a timer no longer wakes its task, because no loop
/// is left to fire it, but it is ready if it is polled after its deadline. Blocking
/// work that waits for a thread is dropped; blocking work that already runs is left to
/// finish, and not waited for.
///
/// # Several runtimes on one thread
///
/// Sockets, timers and tasks are driven by the runtime that they were created in,
/// whatever task uses them. While a thread is in the [`block_on`](Runtime::block_on) or
/// [`shutdown`](Runtime::shutdown) of one runtime it drives no other. So an operation
/// on a socket of another runtime returns an error of kind
/// [`Other`](io::ErrorKind::Other) where it would have to wait. A [`Sleep`] or a
/// `JoinHandle` of another runtime has no error to return: it stays pending until the
/// other runtime is driven, which never happens if the `block_on` waits for it. To run
/// runtimes whose tasks wait for each other, drive them alternately with
/// [`turn`](Runtime::turn).
///
/// # Examples
///
/// ```
/// use coreloop::Runtime;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = Runtime::new()?;
/// let greeting = runtime.block_on(async { "hello" });
/// assert_eq!(greeting, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Runtime {
    event_loop: Rc<EventLoop>,
}

impl Runtime {
    /// Creates a runtime with the default settings.
    ///
    /// # Errors
    ///
    /// Returns an error if the system has no descriptors left for the loop.
    pub fn new() -> io::Result<Self> {
        Builder::new().build()
    }

    pub(crate) fn from_loop(event_loop: Rc<EventLoop>) -> Self {
        Self { event_loop }
    }

    #[cfg(test)]
    pub(crate) fn event_loop(&self) -> &Rc<EventLoop> {
        &self.event_loop
    }

    /// Drives `future` and all tasks until `future` is ready, and returns its output.
    ///
    /// The future runs as a task, but may borrow from its caller. Tasks that have not
    /// finished by then stay in the runtime, and continue the next time it is driven.
    ///
    /// # Panics
    ///
    /// Panics if the future panics, with the same panic; inside another `block_on` or
    /// [`turn`](Runtime::turn) on this thread; if the kernel cannot be polled; or if
    /// the panic of a task that was not joined [shuts the runtime
    /// down](UnhandledPanic::ShutdownRuntime), now or earlier.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let spawned_at = Location::caller();
        let result = context::run(&self.event_loop, false, |event_loop| {
            event_loop.assert_open();
            event_loop.unless_failed(event_loop.block_on(future, spawned_at))
        });
        match result.map_err(crate::engine::task::error::JoinError::try_into_panic) {
            Ok(output) => output,
            Err(Ok(panic)) => resume_unwind(panic),
            Err(Err(error)) => panic!("the future of block_on ended without output: {error}"),
        }
    }

    /// Spawns a task, which runs when the runtime is driven next.
    ///
    /// See [`spawn`](crate::spawn).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = coreloop::Runtime::new()?;
    /// let handle = runtime.spawn(async { 1 + 1 });
    /// assert_eq!(runtime.block_on(handle).unwrap(), 2);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        self.event_loop
            .spawn(future, SpawnOptions::at(Location::caller()))
    }

    /// Runs `work`, which may block, on a thread of the runtime's pool.
    ///
    /// See [`spawn_blocking`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = coreloop::Runtime::new()?;
    /// let handle = runtime.spawn_blocking(|| 1 + 1);
    /// assert_eq!(runtime.block_on(handle).unwrap(), 2);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_blocking<W, R>(&self, work: W) -> JoinHandle<R>
    where
        W: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        spawn_blocking::spawn_on(&self.event_loop, work, Location::caller())
    }

    /// Returns a handle to this runtime, for use on other threads.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = coreloop::Runtime::new()?;
    /// let handle = runtime.handle();
    /// let task = std::thread::spawn(move || handle.spawn(|| async { 1 + 1 }));
    /// assert_eq!(runtime.block_on(task.join().unwrap()).unwrap(), 2);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::of(&self.event_loop)
    }

    /// Makes this the current runtime of the thread until the guard is dropped.
    ///
    /// Code outside tasks can then create sockets and timers, and spawn tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = coreloop::Runtime::new()?;
    /// let sleep = {
    ///     let _guard = runtime.enter();
    ///     coreloop::time::sleep(Duration::from_millis(1))
    /// };
    /// runtime.block_on(sleep);
    /// # Ok(())
    /// # }
    /// ```
    pub fn enter(&self) -> EnterGuard<'_> {
        EnterGuard {
            _entered: context::enter(&self.event_loop),
            runtime: PhantomData,
        }
    }

    /// Runs one turn of the loop.
    ///
    /// A turn runs the tasks that are ready, polls the kernel, fires timers, and runs
    /// the tasks that these woke. If no task is ready when it polls the kernel, it waits
    /// up to `timeout` for an event or a timer: without limit if `timeout` is `None`,
    /// and not at all if it is [`Duration::ZERO`].
    ///
    /// Returns whether tasks are left that are ready. In that case, as whenever there
    /// is something to do, the runtime's descriptor is readable, so a loop that waits
    /// for the descriptor need not check the value. Two remarks for the author of such
    /// a loop:
    ///
    /// - A turn runs tasks for some hundred microseconds before it polls the kernel,
    ///   unless a single poll of a task takes longer, and then once more. It does not
    ///   run until no task is ready.
    /// - The descriptor does not become readable for timers where the system has no
    ///   timerfd (anything but Linux and Android), or had no descriptor left for one
    ///   when the first timer was set. Waiting no longer than until
    ///   [`next_timer`](Runtime::next_timer) is right in any case.
    ///
    /// If the clock is [paused](crate::time::pause), a turn that would wait for a timer
    /// advances the clock instead: to the next timer, but by no more than `timeout`,
    /// and not at all if that is [`Duration::ZERO`]. Without a timer it waits for
    /// events as usual, and the clock does not advance.
    ///
    /// # Errors
    ///
    /// Returns an error if the kernel cannot be polled. Tasks are run all the same.
    ///
    /// # Panics
    ///
    /// Panics inside another turn or [`block_on`](Runtime::block_on) on this thread, or
    /// if the panic of a task that was not joined [shuts the runtime
    /// down](UnhandledPanic::ShutdownRuntime), now or earlier.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = coreloop::Runtime::new()?;
    /// let task = runtime.spawn(async { coreloop::task::yield_now().await });
    /// while !task.is_finished() {
    ///     runtime.turn(Some(Duration::ZERO))?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn turn(&self, timeout: Option<Duration>) -> io::Result<bool> {
        context::run(&self.event_loop, false, |event_loop| {
            event_loop.assert_open();
            event_loop.unless_failed(event_loop.turn(timeout))
        })
    }

    /// Runs the tasks to their end, for no longer than `timeout`, and drops the runtime.
    ///
    /// Tasks that are left when the timeout has passed are aborted. The report names
    /// them.
    ///
    /// This is the orderly end of a server: it asks its tasks to finish, with a
    /// `CancellationToken` for instance, and calls `shutdown` where it called
    /// [`block_on`](Runtime::block_on). With [`Duration::ZERO`] the tasks that are
    /// ready are polled once more before every task is aborted; with [`Duration::MAX`]
    /// the shutdown takes as long as the tasks do. The timeout is measured by the
    /// runtime's clock.
    ///
    /// Aborted tasks still run their [cleanups](crate::cleanup). The cleanups have time
    /// of their own after the deadline, because a task that is late is likely to have
    /// cleanups left to run: all of them together have as long as
    /// [`Builder::cleanup_budget`] allows. A cleanup that has not finished by then is
    /// dropped, and named in the report. If no task has a guard, no time is spent.
    ///
    /// # Panics
    ///
    /// Panics inside a [`block_on`](Runtime::block_on) or [`turn`](Runtime::turn) on
    /// this thread, of any runtime, because a shutdown waits. (Dropping a runtime there
    /// does not panic.) Also panics if the panic of a task that was not joined [shuts
    /// the runtime down](UnhandledPanic::ShutdownRuntime), now or earlier.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = coreloop::Runtime::new()?;
    /// let (quick, stuck) = (async {}, std::future::pending::<()>());
    /// runtime.spawn(quick);
    /// runtime.spawn(stuck);
    /// let report = runtime.shutdown(Duration::from_millis(1));
    /// assert_eq!(report.tasks().len(), 1);
    /// println!("{report}"); // abandoned task 7 spawned at src/main.rs:8:9
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn shutdown(self, timeout: Duration) -> Report {
        let deadline = Sleep::on(Rc::clone(&self.event_loop), timeout);
        context::run(&self.event_loop, false, |event_loop| {
            event_loop.assert_open();
            event_loop.unless_failed(event_loop.shut_down_by(deadline))
        })
    }

    /// Returns counts of what the runtime has done so far. See also [`metrics`].
    #[must_use]
    pub fn metrics(&self) -> RuntimeMetrics {
        RuntimeMetrics::of(&self.event_loop)
    }

    /// Returns the time at which the next timer is due, or a little earlier.
    ///
    /// Returns `None` if no timer is set, or only timers that never fire.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        let timers = &self.event_loop.timers;
        timers.next().map(|next| timers.instant(next))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Allowed inside a task of another runtime too, because nothing waits here.
        context::run(&self.event_loop, true, EventLoop::end);
    }
}

/// Borrows the epoll or kqueue instance, which is readable when a
/// [`turn`](Runtime::turn) has something to do.
impl AsFd for Runtime {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event_loop.reactor.as_fd()
    }
}

impl AsRawFd for Runtime {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// A guard that keeps a runtime current.
///
/// [`Runtime::enter`] returns it.
#[derive(Debug)]
#[must_use = "the runtime is current only while the guard lives"]
pub struct EnterGuard<'a> {
    _entered: Entered,
    runtime: PhantomData<&'a Runtime>,
}

/// Returns counts of what the current runtime has done so far.
///
/// See [`Runtime::metrics`].
///
/// # Panics
///
/// Panics outside a runtime.
///
/// # Examples
///
/// ```
/// # coreloop::block_on(async {
/// coreloop::spawn(async {}).await.unwrap();
/// let metrics = coreloop::runtime::metrics();
/// println!("{} of {} tasks", metrics.alive_tasks(), metrics.spawned_tasks());
/// assert_eq!(metrics.spawned_tasks(), 2);
/// # })
/// ```
#[must_use]
#[track_caller]
pub fn metrics() -> RuntimeMetrics {
    match context::with_current(|event_loop| RuntimeMetrics::of(event_loop)) {
        Some(metrics) => metrics,
        None => context::missing("runtime::metrics"),
    }
}

/// Creates a runtime, and drives `future` on it until the future is ready.
///
/// # Panics
///
/// Panics if [`Runtime::block_on`] does, or if the system has no descriptors left for a
/// loop.
///
/// # Examples
///
/// ```
/// let sum = coreloop::block_on(async { 1 + 2 });
/// assert_eq!(sum, 3);
/// ```
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("cannot make a coreloop runtime: {error}"),
    }
}
