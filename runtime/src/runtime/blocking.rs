//! The options of [`Builder`] for the threads of the blocking pool.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::panics::UserValue;
use crate::runtime::builder::Builder;

/// Settings of the threads for blocking work.
impl Builder {
    /// Sets the maximum number of threads for blocking work.
    ///
    /// The default is 512. See [`spawn_blocking`](crate::task::spawn_blocking).
    ///
    /// Threads are started when they are needed.
    ///
    /// # Panics
    ///
    /// Panics if `threads` is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use coreloop::runtime::Builder;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new()
    ///     .max_blocking_threads(4)
    ///     .thread_keep_alive(Duration::from_secs(60))
    ///     .thread_name("reader")
    ///     .thread_stack_size(256 * 1024)
    ///     .build()?;
    /// let name = runtime.spawn_blocking(|| std::thread::current().name().map(str::to_owned));
    /// assert_eq!(runtime.block_on(name).unwrap().as_deref(), Some("reader"));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn max_blocking_threads(mut self, threads: usize) -> Self {
        assert!(threads > 0, "max_blocking_threads must be at least 1");
        self.options.blocking.max_threads = threads;
        self
    }

    /// Sets how long an idle thread waits for more blocking work before it ends.
    ///
    /// The default is ten seconds.
    pub fn thread_keep_alive(mut self, duration: Duration) -> Self {
        self.options.blocking.keep_alive = duration;
        self
    }

    /// Sets the name of the threads for blocking work. The default is "coreloop-pool".
    pub fn thread_name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.thread_name_fn(move || name.clone())
    }

    /// Sets a function that returns the name of each thread for blocking work.
    ///
    /// It is called whenever a thread is started, on the thread that spawns the work.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use coreloop::runtime::Builder;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let started = AtomicUsize::new(0);
    /// let runtime = Builder::new()
    ///     .thread_name_fn(move || format!("reader-{}", started.fetch_add(1, Ordering::Relaxed)))
    ///     .build()?;
    /// let name = runtime.spawn_blocking(|| std::thread::current().name().map(str::to_owned));
    /// assert_eq!(runtime.block_on(name).unwrap().as_deref(), Some("reader-0"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn thread_name_fn<N>(mut self, name: N) -> Self
    where
        N: Fn() -> String + Send + Sync + 'static,
    {
        self.options.blocking.name = UserValue::new(Arc::new(name));
        self
    }

    /// Sets the stack size of the threads for blocking work, in bytes.
    ///
    /// The default is the standard library's.
    pub fn thread_stack_size(mut self, bytes: usize) -> Self {
        self.options.blocking.stack_size = Some(bytes);
        self
    }
}
