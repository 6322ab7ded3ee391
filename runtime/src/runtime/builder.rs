//! [`Builder`]: how a runtime is to be.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::core::event_loop::EventLoop;
use crate::engine::core::options::Options;
use crate::engine::panics::Foreign;
use crate::engine::report::cleanup_failure::CleanupFailure;
use crate::engine::report::slow_poll::{SlowPoll, Watch};
use crate::engine::report::unhandled::{TaskPanic, UnhandledPanic};
use crate::runtime::Runtime;

/// How long a poll may take for those who only say what is to happen then.
const SLOW: Duration = Duration::from_millis(100);

/// Makes a [`Runtime`] that is not the default one.
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
    /// What [`Runtime::new`] uses.
    pub fn new() -> Builder {
        Builder {
            options: Options::default(),
        }
    }

    /// After so many tasks, at the latest, the loop looks at its clock, and
    /// asks the kernel for events if a hundred microseconds have passed. 61 unless
    /// set. The loop looks more often by itself when tasks are long.
    ///
    /// # Panics
    ///
    /// If `tasks` is zero.
    #[track_caller]
    pub fn event_interval(mut self, tasks: u32) -> Builder {
        assert!(tasks > 0, "event_interval must be at least 1");
        self.options.event_interval = tasks;
        self
    }

    /// Whether the clock stands still, for tests. It then jumps to the next
    /// timer whenever no task is ready, the kernel has no event and no
    /// [blocking work](crate::task::spawn_blocking) is under way: see
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
    pub fn start_paused(mut self, paused: bool) -> Builder {
        self.options.start_paused = paused;
        self
    }

    /// What to do when a task has panicked and nobody joined it:
    /// [`UnhandledPanic::Report`] unless set.
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
    pub fn unhandled_panic(mut self, policy: UnhandledPanic) -> Builder {
        self.options.unhandled.policy = policy;
        self
    }

    /// Calls `hook` with the panic of each task that was not joined, instead of
    /// printing it or giving it to `tracing`.
    ///
    /// What happens then is for [`unhandled_panic`](Builder::unhandled_panic) to say:
    /// with [`Abort`](UnhandledPanic::Abort) the process is aborted when the hook has
    /// returned, and with [`Ignore`](UnhandledPanic::Ignore) the hook is not called.
    ///
    /// The hook runs on the loop's thread: when the task panics, if its
    /// [`JoinHandle`](crate::task::JoinHandle) was dropped before, otherwise when the
    /// handle is dropped, which may be after the runtime. The panic of a task or of
    /// blocking work that has a
    /// [`RemoteJoinHandle`](crate::task::RemoteJoinHandle) comes back to the loop for
    /// that, whichever thread the handle is dropped on, and is lost if the runtime is
    /// gone. A hook that panics harms nothing: the runtime discards its panic.
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
    pub fn on_unhandled_panic(
        mut self,
        hook: impl Fn(&TaskPanic) + Send + Sync + 'static,
    ) -> Builder {
        self.options.unhandled.hook = Some(Arc::new(hook));
        self
    }

    /// Warns when a single poll of a task takes `limit` or longer, which holds
    /// up every other task and socket of the loop.
    ///
    /// The warning names the task and where it was spawned. It goes to the hook
    /// of [`on_slow_poll`](Builder::on_slow_poll) if there is one, otherwise to
    /// `tracing` if that feature is on, otherwise to the standard error. It
    /// comes when the poll is over; one that never is needs a debugger.
    ///
    /// Off unless set, as it takes a look at the clock for each poll.
    pub fn slow_poll(mut self, limit: Duration) -> Builder {
        let hook = self
            .options
            .watch
            .map_or_else(Foreign::default, |watch| watch.hook);
        self.options.watch = Some(Watch { limit, hook });
        self
    }

    /// Calls `hook` with each slow poll instead of printing it. Without
    /// [`slow_poll`](Builder::slow_poll), those of 100 ms and longer are slow.
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
    pub fn on_slow_poll(mut self, hook: impl Fn(&SlowPoll) + Send + Sync + 'static) -> Builder {
        let limit = self.options.watch.map_or(SLOW, |watch| watch.limit);
        self.options.watch = Some(Watch {
            limit,
            hook: Foreign::new(Arc::new(hook)),
        });
        self
    }

    /// How long a single [cleanup](crate::cleanup) may take: one that takes
    /// longer is dropped, and reported. Five seconds unless set; with
    /// [`Duration::MAX`] there is no limit.
    ///
    /// It is also what the cleanups of all that a
    /// [shutdown](Runtime::shutdown) has to cut off have together.
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
    pub fn cleanup_budget(mut self, budget: Duration) -> Builder {
        self.options.cleanup.budget = budget;
        self
    }

    /// Calls `hook` with each cleanup that failed instead of printing it: see
    /// [`CleanupFailure`].
    ///
    /// The hook runs on the loop's thread.
    pub fn on_cleanup_failure(
        mut self,
        hook: impl Fn(&CleanupFailure) + Send + Sync + 'static,
    ) -> Builder {
        self.options.cleanup.hook = Foreign::new(Arc::new(hook));
        self
    }

    /// Makes the runtime.
    ///
    /// # Errors
    ///
    /// If the system has no descriptors left for the loop: it needs two, and a
    /// third when it first waits for a timer. Without that one timers still fire,
    /// but are rounded up to milliseconds, and the runtime's descriptor does not
    /// tell of them.
    pub fn build(&self) -> io::Result<Runtime> {
        Ok(Runtime::from_loop(EventLoop::new(&self.options)?))
    }
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}
