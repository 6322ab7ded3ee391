//! [`Builder`]: the settings of a runtime.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::core::event_loop::EventLoop;
use crate::engine::core::options::Options;
use crate::engine::panics::UserValue;
use crate::engine::report::cleanup_failure::CleanupFailure;
use crate::engine::report::slow_poll::{SlowPoll, SlowPollMonitor};
use crate::engine::report::unhandled::{TaskPanic, UnhandledPanic};
use crate::runtime::Runtime;

/// The default limit when only `on_slow_poll` is set.
const SLOW: Duration = Duration::from_millis(100);

/// A builder of a [`Runtime`] with settings other than the defaults.
///
/// # Examples
///
/// ```
/// use coreloop::runtime::Builder;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = Builder::new().event_interval(31).build()?;
/// runtime.block_on(async {});
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    pub(super) options: Options,
}

impl Builder {
    /// Creates a builder with the settings of [`Runtime::new`].
    pub fn new() -> Self {
        Self {
            options: Options::default(),
        }
    }

    /// Sets the maximum number of tasks that run between two reads of the clock.
    ///
    /// The loop reads its clock at the latest after this number of tasks, and polls the
    /// kernel if 100 µs have passed since it last did. It reads the clock more often
    /// while tasks are long. The default is 61.
    ///
    /// # Panics
    ///
    /// Panics if `tasks` is zero.
    #[track_caller]
    pub fn event_interval(mut self, tasks: u32) -> Self {
        assert!(tasks > 0, "event_interval must be at least 1");
        self.options.event_interval = tasks;
        self
    }

    /// Sets whether the clock starts paused, for tests.
    ///
    /// A paused clock jumps to the next timer whenever no task is ready, the kernel has
    /// no event and no [blocking work](crate::task::spawn_blocking) is under way: see
    /// [`time`](crate::time).
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::runtime::Builder;
    /// use coreloop::time::sleep;
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new().start_paused(true).build()?;
    /// runtime.block_on(async { sleep(Duration::from_secs(86_400)).await }); // At once.
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_paused(mut self, paused: bool) -> Self {
        self.options.start_paused = paused;
        self
    }

    /// Sets what the runtime does when a task panics and is not joined.
    ///
    /// The default is [`UnhandledPanic::Report`].
    ///
    /// # Examples
    ///
    /// ```should_panic
    /// use coreloop::runtime::{Builder, UnhandledPanic};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new()
    ///     .unhandled_panic(UnhandledPanic::ShutdownRuntime)
    ///     .build()?;
    /// runtime.block_on(async {
    ///     coreloop::spawn(async { panic!("the last straw") });
    ///     std::future::pending::<()>().await // "the last straw" comes out here.
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn unhandled_panic(mut self, policy: UnhandledPanic) -> Self {
        self.options.unhandled.policy = policy;
        self
    }

    /// Calls `hook` with the panic of each task that was not joined.
    ///
    /// The hook replaces printing the panic or passing it to `tracing`.
    ///
    /// The policy set by [`unhandled_panic`](Builder::unhandled_panic) still applies:
    /// with [`Abort`](UnhandledPanic::Abort) the process is aborted when the hook has
    /// returned, and with [`Ignore`](UnhandledPanic::Ignore) the hook is not called.
    ///
    /// The hook runs on the loop's thread: when the task panics, if its
    /// [`JoinHandle`](crate::task::JoinHandle) was dropped before; otherwise when the
    /// handle is dropped, which may be after the runtime. If the task or the blocking
    /// work has a [`RemoteJoinHandle`](crate::task::RemoteJoinHandle), which any thread
    /// may drop, its panic is sent to the loop for the hook, and is lost if the runtime
    /// has been dropped. If the hook itself panics, the runtime discards that panic.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::runtime::Builder;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// static PANICS: AtomicU32 = AtomicU32::new(0);
    /// let runtime = Builder::new()
    ///     .on_unhandled_panic(|panic| {
    ///         assert_eq!(panic.task().spawned_at().file(), file!());
    ///         assert_eq!(panic.message(), Some("out of tea"));
    ///         PANICS.fetch_add(1, Ordering::Relaxed);
    ///     })
    ///     .build()?;
    /// runtime.block_on(async {
    ///     drop(coreloop::spawn(async { panic!("out of tea") }));
    ///     coreloop::task::yield_now().await;
    /// });
    /// assert_eq!(PANICS.load(Ordering::Relaxed), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_unhandled_panic(mut self, hook: impl Fn(&TaskPanic) + Send + Sync + 'static) -> Self {
        self.options.unhandled.hook = Some(Arc::new(hook));
        self
    }

    /// Warns when a single poll of a task takes `limit` or longer.
    ///
    /// Such a poll holds up every other task and socket of the loop.
    ///
    /// The warning names the task and where it was spawned. It goes to the hook set by
    /// [`on_slow_poll`](Builder::on_slow_poll) if there is one, otherwise to `tracing`
    /// if that feature is on, otherwise to standard error. It is issued when the poll
    /// returns; a poll that never returns can only be found with a debugger.
    ///
    /// Off by default, because it costs a read of the clock for each poll.
    pub fn slow_poll(mut self, limit: Duration) -> Self {
        let hook = self
            .options
            .watch
            .map_or_else(UserValue::default, |watch| watch.hook);
        self.options.watch = Some(SlowPollMonitor { limit, hook });
        self
    }

    /// Calls `hook` for each slow poll, instead of printing a warning.
    ///
    /// If [`slow_poll`](Builder::slow_poll) is not set, polls of 100 ms and longer are
    /// slow.
    ///
    /// The hook runs between two polls, on the loop's thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::runtime::Builder;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// static SLOW: AtomicU32 = AtomicU32::new(0);
    /// let runtime = Builder::new()
    ///     .slow_poll(Duration::from_millis(1))
    ///     .on_slow_poll(|slow| {
    ///         println!("{}: {:?}", slow.task(), slow.elapsed());
    ///         SLOW.fetch_add(1, Ordering::Relaxed);
    ///     })
    ///     .build()?;
    /// runtime.block_on(async { std::thread::sleep(Duration::from_millis(1)) });
    /// assert_eq!(SLOW.load(Ordering::Relaxed), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_slow_poll(mut self, hook: impl Fn(&SlowPoll) + Send + Sync + 'static) -> Self {
        let limit = self.options.watch.map_or(SLOW, |watch| watch.limit);
        self.options.watch = Some(SlowPollMonitor {
            limit,
            hook: UserValue::new(Arc::new(hook)),
        });
        self
    }

    /// Sets how long a single [cleanup](crate::cleanup) may take.
    ///
    /// A cleanup that takes longer is dropped, and reported. The default is five
    /// seconds; with [`Duration::MAX`] there is no limit.
    ///
    /// A [shutdown](Runtime::shutdown) gives the same time to the cleanups of all the
    /// tasks that it aborts, together.
    ///
    /// # Examples
    ///
    /// ```
    /// use coreloop::cleanup::defer;
    /// use coreloop::runtime::Builder;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// static WAS_LATE: AtomicBool = AtomicBool::new(false);
    /// let runtime = Builder::new()
    ///     .cleanup_budget(Duration::from_millis(1))
    ///     .on_cleanup_failure(|failure| WAS_LATE.store(failure.is_timeout(), Ordering::Relaxed))
    ///     .build()?;
    /// runtime.block_on(async {
    ///     let task = coreloop::spawn(async {
    ///         let _goodbye = defer(std::future::pending());
    ///     });
    ///     task.await.unwrap();
    /// });
    /// assert!(WAS_LATE.load(Ordering::Relaxed));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cleanup_budget(mut self, budget: Duration) -> Self {
        self.options.cleanup.time_limit = budget;
        self
    }

    /// Calls `hook` with each cleanup that failed, instead of printing a warning.
    ///
    /// See [`CleanupFailure`].
    ///
    /// The hook runs on the loop's thread.
    pub fn on_cleanup_failure(
        mut self,
        hook: impl Fn(&CleanupFailure) + Send + Sync + 'static,
    ) -> Self {
        self.options.cleanup.hook = UserValue::new(Arc::new(hook));
        self
    }

    /// Creates the runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if the system has no descriptors left for the loop. The loop
    /// needs two, and a third when it first waits for a timer. Without the third,
    /// timers still fire, but are rounded up to milliseconds, and the runtime's
    /// descriptor does not become readable for them.
    pub fn build(&self) -> io::Result<Runtime> {
        Ok(Runtime::from_loop(EventLoop::new(&self.options)?))
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}
