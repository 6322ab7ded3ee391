//! How the pool is to be: the options of [`Builder`] that concern it.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::panics::{self, Foreign};
use crate::runtime::Builder;

/// What a thread is called unless something else is asked for. Linux shows
/// fifteen bytes.
const NAME: &str = "coreloop-pool";

/// How the pool's threads are to be.
#[derive(Clone)]
pub(crate) struct Options {
    pub(super) max_threads: usize,
    pub(super) keep_alive: Duration,
    stack_size: Option<usize>,
    /// The user's function; without any, threads have a common name.
    name: Foreign<Arc<dyn Fn() -> String + Send + Sync>>,
}

// The function is called for a name only, and may have panicked for all we care.
impl UnwindSafe for Options {}
impl RefUnwindSafe for Options {}

impl Default for Options {
    fn default() -> Options {
        Options {
            max_threads: 512,
            keep_alive: Duration::from_secs(10),
            stack_size: None,
            name: Foreign::default(),
        }
    }
}

impl Options {
    /// A thread as asked for. Calls the user's function.
    pub(super) fn thread(&self) -> thread::Builder {
        let name = match self.name.get().map(|name| panics::catch(|| name())) {
            Some(Ok(name)) => name.replace('\0', ""),
            Some(Err(payload)) => {
                panics::discard(payload);
                NAME.to_owned()
            }
            None => NAME.to_owned(),
        };
        let thread = thread::Builder::new().name(name);
        match self.stack_size {
            Some(bytes) => thread.stack_size(bytes),
            None => thread,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("max_threads", &self.max_threads)
            .field("keep_alive", &self.keep_alive)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}

/// The threads for blocking work.
impl Builder {
    /// How many threads there may be for
    /// [`spawn_blocking`](crate::task::spawn_blocking). 512 unless set. They are
    /// started when they are needed.
    ///
    /// # Panics
    ///
    /// If `threads` is zero.
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
    pub fn max_blocking_threads(mut self, threads: usize) -> Builder {
        assert!(threads > 0, "max_blocking_threads must be at least 1");
        self.blocking.max_threads = threads;
        self
    }

    /// How long a thread waits for more blocking work before it ends. Ten
    /// seconds unless set.
    pub fn thread_keep_alive(mut self, duration: Duration) -> Builder {
        self.blocking.keep_alive = duration;
        self
    }

    /// What threads for blocking work are called. "coreloop-pool" unless set.
    pub fn thread_name(self, name: impl Into<String>) -> Builder {
        let name = name.into();
        self.thread_name_fn(move || name.clone())
    }

    /// What each thread for blocking work is called: asks `name` whenever one is
    /// started, on the thread that spawns the work.
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
    pub fn thread_name_fn<N>(mut self, name: N) -> Builder
    where
        N: Fn() -> String + Send + Sync + 'static,
    {
        self.blocking.name = Foreign::new(Arc::new(name));
        self
    }

    /// How large the stacks of threads for blocking work are, in bytes. What
    /// std gives its threads unless set.
    pub fn thread_stack_size(mut self, bytes: usize) -> Builder {
        self.blocking.stack_size = Some(bytes);
        self
    }
}
