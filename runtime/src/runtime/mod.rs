//! [`Runtime`]: a loop, and the ways to turn it.

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
use crate::engine::task::join::JoinHandle;
use crate::engine::timers::instant::Instant;
use crate::engine::timers::sleep::Sleep;
use crate::task::spawn_blocking;

pub use crate::engine::report::abandoned::Report;
pub use crate::engine::report::slow_poll::SlowPoll;
pub use crate::engine::report::unhandled::{TaskPanic, UnhandledPanic};
pub use crate::engine::task::meta::TaskMeta;
pub use crate::runtime::builder::Builder;
pub use crate::runtime::handle::{Handle, TryCurrentError};
pub use crate::runtime::metrics::RuntimeMetrics;

/// An event loop and its tasks, on the thread that made it.
///
/// [`block_on`](Runtime::block_on) drives it until a future is ready. A program
/// that has an event loop of its own drives it by [`turn`](Runtime::turn), when
/// the runtime's descriptor ([`AsFd`]) is readable.
///
/// Dropping it drops every task at once, with no time for
/// [cleanups](crate::cleanup), and orphans the sockets and timers
/// that are held elsewhere. Those may still be dropped. A socket gives an error
/// where it would have to wait; a timer wakes nobody any more, as nobody is left
/// to turn its loop, but is over if it is polled after its time. Blocking work
/// that waits for a thread is dropped; that which runs is left behind, and not
/// waited for.
///
/// # Several runtimes on one thread
///
/// What is made in a runtime is driven by that runtime, in whatever task it is used. While
/// a thread is in the [`block_on`](Runtime::block_on) or [`shutdown`](Runtime::shutdown)
/// of one runtime it drives no other. So a socket of another runtime returns an error of
/// kind [`Other`](io::ErrorKind::Other) where it would have to wait. A
/// [`Sleep`] or a `JoinHandle` of another runtime has no error to
/// return: it waits until the other runtime is driven, which is for ever if the
/// `block_on` waits for it. Runtimes whose tasks wait for each other are driven in turn by
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
    /// Makes a runtime.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors left for the loop.
    pub fn new() -> io::Result<Runtime> {
        Builder::new().build()
    }

    pub(crate) fn from_loop(event_loop: Rc<EventLoop>) -> Runtime {
        Runtime { event_loop }
    }

    #[cfg(test)]
    pub(crate) fn event_loop(&self) -> &Rc<EventLoop> {
        &self.event_loop
    }

    /// Drives `future` and all spawned tasks until `future` is ready, and
    /// returns its output.
    ///
    /// The future is a task like any other, but may borrow from its caller.
    /// Tasks that are not over stay, and go on at the next call.
    ///
    /// # Panics
    ///
    /// If the future panics, with its panic; inside another `block_on` or
    /// [`turn`](Runtime::turn) on this thread; if the kernel refuses to be
    /// polled; or if a panic that nobody joined has
    /// [ended](UnhandledPanic::ShutdownRuntime) the runtime, or does so now.
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

    /// Makes a task of `future`, which runs when the runtime is driven next.
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
        let running = self.event_loop.is_running();
        self.event_loop.spawn(future, Location::caller(), running)
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

    /// A handle to this runtime, for other threads.
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

    /// Makes this the current runtime of the thread until the guard is dropped,
    /// so that sockets and timers can be made, and tasks spawned, outside tasks.
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

    /// Gives the loop one turn: runs tasks that are ready, waits for events and
    /// timers for up to `timeout` if none was, and runs the tasks that these
    /// woke. With `None` it waits until something happens; with
    /// [`Duration::ZERO`] not at all.
    ///
    /// Returns whether tasks are left that are ready. Then, as always when
    /// there is something to do, the runtime's descriptor is readable, so a
    /// loop that waits for that need not look at the value. Two remarks for the
    /// author of such a loop:
    ///
    /// - A turn runs tasks for some hundred microseconds at a time, unless a single
    ///   one takes longer, and then looks at the kernel. It does not run on.
    /// - The descriptor says nothing of timers where the system has no timerfd
    ///   (anything but Linux and Android), or had no descriptor left for one when
    ///   the first timer was set: wait no longer than
    ///   [`next_timer`](Runtime::next_timer), which is right in any case.
    ///
    /// With a clock that is [paused](crate::time::pause), a turn that would wait
    /// for a timer moves the clock on instead: to the next timer, but not by more
    /// than `timeout`, and with [`Duration::ZERO`] not at all. Without a timer it
    /// waits for events as usual, and the clock stands still.
    ///
    /// # Errors
    ///
    /// If the kernel refuses to be polled. Tasks are run all the same.
    ///
    /// # Panics
    ///
    /// Inside another turn or [`block_on`](Runtime::block_on) on this thread. Also
    /// if a panic that nobody joined has [ended](UnhandledPanic::ShutdownRuntime)
    /// the runtime, or does so now.
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

    /// Drives all tasks until none is left, but for no longer than `timeout`,
    /// aborts those that are, and drops the runtime. The report names them.
    ///
    /// So a server ends well: it tells its tasks to finish, by a
    /// `CancellationToken` for instance, and calls this from where it called
    /// [`block_on`](Runtime::block_on). With [`Duration::ZERO`] every task is
    /// dropped after one last poll of those that are ready, with
    /// [`Duration::MAX`] the shutdown takes as long as the tasks do. The time
    /// is that of the runtime's clock.
    ///
    /// Tasks that are cut off still run their [cleanups](crate::cleanup). These
    /// have time of their own after the deadline, all together as much as
    /// [`Builder::cleanup_budget`] says, as a task that is late is the very one
    /// that has not said goodbye. What is not over then is dropped, and in the
    /// report. Where no task has a guard no time is spent.
    ///
    /// # Panics
    ///
    /// Inside a [`block_on`](Runtime::block_on) or [`turn`](Runtime::turn) on
    /// this thread, of whatever runtime: this waits. Just dropping a runtime
    /// does not. Also if a panic that nobody joined has
    /// [ended](UnhandledPanic::ShutdownRuntime) the runtime, or does so now.
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
            event_loop.unless_failed(event_loop.drain(deadline))
        })
    }

    /// What the runtime has done so far. See also [`metrics`].
    #[must_use]
    pub fn metrics(&self) -> RuntimeMetrics {
        RuntimeMetrics::of(&self.event_loop)
    }

    /// When the next timer is due, or a little before; `None` if none is set, or
    /// only such as never are.
    #[must_use]
    pub fn next_timer(&self) -> Option<Instant> {
        let timers = &self.event_loop.timers;
        timers.next().map(|next| timers.instant(next))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Inside a task of another runtime too: nothing waits here.
        context::run(&self.event_loop, true, EventLoop::end);
    }
}

/// The epoll or kqueue instance, which is readable when a
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

/// Keeps a runtime current: see [`Runtime::enter`].
#[derive(Debug)]
#[must_use = "the runtime is current only while the guard lives"]
pub struct EnterGuard<'a> {
    _entered: Entered,
    runtime: PhantomData<&'a Runtime>,
}

/// What the runtime that this is called in has done so far.
///
/// # Panics
///
/// Outside a runtime; see [`Runtime::metrics`].
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

/// Makes a runtime, and drives `future` on it until it is ready.
///
/// # Panics
///
/// As [`Runtime::block_on`], and if the system has no descriptors left for a
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
